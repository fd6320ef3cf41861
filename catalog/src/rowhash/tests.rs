//! Pins the hashes, so that no change of code or of a library changes them unseen.

use super::row_hashes;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int64Array, RecordBatch, StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt16Array,
};
use arrow_schema::{DataType, Field};
use std::sync::Arc;

fn hashes(column: ArrayRef) -> Vec<u128> {
    row_hashes(&RecordBatch::try_from_iter([("c", column)]).expect("one column")).expect("published")
}

fn every_type() -> RecordBatch {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), None]);
    list.append_value(Vec::<Option<&str>>::new());
    list.append_null();
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let fields = vec![Field::new("n", DataType::Int64, true)];
    let nulls = vec![true, true, false].into();
    let structure = StructArray::new(fields.into(), vec![inner], Some(nulls));
    let decimal = Decimal128Array::from(vec![Some(12_345), Some(-1), None]).with_precision_and_scale(10, 2);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("signed", Arc::new(Int8Array::from(vec![Some(-5), Some(0), None]))),
        ("unsigned", Arc::new(UInt16Array::from(vec![Some(65_535), Some(0), None]))),
        ("float", Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None]))),
        ("decimal", Arc::new(decimal.expect("fits"))),
        ("text", Arc::new(StringArray::from(vec![Some("Әлия"), Some(""), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(20_000), Some(-1), None]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1), Some(2), None]))),
        ("instant", Arc::new(TimestampMicrosecondArray::from(vec![Some(1), Some(2), None]).with_timezone("UTC"))),
        ("list", Arc::new(list.finish())),
        ("structure", Arc::new(structure)),
        ("geometry", Arc::new(BinaryArray::from(vec![Some(&b"\x01\x02"[..]), Some(b""), None]))),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[test]
fn the_hashes_of_every_type_are_the_ones_they_always_were() {
    let found: Vec<String> =
        row_hashes(&every_type()).expect("published").iter().map(|hash| format!("{hash:032x}")).collect();
    assert_eq!(
        found,
        ["df174b9765b614e5ad8174e43de75a52", "703dfc75c163d064cb997cff9488be4b", "82aae3a37966befaf20ccef0faa842c8"]
    );
}

#[test]
fn a_hash_does_not_depend_on_how_the_rows_are_cut() {
    let rows = every_type();
    let whole = row_hashes(&rows).expect("published");
    for (i, hash) in whole.iter().enumerate() {
        assert_eq!(row_hashes(&rows.slice(i, 1)).expect("published"), [*hash]);
    }
    let many = Arc::new(Int64Array::from_iter_values(0..10_000));
    let all = hashes(many.clone());
    assert_eq!(hashes(Arc::new(many.slice(5000, 100))), all[5000..5100]);
}

#[test]
fn null_and_empty_differ_and_nan_is_one_value() {
    let text = hashes(Arc::new(StringArray::from(vec![Some(""), None, Some("\0")])));
    assert!(text[0] != text[1] && text[0] != text[2] && text[1] != text[2]);
    let other_nan = f64::from_bits(0xfff8_0000_0000_0001);
    let floats = hashes(Arc::new(Float64Array::from(vec![f64::NAN, other_nan, 0.0, -0.0])));
    assert_eq!(floats[0], floats[1]);
    assert_ne!(floats[2], floats[3]);
}

#[test]
fn a_value_has_one_hash_in_every_width() {
    assert_eq!(hashes(Arc::new(Int8Array::from(vec![7]))), hashes(Arc::new(Int64Array::from(vec![7]))));
    assert_eq!(hashes(Arc::new(Float32Array::from(vec![0.5]))), hashes(Arc::new(Float64Array::from(vec![0.5]))));
    assert_ne!(hashes(Arc::new(UInt16Array::from(vec![7]))), hashes(Arc::new(Int64Array::from(vec![7]))));
}

#[test]
fn values_do_not_run_into_the_next_column() {
    let row = |a: &str, b: &str| {
        let text = |s: &str| -> ArrayRef { Arc::new(StringArray::from(vec![s])) };
        let rows = RecordBatch::try_from_iter([("a", text(a)), ("b", text(b))]).expect("two columns");
        row_hashes(&rows).expect("published")[0]
    };
    assert_ne!(row("ab", "c"), row("a", "bc"));
    assert_ne!(row("a", ""), row("", "a"));
}
