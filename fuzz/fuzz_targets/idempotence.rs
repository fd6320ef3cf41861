//! What was normalized stays what it is: normalise(normalise(x)) = normalise(x).
//!
//! Lines of cells parted by tabs, the first line the names: first as untyped text, then as the rows that were published.
#![no_main]

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use ukimet_normalize::{Declared, Limits, SourceEncoding, SourceLayer, Survey};

fn table(text: &str) -> Option<RecordBatch> {
    let mut lines = text.split('\n');
    let names: Vec<&str> = lines.next()?.split('\t').take(6).collect();
    let rows: Vec<Vec<&str>> = lines.take(64).map(|line| line.split('\t').collect()).collect();
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let column = |n: usize| Arc::new(rows.iter().map(|row| row.get(n).copied()).collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..names.len()).map(column).collect()).ok()
}

/// The rows as they are published, if none was refused.
fn normalize(raw: &RecordBatch, untyped: bool) -> Option<RecordBatch> {
    let layer = SourceLayer {
        name: "layer".to_owned(),
        format: "CSV".to_owned(),
        schema: raw.schema(),
        raw_names: None,
        crs: None,
        encoding: SourceEncoding::Utf8 { transcoded_from: None },
        untyped,
    };
    let mut survey = Survey::begin(&layer, &Declared::default(), &Limits::default()).ok()?;
    if survey.needs_more() {
        survey.observe(raw).ok()?;
    }
    let rows = survey.finish().ok()?.normalizer().normalize(raw).ok()?.into_rows();
    (rows.num_rows() == raw.num_rows() && rows.num_columns() == raw.num_columns()).then_some(rows)
}

fuzz_target!(|text: &str| {
    let Some(raw) = table(text) else { return };
    let Some(once) = normalize(&raw, true) else { return };
    // Places come out as WKB, which no table of text has.
    if once.schema().fields().iter().any(|field| field.data_type() == &DataType::Binary) {
        return;
    }
    let twice = normalize(&once, false).expect("what was published can be published again");
    assert_eq!(twice.schema().fields().len(), once.schema().fields().len());
    for (n, field) in once.schema().fields().iter().enumerate() {
        assert_eq!(twice.schema().field(n).name(), field.name());
        assert_eq!(twice.column(n), once.column(n), "column {}", field.name());
    }
});
