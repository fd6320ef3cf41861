//! The reader of filters, taken out of the hub file by file: the hub itself would be most of the build.

#[path = "../../hub/src/filter/reading.rs"]
mod reading;
#[path = "../../hub/src/filter/times.rs"]
mod times;
#[path = "../../hub/src/filter/written.rs"]
mod written;

pub use written::{FilterLimits, WrittenFilter};
