//! One vector tile, read to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::read_as;

fuzz_target!(|bytes: &[u8]| {
    drop(read_as("MVT", "12-2892-1488.mvt", bytes));
});
