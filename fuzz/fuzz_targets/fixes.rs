//! Sheets of corrected rows: where their rows and columns belong, numbers of rows as text, marks against formulas.
//!
//! Lines of cells parted by tabs, the first line the names of the columns that were refused. The bytes of a sheet are
//! read by the adapter: targets `csv` and `workbook`.
#![no_main]

#[path = "../../hub/src/report/marks.rs"]
mod marks;
#[path = "../../hub/src/fixes/order.rs"]
mod order;
#[path = "../../hub/src/fixes/ranges.rs"]
mod ranges;

/// Where the hub has them.
mod report {
    pub use super::marks::{ROW_COLUMN, WHY_COLUMN};
}

use libfuzzer_sys::fuzz_target;
use order::{Cells, column_order, find_header, row_number};
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    round_trips(bytes, &text);
    let mut lines = text.split('\n').map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    let (Some(columns), Some(mut names)) = (lines.next(), lines.next()) else { return };
    let width = names.len();
    let cell = |text: String| (text != "null").then_some(text);
    let row = |line: Vec<String>| -> Cells {
        let cells = line.into_iter().map(cell).chain(std::iter::repeat_with(|| None));
        cells.take(width).collect()
    };
    let mut rows: Vec<Cells> = lines.take(256).map(row).collect();
    let before = rows.len();
    let Ok(skipped) = find_header(&mut names, &mut rows) else { return };
    assert_eq!((names.len(), before), (width, rows.len() + skipped as usize));
    for row in &rows {
        if let Ok(Some(number)) = row_number(&names, row) {
            assert!(number < u64::MAX);
        }
    }
    if let Ok(order) = column_order(&columns, &names, &rows) {
        assert!(order.iter().zip(&columns).all(|(at, column)| names[*at] == *column));
    }
});

fn round_trips(bytes: &[u8], text: &str) {
    let numbers: BTreeSet<u64> = bytes.chunks_exact(2).map(|pair| u64::from(pair[0]) << (pair[1] % 57)).collect();
    assert_eq!(ranges::parse_ranges(&ranges::ranges(&numbers)), numbers);
    assert_eq!(marks::unguarded(&marks::guarded(text)), text);
}
