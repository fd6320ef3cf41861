//! Arrow IPC, as a file (Feather V2) and as a stream. Geometry is `geoarrow.wkb`.

mod frames;

use super::Format;
use crate::columnar::{BatchRows, Columns, GeometryColumn, Native, guarded, plan, projjson_crs};
use crate::source::{Context, Reader, Rows, Source, Staged};
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, Field, Schema};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{AuthorityCode, Crs, Diagnostic, Error, Result};

pub(super) const FILE: Format = Format {
    name: "Arrow IPC file",
    driver: None,
    media_types: &["application/vnd.apache.arrow.file"],
    extensions: &["arrow", "feather"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"ARROW1"),
    open: |staged, context| ArrowFile::open(FILE.name, staged, context),
};

pub(super) const STREAM: Format = Format {
    name: "Arrow IPC stream",
    driver: None,
    media_types: &["application/vnd.apache.arrow.stream"],
    extensions: &["arrows", "arrow"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"\xff\xff\xff\xff"),
    open: |staged, context| ArrowFile::open(STREAM.name, staged, context),
};

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

struct ArrowFile {
    format: &'static str,
    path: PathBuf,
    columns: Columns,
    layers: Vec<LayerInfo>,
}

/// The schema and the batches of a file.
fn decode(format: &'static str, path: &Path) -> Result<(Schema, Batches)> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut file = File::open(path).map_err(gone)?;
    let damaged = |error: ArrowError| Error::invalid_data(format!("the {format} is cut or damaged")).caused_by(error);
    if format == FILE.name {
        frames::check_file(&mut file)?;
        let reader = guarded(format, || FileReader::try_new(BufReader::new(file), None))?.map_err(damaged)?;
        return Ok((reader.schema().as_ref().clone(), Box::new(reader)));
    }
    let size_bytes = check_end(&mut file)?;
    frames::check_stream(&mut file)?;
    let reader = guarded(format, || StreamReader::try_new(BufReader::new(file), None))?.map_err(damaged)?;
    Ok((reader.schema().as_ref().clone(), Box::new(StreamBatches { reader, size_bytes })))
}

/// The batches of a stream that takes up its whole file.
struct StreamBatches {
    reader: StreamReader<BufReader<File>>,
    size_bytes: u64,
}

impl Iterator for StreamBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.next().or_else(|| self.check_nothing_follows().err().map(Err))
    }
}

impl StreamBatches {
    /// The decoder stops at the first end marker, so a second stream behind it would be left out.
    fn check_nothing_follows(&mut self) -> Result<(), ArrowError> {
        let end = self.reader.get_mut().stream_position()?;
        if end == self.size_bytes {
            return Ok(());
        }
        Err(ArrowError::IpcError(format!(
            "a file holds one stream, found more: the stream ends at byte {end} of {}",
            self.size_bytes
        )))
    }
}

/// A stream ends with a marker; without it, one that was cut between two messages would look complete.
///
/// Gives the size of the file in bytes.
fn check_end(file: &mut File) -> Result<u64> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut end = [0; 8];
    let size_bytes = file.metadata().map_err(gone)?.len();
    file.seek(SeekFrom::Start(size_bytes.saturating_sub(8))).map_err(gone)?;
    file.read_exact(&mut end).map_err(gone)?;
    file.rewind().map_err(gone)?;
    if end != [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0] {
        return Err(Error::data_loss("an Arrow IPC stream ends with its end-of-stream marker, found none: it is cut"));
    }
    Ok(size_bytes)
}

impl ArrowFile {
    fn open(format: &'static str, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let (schema, batches) = decode(format, &staged.main)?;
        if schema.fields().len() > context.limits.fields_max {
            return Err(Error::limit_reached(format!(
                "a layer has at most {} columns, found {}",
                context.limits.fields_max,
                schema.fields().len()
            )));
        }
        let mut geometries = BTreeMap::new();
        let mut primary = None;
        for field in schema.fields() {
            if let Some(geometry) = geometry(field)? {
                primary.get_or_insert_with(|| field.name().clone());
                geometries.insert(field.name().clone(), geometry);
            }
        }
        let mut columns = plan(&schema, &geometries, primary.as_deref(), &[]);
        columns.is_crs_declared = context.options.crs.is_some();
        columns.find_geometry(format, batches)?;
        let layer = LayerInfo {
            name: staged.stem().to_owned(),
            rows_declared: None,
            crs: columns.crs.as_ref().map(ToString::to_string),
            has_geometry: columns.has_geometry(),
            fields: columns.schema.fields().iter().map(|field| field.name().clone()).collect(),
        };
        Ok(Box::new(Self { format, path: staged.main.clone(), columns, layers: vec![layer] }))
    }
}

/// The geometry that a field declares by its extension type.
fn geometry(field: &Field) -> Result<Option<GeometryColumn>> {
    let extension = field.metadata().get("ARROW:extension:name").map(String::as_str).unwrap_or_default();
    let native = extension.strip_prefix("geoarrow.").and_then(|name| Native::of(name, field.data_type()));
    match extension {
        "geoarrow.wkb" | "ogc.wkb" => Ok(Some(GeometryColumn { crs: declared_crs(field), native: None })),
        _ if native.is_some() => Ok(Some(GeometryColumn { crs: declared_crs(field), native })),
        // Text of places is found by the normalizer.
        "geoarrow.wkt" | "geoarrow.box" | "ogc.wkt" => Ok(None),
        other if other.starts_with("geoarrow.") => Err(Error::invalid_data(format!(
            "geometry column {} has encoding {}, served are geoarrow.wkb and the native ones of one kind of geometry",
            quoted(field.name()),
            quoted(other)
        ))),
        _ => Ok(None),
    }
}

/// The CRS in the metadata of a field.
fn declared_crs(field: &Field) -> Option<Crs> {
    let metadata = field.metadata().get("ARROW:extension:metadata");
    let metadata: Value = metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    extension_crs(metadata.get("crs"))
}

/// The CRS in `GeoArrow` metadata: PROJJSON, or a text such as `EPSG:4326` or WKT.
fn extension_crs(crs: Option<&Value>) -> Option<Crs> {
    match crs? {
        Value::Null => None,
        Value::String(text) => {
            let code = text.split_once(':').filter(|(authority, code)| {
                authority.chars().all(char::is_alphabetic) && code.chars().all(char::is_alphanumeric)
            });
            let code = code.map(|(authority, code)| AuthorityCode {
                authority: authority.to_ascii_uppercase(),
                code: code.to_owned(),
            });
            Some(Crs { definition: text.clone(), code, name: None })
        }
        projjson => Some(projjson_crs(projjson)),
    }
}

impl Source for ArrowFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, _layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let (_, batches) = decode(self.format, &self.path)?;
        let name = &self.layers[0].name;
        Ok(Box::new(BatchRows::new(name, self.format, &self.columns, batches, rows_max)))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.columns.findings.clone()
    }

    fn reader(&self) -> Reader {
        Reader { version: "arrow-ipc 59".to_owned(), parameters: BTreeMap::new() }
    }
}
