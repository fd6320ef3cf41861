//! Rows of differences in files and in words.

use super::*;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use std::sync::Arc;
use ukimet_model::batch::geometry_field;
use ukimet_model::{ChangeCounts, RowQuery, SnapshotId, VersionNumber};

fn point(x: f64, y: f64) -> Vec<u8> {
    [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
}

/// One row that was changed and one that was removed; the version after has no columns that were asked for if `is_cut`.
fn batch(is_cut: bool) -> RecordBatch {
    let fields = Fields::from(vec![Arc::new(Field::new("n", DataType::Int64, true)), Arc::new(geometry_field())]);
    let place: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(&point(76.0, 43.0)), Some(&point(77.0, 43.0))]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(2)]));
    let before = StructArray::new(fields.clone(), vec![numbers, Arc::clone(&place)], None);
    let nulls = Some(vec![true, false].into());
    let after = if is_cut {
        StructArray::new_empty_fields(2, nulls)
    } else {
        // A value below a missing row is nothing that anyone may see.
        StructArray::new(fields, vec![Arc::new(Int64Array::from(vec![1, 99])), Arc::clone(&place)], nulls)
    };
    let mut changed = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
    changed.append_value([Some("n")]);
    changed.append_null();
    let changed: ListArray = changed.finish();
    let schema = Schema::new(vec![
        Field::new("operation", DataType::Utf8, false),
        Field::new("changed", changed.data_type().clone(), true),
        Field::new("before", before.data_type().clone(), true),
        Field::new("after", after.data_type().clone(), true),
        geometry_field(),
    ]);
    let operations = StringArray::from(vec!["changed", "removed"]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(operations), Arc::new(changed), Arc::new(before), Arc::new(after), place];
    RecordBatch::try_new(Arc::new(schema), columns).expect("columns fit")
}

fn written(format: DiffFormat, batch: &RecordBatch) -> Vec<u8> {
    let heading = DiffHeading {
        dataset: "a/b".parse().expect("valid"),
        snapshot: SnapshotId(2),
        from: (VersionNumber(1), jiff::Timestamp::UNIX_EPOCH),
        to: (VersionNumber(2), jiff::Timestamp::UNIX_EPOCH),
        key: Vec::new(),
        columns: Vec::new(),
        asked: RowQuery::default(),
        reread: None,
        filter: None,
    };
    let limits = PageLimits { diff_rows_max: 10, diff_positions_max: 10 };
    let options = PageOptions { language: crate::report::texts::Language::En, limits };
    let file = tempfile::NamedTempFile::new().expect("a file");
    let handle = file.as_file().try_clone().expect("a handle");
    let mut target = DiffFile::create(format, handle, &batch.schema(), heading, options).expect("begins");
    target.write(batch).expect("written");
    target.finish().expect("complete");
    std::fs::read(file.path()).expect("read")
}

#[test]
fn a_side_without_columns_has_no_place_in_parquet_and_hinders_no_format() {
    for format in DiffFormat::value_variants() {
        for is_cut in [false, true] {
            assert!(!written(*format, &batch(is_cut)).is_empty(), "{format:?}");
        }
    }
}

#[test]
fn what_lies_below_a_missing_row_is_not_shown() {
    let csv = String::from_utf8(written(DiffFormat::Csv, &batch(false))).expect("text");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "operation,changed,before.n,before.geometry,after.n,after.geometry,geometry");
    assert_eq!(lines[1], "changed,\"[\"\"n\"\"]\",,POINT(76 43),1,POINT(76 43),POINT(76 43)");
    assert_eq!(lines[2], "removed,,2,POINT(77 43),,,POINT(77 43)");
    let page = String::from_utf8(written(DiffFormat::Html, &batch(false))).expect("text");
    assert!(!page.contains("99</div>") && page.contains("[[[0,770000000,430000000]],null]"), "{page}");
}

#[test]
fn rows_are_put_into_words() {
    let rows = words(&batch(false)).expect("a difference");
    assert_eq!(rows[0].cells_shown(), ["n: ∅ → 1"]);
    assert_eq!((rows[1].cells_shown(), rows[1].operation), (vec!["n: 2".to_owned()], Operation::Removed));
    let mut counts = ChangeCounts::default();
    count_rows(&mut counts, &batch(false)).expect("a difference");
    assert_eq!(counts, ChangeCounts { added: 0, removed: 1, changed: 1 });
}

#[test]
fn the_policy_of_a_page_allows_its_own_script_and_no_other() {
    let page = String::from_utf8(written(DiffFormat::Html, &batch(false))).expect("text");
    let script = page.rsplit("<script>").next().and_then(|rest| rest.split("</script>").next()).expect("a script");
    let hash = <sha2::Sha256 as sha2::Digest>::digest(script);
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
    assert!(page.contains(&format!("script-src 'sha256-{hash}';")) && !policy().contains("unsafe"), "{}", policy());
}
