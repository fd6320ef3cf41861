//! What was normalized stays what it is: normalise(normalise(x)) = normalise(x).
//!
//! Lines of cells parted by tabs: first as untyped text, then as the rows that were published. Names are fixed: some say
//! what a column holds, none says that it is a place.
#![no_main]

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use ukimet_normalize::{Declared, Limits, SourceEncoding, SourceLayer, Survey};

const NAMES: [&str; 6] = ["name", "iin", "created", "value", "kato", "phone"];

fn table(text: &str) -> Option<RecordBatch> {
    let rows: Vec<Vec<&str>> = text.split('\n').take(64).map(|line| line.split('\t').collect()).collect();
    let columns = rows.iter().map(Vec::len).max()?.min(NAMES.len());
    let fields: Vec<Field> = NAMES[..columns].iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let column = |n: usize| Arc::new(rows.iter().map(|row| row.get(n).copied()).collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..columns).map(column).collect()).ok()
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
