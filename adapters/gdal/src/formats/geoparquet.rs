//! `GeoParquet` and plain Parquet, by the parquet crate. Geometry is WKB; its CRS stands in the `geo` metadata.

mod pages;

use super::Format;
use crate::columnar::{BatchRows, Columns, GeometryColumn, Native, guarded, plan, projjson_crs};
use crate::gdal::named_crs;
use crate::source::{Context, Reader, Rows, Source, Staged, Tallies};
use arrow_schema::{Field, Schema};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::LogicalType;
use parquet::schema::types::SchemaDescriptor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Diagnostic, Error, Result, Severity};

pub(super) const FORMAT: Format = Format {
    name: "GeoParquet",
    driver: None,
    media_types: &["application/vnd.apache.parquet", "application/x-parquet"],
    extensions: &["parquet", "geoparquet"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"PAR1"),
    open: |staged, context| ParquetFile::open(staged, context),
};

/// Rows that are looked at for a geometry that nothing declares.
const SAMPLE_ROWS: usize = 1_024;

struct ParquetFile {
    path: PathBuf,
    columns: Columns,
    layers: Vec<LayerInfo>,
}

fn file(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = file(path)?;
    guarded(FORMAT.name, || ParquetRecordBatchReaderBuilder::try_new(file))?
        .map_err(|error| Error::invalid_data("the Parquet file is cut or damaged").caused_by(error))
}

fn batches(builder: ParquetRecordBatchReaderBuilder<File>, rows_max: usize) -> Result<ParquetRecordBatchReader> {
    guarded(FORMAT.name, || builder.with_batch_size(rows_max).build())?
        .map_err(|error| Error::invalid_data("the Parquet file is damaged").caused_by(error))
}

impl ParquetFile {
    fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let builder = builder(&staged.main)?;
        pages::check(&file(&staged.main)?, builder.metadata(), context.limits.pages_bytes_max)?;
        let schema = builder.schema();
        if schema.fields().len() > context.limits.fields_max {
            return Err(Error::limit_reached(format!(
                "a layer has at most {} columns, found {}",
                context.limits.fields_max,
                schema.fields().len()
            )));
        }
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let geo = metadata.into_iter().flatten().find(|pair| pair.key == "geo").and_then(|pair| pair.value.clone());
        let mut geo = GeoMetadata::parse(geo.as_deref(), schema)?;
        geo.add_logical_types(builder.parquet_schema());
        let mut columns = plan(schema, &geo.columns, geo.primary.as_deref(), &geo.left_out);
        columns.is_crs_declared = context.options.crs.is_some();
        columns.findings.extend(geo.tallies.diagnostics());
        let rows_declared = u64::try_from(builder.metadata().file_metadata().num_rows()).ok();
        columns.find_geometry(FORMAT.name, batches(builder, SAMPLE_ROWS)?)?;
        let layer = LayerInfo {
            name: staged.stem().to_owned(),
            rows_declared,
            crs: columns.crs.as_ref().map(ToString::to_string),
            has_geometry: columns.has_geometry(),
            fields: columns.schema.fields().iter().map(|field| field.name().clone()).collect(),
        };
        Ok(Box::new(Self { path: staged.main.clone(), columns, layers: vec![layer] }))
    }
}

/// The `geo` metadata, as far as it decides how columns are read.
#[derive(Default)]
struct GeoMetadata {
    columns: BTreeMap<String, GeometryColumn>,
    primary: Option<String>,
    left_out: Vec<String>,
    tallies: Tallies,
}

impl GeoMetadata {
    fn parse(text: Option<&str>, schema: &Schema) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Error::invalid_data("the geo metadata of the Parquet file is not JSON").caused_by(error)
        })?;
        let mut geo =
            Self { primary: value.get("primary_column").and_then(Value::as_str).map(str::to_owned), ..Self::default() };
        for (name, column) in value.get("columns").and_then(Value::as_object).into_iter().flatten() {
            let encoding = column.get("encoding").and_then(Value::as_str).unwrap_or_default();
            let data_type = schema.field_with_name(name).ok().map(Field::data_type);
            let native = data_type.and_then(|data_type| Native::of(encoding, data_type));
            if encoding != "WKB" && native.is_none() && data_type.is_some() {
                return Err(Error::invalid_data(format!(
                    "geometry column {} has encoding {}, served are WKB and the native ones",
                    quoted(name),
                    quoted(encoding)
                )));
            }
            let bounds = column.pointer("/covering/bbox/xmin/0").and_then(Value::as_str);
            geo.left_out.extend(bounds.map(str::to_owned));
            if column.get("edges").and_then(Value::as_str) == Some("spherical") {
                geo.tell_spherical(name);
            }
            if let Some(epoch) = column.get("epoch") {
                let message = "coordinates of a moving system have an epoch, which was not applied";
                let (severity, found) = (Severity::Warning, epoch.to_string());
                geo.tallies.add("geoparquet.epoch", severity, message, None, Some(name), &found, None);
            }
            geo.columns.insert(name.clone(), GeometryColumn { crs: column_crs(column), native });
        }
        if geo.primary.is_none() {
            geo.primary = geo.columns.keys().next().cloned();
        }
        Ok(geo)
    }

    fn tell_spherical(&mut self, name: &str) {
        let message = "edges between positions follow the sphere; they were taken as straight in the coordinates";
        self.tallies.add("geoparquet.spherical_edges", Severity::Warning, message, None, Some(name), "spherical", None);
    }

    /// Adds columns of Parquet's own types `GEOMETRY` and `GEOGRAPHY` that the `geo` metadata does not name.
    fn add_logical_types(&mut self, schema: &SchemaDescriptor) {
        for column in schema.columns() {
            let name = column.name();
            if column.path().parts().len() != 1 || self.columns.contains_key(name) {
                continue;
            }
            let crs = match column.logical_type_ref() {
                Some(LogicalType::Geometry(geometry)) => geometry.crs.as_deref(),
                Some(LogicalType::Geography(geography)) => {
                    self.tell_spherical(name);
                    geography.crs.as_deref()
                }
                _ => continue,
            };
            let crs = crs.map_or_else(|| Some(Crs::crs84()), logical_crs);
            self.columns.insert(name.to_owned(), GeometryColumn { crs, native: None });
            self.primary.get_or_insert_with(|| name.to_owned());
        }
    }
}

/// A CRS as Parquet's own types have it: `srid:4326`, `OGC:CRS84`, PROJJSON; unknown if it is none of these.
fn logical_crs(text: &str) -> Option<Crs> {
    if let Ok(projjson @ Value::Object(_)) = serde_json::from_str(text) {
        return Some(projjson_crs(&projjson));
    }
    let name = text.strip_prefix("srid:").map_or_else(|| text.to_owned(), |code| format!("EPSG:{code}"));
    named_crs(&name).ok()
}

/// Absent means OGC:CRS84 by the standard; null means that nobody knows.
fn column_crs(column: &Value) -> Option<Crs> {
    match column.get("crs") {
        None => Some(Crs::crs84()),
        Some(Value::Null) => None,
        Some(projjson) => Some(projjson_crs(projjson)),
    }
}

impl Source for ParquetFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, _layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let batches = batches(builder(&self.path)?, rows_max)?;
        Ok(Box::new(BatchRows::new(&self.layers[0].name, FORMAT.name, &self.columns, batches, rows_max)))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.columns.findings.clone()
    }

    fn reader(&self) -> Reader {
        Reader { version: "parquet 59".to_owned(), parameters: BTreeMap::new() }
    }
}
