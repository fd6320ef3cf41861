//! CSV: what is odd about it is told.

use crate::formats::{only, text};
use crate::geojson::found;

#[tokio::test]
async fn lone_quotes_blank_lines_and_odd_names_are_told() {
    let layer = only("a.csv", b"a,a,\n1,\"x\"y,2\n\n3,b\"c,\"d\ne\"\r\n").await;
    assert_eq!((layer.rows(), text(&layer, "a_2", 0), text(&layer, "a_2", 1)), (2, "xy".to_owned(), "b\"c".to_owned()));
    assert_eq!(found(&layer, "csv.lone_quote").examples[0].row, Some(0));
    assert_eq!(found(&layer, "csv.blank_line").examples[0].found, "1 lines");
    assert_eq!(found(&layer, "csv.repeated_name").examples[0].found, "column 2");
    assert_eq!(found(&layer, "csv.unnamed_column").examples[0].found, "column 3");
}
