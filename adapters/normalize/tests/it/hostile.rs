//! Whatever comes in, the answer is rows or one error, never a crash and never a replacement character.

use crate::layers;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::{ErrorKind, LayerReport, Result};
use ukimet_normalize::{Declared, GEOMETRY_KEY, SourceEncoding, TEXT_KEY, text};

fn normalize(field: Field, column: ArrayRef, untyped: bool, declared: &Declared) -> Result<(RecordBatch, LayerReport)> {
    layers::normalize(layers::layer(vec![(field, column)], SourceEncoding::Unknown, untyped), declared)
}

fn marked(key: &str) -> Field {
    Field::new("c", DataType::Binary, true).with_metadata(HashMap::from([(key.to_owned(), "1".to_owned())]))
}

/// Bytes that begin like WKB, so that they get past the first check.
fn nearly_wkb() -> impl Strategy<Value = Vec<u8>> {
    let head = (0_u8..2, 0_u32..9, prop::collection::vec(any::<u8>(), 0..80));
    head.prop_map(|(order, kind, rest)| {
        let kind = if order == 1 { kind.to_le_bytes() } else { kind.to_be_bytes() };
        [&[order][..], &kind, &rest].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_are_text_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(decoded) = text::decode(&bytes, None) {
            prop_assert!(std::str::from_utf8(&bytes).is_ok() || !decoded.text.contains(char::REPLACEMENT_CHARACTER));
        }
        let column = Arc::new(BinaryArray::from_vec(vec![&bytes]));
        if let Ok((rows, report)) = normalize(marked(TEXT_KEY), column, true, &Declared::default()) {
            prop_assert_eq!((rows.num_rows(), report.rows_read), (1, 1));
        }
    }

    #[test]
    fn any_geometry_is_taken_refused_or_an_error(rows in prop::collection::vec(nearly_wkb(), 1..8)) {
        let column = Arc::new(rows.iter().map(|bytes| Some(bytes.as_slice())).collect::<BinaryArray>());
        let declared = Declared { crs: Some("OGC:CRS84".to_owned()), ..Declared::default() };
        match normalize(marked(GEOMETRY_KEY), column, false, &declared) {
            Ok((taken, report)) => {
                prop_assert_eq!(report.rows_taken + report.rows_refused, rows.len() as u64);
                prop_assert_eq!(report.rows_taken, taken.num_rows() as u64);
                let counted: u64 = report.geometry_types.values().sum();
                prop_assert_eq!(counted + report.geometry_nulls, report.rows_taken);
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidData),
        }
    }

    #[test]
    fn any_crs_is_known_or_an_error(words in "(EPSG|OGC|urn:ogc:def:crs:EPSG:|\\+proj=|GEOGCS\\[|PROJCRS\\[|\\{)[:0-9a-zA-Z\"\\[\\], =+./-]{0,40}") {
        let declared = Declared { crs: Some(words), ..Declared::default() };
        let column = Arc::new(StringArray::from(vec!["a"]));
        if let Err(error) = normalize(Field::new("c", DataType::Utf8, true), column, false, &declared) {
            prop_assert!(matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Undeclared), "{}", error);
        }
    }

    #[test]
    fn typed_text_prints_as_it_was_written(values in prop::collection::vec("-?[0-9]{1,17}(\\.[0-9]{1,6})?", 1..6)) {
        let column: ArrayRef = Arc::new(StringArray::from(values.clone()));
        let (rows, _) = normalize(Field::new("c", DataType::Utf8, true), column, true, &Declared::default()).expect("a table");
        let printed = |i: usize| arrow_cast::display::array_value_to_string(rows.column(0), i).expect("prints");
        // Trailing zeros and the point before them are notation, nothing else is.
        let plain = |text: &str| {
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
        };
        let is_decimal = rows.column(0).data_type() == &DataType::Float64;
        for (i, value) in values.iter().enumerate() {
            let exact = if is_decimal { value.parse::<f64>().ok() == printed(i).parse().ok() } else { *value == printed(i) };
            prop_assert!(exact || plain(value) == plain(&printed(i)), "{} became {}", value, printed(i));
        }
    }
}

#[test]
fn deep_definitions_and_geometries_do_not_exhaust_the_stack() {
    for crs in ["GEOGCS[".repeat(9_000), "{\"a\":".repeat(10_000), "[".repeat(60_000)] {
        let declared = Declared { crs: Some(crs), ..Declared::default() };
        let column = Arc::new(StringArray::from(vec!["a"]));
        let error = normalize(Field::new("c", DataType::Utf8, true), column, false, &declared).expect_err("no crs");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    }
    let nested = [1, 7, 0, 0, 0, 1, 0, 0, 0].repeat(10_000);
    let declared = Declared { crs: Some("OGC:CRS84".to_owned()), ..Declared::default() };
    let column = Arc::new(BinaryArray::from_vec(vec![&nested]));
    let error = normalize(marked(GEOMETRY_KEY), column, false, &declared).expect_err("no geometry");
    assert!(error.kind() == ErrorKind::InvalidData && error.message().contains("nesting"), "{error}");
}
