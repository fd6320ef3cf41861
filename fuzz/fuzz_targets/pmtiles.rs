//! A set of vector tiles in one file: header, directories, tiles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::read_as;

fuzz_target!(|bytes: &[u8]| {
    drop(read_as("PMTiles", "map.pmtiles", bytes));
});
