//! Flight commands and tickets: what reads as one reads the same after a second time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_hub::export::ExportRequest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = ExportRequest::from_json(bytes) else { return };
    let again = ExportRequest::from_json(&request.to_json()).expect("a request reads back");
    assert_eq!(again, request);
});
