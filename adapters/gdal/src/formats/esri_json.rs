//! Esri JSON, as feature services of `ArcGIS` answer.
//!
//! GDAL gives dates and large numbers as text, and curves as nothing: the types of the fields are applied here, and a
//! file with curves is refused. An answer that the service cut says so, which the report repeats.

use super::Format;
use super::geojson::open_with_gdal;
use crate::source::{Context, Reader, Rows, Source, Staged, finding};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::SourceLayer;

pub(super) const FORMAT: Format = Format {
    name: "Esri JSON",
    driver: Some("ESRIJSON"),
    media_types: &["application/vnd.esri.featureset+json"],
    extensions: &["json", "esrijson"],
    sidecars: &[],
    recognize: |clues| {
        clues.json.as_ref().is_some_and(|json| {
            json.has("features")
                && (json.has("geometryType") || json.has("spatialReference") || json.has("fieldAliases"))
        })
    },
    open: |staged, context| FeatureSet::open(staged, context),
};

/// What GDAL leaves out of a feature set.
#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    fields: Vec<EsriField>,
    features: Vec<EsriFeature>,
    #[serde(default, rename = "exceededTransferLimit")]
    is_cut: bool,
}

#[derive(Deserialize)]
struct EsriField {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct EsriFeature {
    geometry: Option<EsriGeometry>,
}

/// Which members a geometry has.
#[derive(Deserialize)]
struct EsriGeometry {
    x: Option<IgnoredAny>,
    points: Option<IgnoredAny>,
    paths: Option<IgnoredAny>,
    rings: Option<IgnoredAny>,
    #[serde(rename = "curvePaths")]
    curve_paths: Option<IgnoredAny>,
    #[serde(rename = "curveRings")]
    curve_rings: Option<IgnoredAny>,
}

impl EsriGeometry {
    fn has_curves(&self) -> bool {
        self.curve_paths.is_some() || self.curve_rings.is_some()
    }

    /// Whether GDAL draws it.
    fn is_drawn(&self) -> bool {
        self.x.is_some() || self.points.is_some() || self.paths.is_some() || self.rings.is_some()
    }
}

struct FeatureSet {
    file: Box<dyn Source>,
    types: BTreeMap<String, DataType>,
    findings: Vec<Diagnostic>,
}

impl FeatureSet {
    fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let file = open_with_gdal(FORMAT.name, "ESRIJSON", staged, context)?;
        let bytes = fs::read(&staged.main)
            .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
        let mut set = Self { file, types: BTreeMap::new(), findings: Vec::new() };
        let outline: Outline = match serde_json::from_slice(&bytes) {
            Ok(outline) => outline,
            Err(error) => {
                let message =
                    "the file is no strict JSON: dates and large numbers stay text, and what is missing is not known";
                set.findings.push(finding(
                    "esri.loose_json",
                    Severity::Warning,
                    message.to_owned(),
                    1,
                    &[error.to_string()],
                ));
                return Ok(Box::new(set));
            }
        };
        set.check_geometries(&outline)?;
        if outline.is_cut {
            let message = "the service says that it has more features than this answer (exceededTransferLimit)";
            let found = [format!("{} features", outline.features.len())];
            set.findings.push(finding("esri.transfer_limit", Severity::Warning, message.to_owned(), 1, &found));
        }
        let types = outline.fields.into_iter().filter_map(|field| Some((field.name, typed(&field.kind)?)));
        set.types = types.collect();
        set.drop_misfits()?;
        Ok(Box::new(set))
    }

    fn check_geometries(&mut self, outline: &Outline) -> Result<()> {
        let geometries = || outline.features.iter().filter_map(|feature| feature.geometry.as_ref());
        let curves = geometries().filter(|geometry| geometry.has_curves()).count();
        if curves > 0 {
            return Err(Error::invalid_data(format!(
                "geometries of straight lines were expected, found {curves} with curves: ask the service with returnTrueCurves=false"
            )));
        }
        let unknown = geometries().filter(|geometry| !geometry.is_drawn()).count();
        if unknown > 0 {
            let message = "geometries that are no points, paths or rings were left out".to_owned();
            self.findings.push(finding("esri.geometry_left_out", Severity::Warning, message, unknown as u64, &[]));
        }
        Ok(())
    }

    /// Looks through the columns that are to be typed; one whose text is not always a number stays text.
    fn drop_misfits(&mut self) -> Result<()> {
        let mut misfits = BTreeMap::new();
        let mut rows = self.file.rows(0, 16_384)?;
        while let Some(batch) = rows.next()? {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if self.types.contains_key(field.name())
                    && let Some(texts) = column.as_string_opt::<i32>()
                    && let Some(misfit) = texts.iter().flatten().find(|text| number(text).is_none())
                {
                    misfits.entry(field.name().clone()).or_insert_with(|| misfit.to_owned());
                }
            }
        }
        drop(rows);
        self.types.retain(|name, _| !misfits.contains_key(name));
        if !misfits.is_empty() {
            let message = "dates or large numbers that are no whole numbers stay text".to_owned();
            let found: Vec<String> = misfits.iter().map(|(name, text)| format!("{name}: {text}")).collect();
            self.findings.push(finding("esri.misfit", Severity::Warning, message, found.len() as u64, &found));
        }
        Ok(())
    }
}

/// The type of a field that GDAL gives as text.
fn typed(kind: &str) -> Option<DataType> {
    match kind {
        // Milliseconds since 1970 in UTC.
        "esriFieldTypeDate" => Some(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        "esriFieldTypeBigInteger" => Some(DataType::Int64),
        _ => None,
    }
}

/// A whole number that is also one of microseconds.
fn number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.checked_mul(1_000).is_some())
}

impl Source for FeatureSet {
    fn layers(&self) -> &[LayerInfo] {
        self.file.layers()
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let rows = self.file.rows(layer, rows_max)?;
        let fields = rows.layer().schema.fields().clone();
        let fields = fields.iter().map(|field| match self.types.get(field.name()) {
            Some(data_type) if field.data_type() == &DataType::Utf8 => {
                Arc::new(Field::new(field.name(), data_type.clone(), true))
            }
            _ => Arc::clone(field),
        });
        let schema = Schema::new(fields.collect::<Vec<_>>()).into();
        Ok(Box::new(FeatureRows { rows, schema }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.findings.iter().cloned().chain(self.file.findings()).collect()
    }

    fn reader(&self) -> Reader {
        self.file.reader()
    }
}

struct FeatureRows<'a> {
    rows: Box<dyn Rows + 'a>,
    schema: SchemaRef,
}

impl Rows for FeatureRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer { schema: SchemaRef::clone(&self.schema), ..self.rows.layer() }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let columns = rows.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            let numbers = || column.as_string::<i32>().iter().map(|text| text.and_then(number));
            match field.data_type() {
                to if to == column.data_type() => ArrayRef::clone(column),
                DataType::Int64 => Arc::new(numbers().collect::<Int64Array>()),
                _ => {
                    let moments = numbers().map(|number| number.map(|number| number * 1_000));
                    Arc::new(moments.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
                }
            }
        });
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns.collect())
            .map(Some)
            .map_err(|error| Error::internal("typed columns do not fit their schema").caused_by(error))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        self.rows.findings()
    }
}
