//! Raw rows of a Gauss-Krüger zone with text in Kazakh and Russian become published ones.

use crate::kernel::Work;
use crate::parcels::{COLUMNS, attributes, rings};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::{Error, Result};
use ukimet_normalize::{Declared, GEOMETRY_KEY, Limits, SourceEncoding, SourceLayer, Survey};

pub(crate) const ROWS: u64 = 5000;

/// Metres in zone 13 of EPSG:28413, near Almaty.
const ORIGIN_M: (f64, f64) = (13_500_000.0, 4_780_000.0);
const STEP_M: (f64, f64) = (40.0, 40.0);

/// The first pass: a layer is begun, its text seen, every decision made.
pub(crate) fn survey(rows: u64) -> Result<Work> {
    let (layer, raw) = layer(rows)?;
    let columns = layer.schema.fields().len() as u64;
    Ok(Work::new(columns, move || Ok(begin(&layer, &raw)?.finish()?.schema().fields().len() as u64)))
}

/// The second pass over one batch, in which no row is refused.
pub(crate) fn normalize(rows: u64) -> Result<Work> {
    let (layer, raw) = layer(rows)?;
    let mut normalizer = begin(&layer, &raw)?.finish()?.normalizer();
    Ok(Work::new(rows, move || {
        let taken = normalizer.normalize(&raw)?.rows().num_rows();
        drop((normalizer.take_verdicts(), normalizer.take_quarantined()));
        Ok(taken as u64)
    }))
}

fn begin(layer: &SourceLayer, raw: &RecordBatch) -> Result<Survey> {
    let declared = Declared { crs: Some("EPSG:28413".to_owned()), ..Declared::default() };
    let mut survey = Survey::begin(layer, &declared, &Limits::default())?;
    survey.observe(raw)?;
    Ok(survey)
}

/// A layer as a reader hands it over, with all its rows.
fn layer(rows: u64) -> Result<(SourceLayer, RecordBatch)> {
    let place = HashMap::from([(GEOMETRY_KEY.to_owned(), "1".to_owned())]);
    let mut fields: Vec<_> = COLUMNS.iter().map(|(name, _, kind)| Field::new(*name, kind.clone(), true)).collect();
    fields.push(Field::new("geom", DataType::Binary, true).with_metadata(place));
    let mut columns = attributes(rows);
    columns.push(Arc::new(rings(rows, ORIGIN_M, STEP_M)));
    let raw = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|e| Error::internal("columns of made-up parcels do not fit").caused_by(e))?;
    let layer = SourceLayer {
        name: "parcels".to_owned(),
        format: "GPKG".to_owned(),
        schema: raw.schema(),
        raw_names: None,
        crs: None,
        encoding: SourceEncoding::Utf8 { transcoded_from: None },
        untyped: false,
    };
    Ok((layer, raw))
}
