//! Layers made of columns, and their way through every rule.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use std::sync::Arc;
use ukimet_model::{LayerReport, Result};
use ukimet_normalize::{Declared, Limits, SourceEncoding, SourceLayer, Survey};

/// What is known of a table in UTF-8.
pub(crate) const UTF8: SourceEncoding = SourceEncoding::Utf8 { transcoded_from: None };

/// A layer of these columns, and all its rows as one raw batch.
pub(crate) fn layer(
    columns: Vec<(Field, ArrayRef)>,
    encoding: SourceEncoding,
    untyped: bool,
) -> (SourceLayer, RecordBatch) {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let layer = SourceLayer {
        name: "layer".to_owned(),
        format: "test".to_owned(),
        schema: Arc::clone(&schema),
        raw_names: None,
        crs: None,
        encoding,
        untyped,
    };
    (layer, RecordBatch::try_new(schema, columns).expect("columns fit"))
}

/// What becomes of a layer.
pub(crate) fn normalize(
    (layer, raw): (SourceLayer, RecordBatch),
    declared: &Declared,
) -> Result<(RecordBatch, LayerReport)> {
    let mut survey = Survey::begin(&layer, declared, &Limits::default())?;
    if survey.needs_more() {
        survey.observe(&raw)?;
    }
    let mut normalizer = survey.finish()?.normalizer();
    let rows = normalizer.normalize(&raw)?.into_rows();
    Ok((rows, normalizer.finish()?.0))
}
