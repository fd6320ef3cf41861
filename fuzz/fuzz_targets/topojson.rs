//! Topologies: shared arcs expanded, objects read as GeoJSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::read_as;

fuzz_target!(|bytes: &[u8]| {
    drop(read_as("TopoJSON", "map.topojson", bytes));
});
