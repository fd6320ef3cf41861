//! CSV: what is odd about it is told.

use crate::adapter::{Adapter, Ask, read};
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

#[tokio::test]
async fn utf_16_without_a_mark_is_text_declared_or_not() {
    let adapter = Adapter::start(&[]).await;
    for content in ["id,name\r\n1,school\r\n", "id,атауы\r\n1,Әлия ауылы\r\n"] {
        let little: Vec<u8> = content.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = content.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, encoding) in [(little, "UTF-16LE"), (big, "UTF-16BE")] {
            for declared in [None, Some(encoding.to_owned())] {
                let ask = Ask { encoding: declared, ..Ask::named("a.csv") };
                let layers = read(&adapter, &ask, &bytes).await.expect(encoding);
                let name = layers[0].schema.field(1).name().clone();
                let found = (text(&layers[0], &name, 0), layers[0].report.source_encoding.clone());
                let last = content.trim_end().rsplit(',').next().expect("a cell").to_owned();
                assert_eq!(found, (last, Some(encoding.to_owned())), "{content:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_zero_byte_in_a_cell_is_dropped_and_told_and_bytes_of_no_text_are_none() {
    let layer = only("a.csv", b"id,name\n1,one\n2,t\0wo\n").await;
    assert_eq!(text(&layer, "name", 1), "two");
    assert_eq!(found(&layer, "text.control").count, 1);
    let adapter = Adapter::start(&[]).await;
    for bytes in [&[0, 1, 2, 3][..], &[b'a', 0, 0, 0, b'b', 1, 1, 1], &[0; 64]] {
        let error = read(&adapter, &Ask::named("a.csv"), bytes).await.map(|_| ()).expect_err("no text");
        assert!(error.message().contains("unknown bytes"), "{error}");
    }
}

#[tokio::test]
async fn utf_8_that_was_read_as_latin_1_is_read_again() {
    let latin: String = "атауы,ауданы\nҚызылорда қаласы,Арал\nӘулиекөл ауылы,Жаңаөзен\nШымкент қаласы,Түркістан\n"
        .bytes()
        .map(char::from)
        .collect();
    let layer = only("a.csv", latin.as_bytes()).await;
    let first = layer.batches[0].column(0);
    assert_eq!(arrow_cast::display::array_value_to_string(first, 0).expect("shown"), "Қызылорда қаласы");
    assert_eq!(found(&layer, "text.mojibake").count, 6);
}
