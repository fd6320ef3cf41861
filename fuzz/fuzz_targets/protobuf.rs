//! Fields of protocol buffers, and the frames of an OSM PBF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::{pbf_frames, protobuf_fields};

fuzz_target!(|bytes: &[u8]| {
    assert!(protobuf_fields(bytes) <= bytes.len());
    drop(pbf_frames(bytes));
});
