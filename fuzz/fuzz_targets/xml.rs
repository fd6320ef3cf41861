//! What we read of XML ourselves: prolog, nesting, tags.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::xml;

fuzz_target!(|bytes: &[u8]| {
    let (deepest, tags) = xml(bytes);
    assert!(deepest as usize <= bytes.len() && tags <= bytes.len());
});
