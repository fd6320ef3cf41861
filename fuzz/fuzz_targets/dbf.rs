//! Headers of a Shapefile's parts and the cells of its table that GDAL would change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::dbf_rows;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(rows) = dbf_rows(bytes) {
        assert!(rows <= bytes.len() as u64);
    }
});
