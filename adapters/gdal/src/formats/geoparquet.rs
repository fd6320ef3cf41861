//! `GeoParquet` and plain Parquet, by the parquet crate. Geometry is WKB; its CRS stands in the `geo` metadata.

use super::Format;
use crate::columnar::{BatchRows, Columns, GeometryColumn, guarded, plan, projjson_crs};
use crate::source::{Context, Reader, Rows, Source, Staged};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{Crs, Diagnostic, Error, Result};

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

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
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
        let geo = GeoMetadata::parse(geo.as_deref())?;
        let mut columns = plan(schema, &geo.columns, geo.primary.as_deref(), &geo.left_out)?;
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
}

impl GeoMetadata {
    fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::default()) };
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Error::invalid_data("the geo metadata of the Parquet file is not JSON").caused_by(error)
        })?;
        let mut geo =
            Self { primary: value.get("primary_column").and_then(Value::as_str).map(str::to_owned), ..Self::default() };
        for (name, column) in value.get("columns").and_then(Value::as_object).into_iter().flatten() {
            let encoding = column.get("encoding").and_then(Value::as_str).unwrap_or_default();
            if encoding != "WKB" {
                return Err(Error::invalid_data(format!(
                    "geometry column {} has encoding {}, served is WKB",
                    quoted(name),
                    quoted(encoding)
                )));
            }
            let bounds = column.pointer("/covering/bbox/xmin/0").and_then(Value::as_str);
            geo.left_out.extend(bounds.map(str::to_owned));
            geo.columns.insert(name.clone(), GeometryColumn { crs: column_crs(column) });
        }
        if geo.primary.is_none() {
            geo.primary = geo.columns.keys().next().cloned();
        }
        Ok(geo)
    }
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
        Ok(Box::new(BatchRows {
            name: self.layers[0].name.clone(),
            format: FORMAT.name,
            columns: self.columns.clone(),
            batches: batches(builder(&self.path)?, rows_max)?,
            rows_read: 0,
            rest: None,
            rows_max,
        }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.columns.findings.clone()
    }

    fn reader(&self) -> Reader {
        Reader { version: "parquet 59".to_owned(), parameters: BTreeMap::new() }
    }
}
