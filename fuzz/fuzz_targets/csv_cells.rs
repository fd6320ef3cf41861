//! The cells of a CSV against those of the `csv` crate, where both mean the same: quotes are closed and nothing follows
//! them. The first byte chooses the separator.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ukimet_adapter_gdal::fuzzing::csv_records;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let separator = b",;\t|"[usize::from(*choice % 4)];
    // The other reader takes a byte order mark away, which ours never sees.
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return;
    }
    let Ok((records, lone_quotes)) = csv_records(bytes, separator) else { return };
    if lone_quotes > 0 {
        return;
    }
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).delimiter(separator).from_reader(bytes);
    let others: Vec<Vec<Vec<u8>>> = reader
        .byte_records()
        .map(|record| record.expect("bytes in memory").iter().map(<[u8]>::to_vec).collect())
        .collect();
    assert_eq!(records, others);
});
