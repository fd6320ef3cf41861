//! WKB of any flavor: inspected, made canonical, and the same after a second time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_model::wkb;

fuzz_target!(|bytes: &[u8]| {
    let Ok(shape) = wkb::inspect(bytes) else { return };
    let canonical = wkb::to_canonical(bytes, false).expect("what is inspected can be made canonical");
    let again = wkb::inspect(&canonical).expect("canonical bytes are WKB");
    assert!(again.is_canonical);
    assert_eq!(
        (shape.kind, shape.has_z, shape.has_m, shape.vertices),
        (again.kind, again.has_z, again.has_m, again.vertices)
    );
    assert_eq!(wkb::to_canonical(&canonical, false).expect("canonical"), canonical);
});
