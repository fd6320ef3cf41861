//! CSV of any dialect, with what offices put around their tables, read to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::read_as;

fuzz_target!(|bytes: &[u8]| {
    drop(read_as("CSV", "table.csv", bytes));
});
