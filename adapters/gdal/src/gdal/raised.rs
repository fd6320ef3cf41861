//! What GDAL raises: every failure and warning of a call, on the thread that made it.

use gdal::errors::CplErrType;
use std::cell::RefCell;
use std::ffi::CStr;

/// Messages kept of one call; a broken file can raise one for each row.
pub(super) const MESSAGES_MAX: usize = 64;

thread_local! {
    static RAISED: RefCell<Raised> = RefCell::default();
}

/// What GDAL raised during one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raised {
    /// Texts of warnings.
    pub(crate) warnings: Vec<String>,
    /// Texts of failures.
    pub(crate) failures: Vec<String>,
}

impl Raised {
    /// The same texts without our folder in them.
    pub(super) fn without(mut self, folder: &str) -> Self {
        for text in self.warnings.iter_mut().chain(&mut self.failures) {
            *text = text.replace(folder, "");
        }
        self
    }
}

/// Takes GDAL's messages from now on, on every thread.
pub(super) fn listen() {
    gdal::config::set_error_handler(|kind, _number, text| {
        RAISED.with_borrow_mut(|raised| {
            let list = match kind {
                CplErrType::None | CplErrType::Debug => return,
                CplErrType::Warning => &mut raised.warnings,
                CplErrType::Failure | CplErrType::Fatal => &mut raised.failures,
            };
            if list.len() < MESSAGES_MAX {
                list.push(text.trim().to_owned());
            }
        });
    });
}

/// Clears the error state, makes a call, and gives what was raised meanwhile.
pub(super) fn watched<T>(call: impl FnOnce() -> T) -> (T, Raised) {
    RAISED.with_borrow_mut(|raised| *raised = Raised::default());
    // SAFETY: the error state belongs to this thread; the call has no other condition.
    unsafe { gdal_sys::CPLErrorReset() };
    let value = call();
    let mut raised = RAISED.take();
    if raised.failures.is_empty() {
        raised.failures.extend(last_failure());
    }
    (value, raised)
}

/// The failure that stands in the error state, though a driver kept it from the handler.
fn last_failure() -> Option<String> {
    // SAFETY: the error state belongs to this thread; its text is a C string that lives until the next call.
    unsafe {
        let is_failure = gdal_sys::CPLGetLastErrorType() >= gdal_sys::CPLErr::CE_Failure;
        is_failure.then(|| CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()).to_string_lossy().trim().to_owned())
    }
}
