//! Flight commands and tickets, the filter in them included: what reads as one reads the same after a second time.
//!
//! The type is taken out of the hub file by file: the hub itself would be most of the build.
#![no_main]

#[path = "../../hub/src/export/diff_from.rs"]
mod diff_from;
#[path = "../../hub/src/export/request.rs"]
#[allow(dead_code)]
mod request;
#[path = "../../hub/src/report/table.rs"]
mod table;

#[path = "../hub/filter.rs"]
#[allow(dead_code)]
mod filter;

/// Where the hub has it.
mod report {
    pub use super::table::ReportTable;
}

use libfuzzer_sys::fuzz_target;
use request::ExportRequest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = ExportRequest::from_json(bytes) else { return };
    let again = ExportRequest::from_json(&request.to_json()).expect("a request reads back");
    assert_eq!(again, request);
    let text = String::from_utf8_lossy(bytes);
    if let Ok(table) = text.parse::<report::ReportTable>() {
        assert!(matches!(table, report::ReportTable::Verdicts | report::ReportTable::Quarantine));
    }
});
