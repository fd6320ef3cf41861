//! A table of foreign bytes through every rule: encodings, coordinates, WKT, types, codes. Rows are counted, never lost.
#![no_main]

use arrow_array::{ArrayRef, BinaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_normalize::{Declared, Limits, SourceEncoding, SourceLayer, Survey, TEXT_KEY};

/// Lines of cells parted by tabs, the first line the names; every row as wide as the first.
fn table(bytes: &[u8]) -> Option<(SourceLayer, RecordBatch)> {
    let mut lines = bytes.split(|b| *b == b'\n');
    let names: Vec<Vec<u8>> = lines.next()?.split(|b| *b == b'\t').take(8).map(<[u8]>::to_vec).collect();
    let rows: Vec<Vec<&[u8]>> = lines.take(64).map(|line| line.split(|b| *b == b'\t').collect()).collect();
    let text = HashMap::from([(TEXT_KEY.to_owned(), "1".to_owned())]);
    let field = |n: usize| Field::new(format!("c{n}"), DataType::Binary, true).with_metadata(text.clone());
    let schema = Arc::new(Schema::new((0..names.len()).map(field).collect::<Vec<_>>()));
    let column = |n: usize| Arc::new(rows.iter().map(|row| row.get(n).copied()).collect::<BinaryArray>()) as ArrayRef;
    let batch = RecordBatch::try_new(Arc::clone(&schema), (0..names.len()).map(column).collect()).ok()?;
    let layer = SourceLayer {
        name: "layer".to_owned(),
        format: "CSV".to_owned(),
        schema,
        raw_names: Some(names),
        crs: None,
        encoding: SourceEncoding::Unknown,
        untyped: true,
    };
    Some((layer, batch))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((layer, raw)) = table(bytes) else { return };
    let Ok(mut survey) = Survey::begin(&layer, &Declared::default(), &Limits::default()) else { return };
    if survey.observe(&raw).is_err() {
        return;
    }
    let Ok(plan) = survey.finish() else { return };
    let schema = plan.schema();
    let mut normalizer = plan.normalizer();
    let Ok(batch) = normalizer.normalize(&raw) else { return };
    assert_eq!(batch.rows().schema(), schema);
    let quarantined = normalizer.take_quarantined().len() as u64;
    let Ok((report, _)) = normalizer.finish() else { return };
    assert_eq!(report.rows_read, raw.num_rows() as u64);
    assert_eq!(report.rows_taken, batch.rows().num_rows() as u64);
    assert_eq!(report.rows_refused, quarantined);
});
