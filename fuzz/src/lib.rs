//! What several fuzz targets need.

/// Lets a panic inside a library of others unwind: the code under test catches those of decoders that it does not trust.
/// A panic in our own code still ends the run, caught or not.
///
/// Call it when a target begins, after libFuzzer has set its own hook.
pub fn let_libraries_give_up() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_ours = panic.location().is_none_or(|place| !place.file().contains("/registry/src/"));
        if is_ours {
            abort(panic);
        }
    }));
}
