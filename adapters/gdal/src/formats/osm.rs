//! OpenStreetMap extracts, PBF and XML: points, lines, multilinestrings, multipolygons and other relations.
//!
//! Every tag is kept. What is no row is said: nodes and ways without tags, which are parts of others.

mod blobs;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use super::{Clues, Format};
use crate::features::{OgrFile, OgrFormat};
use crate::gdal::copy_osm;
use crate::source::{Context, Reader, Rows, Source, Staged, finding};
use crate::xml;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use blobs::check_blobs;
use std::sync::Arc;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::SourceLayer;

pub(super) const PBF: Format = Format {
    name: "OSM PBF",
    driver: Some("OSM"),
    media_types: &["application/vnd.openstreetmap.data+pbf", "application/x-protobuf", "application/x-osm+pbf"],
    extensions: &["pbf"],
    sidecars: &[],
    recognize: is_pbf,
    open: |staged, context| {
        check_blobs(&staged.main)?;
        OsmFile::open(PBF.name, staged, context)
    },
};

pub(super) const XML: Format = Format {
    name: "OSM XML",
    driver: Some("OSM"),
    media_types: &["application/vnd.openstreetmap.data+xml", "application/x-osm+xml"],
    extensions: &["osm"],
    sidecars: &[],
    recognize: |clues| clues.has_root("osm"),
    open: |staged, context| {
        xml::ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
        OsmFile::open(XML.name, staged, context)
    },
};

/// The first blob is a header: its length, then a field of type `OSMHeader`.
fn is_pbf(clues: &Clues) -> bool {
    clues.head.has_at(4, b"\x0a\x09OSMHeader")
}

/// The copy of an OSM file, whose times are in UTC.
struct OsmFile {
    format: &'static str,
    copy: Box<dyn Source>,
}

impl OsmFile {
    fn open(format: &'static str, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let name = "copy.gpkg";
        let main = staged.main.with_file_name(name);
        let warnings = copy_osm(&staged.main, &main)?;
        let copied = Staged { main, names: vec![name.to_owned()], ..staged.clone() };
        let mut copy = OgrFormat::plain(format, "GPKG");
        copy.fixed_layers = true;
        copy.findings.extend(said(&warnings));
        Ok(Box::new(Self { format, copy: OgrFile::open(copy, &copied, context)? }))
    }
}

fn said(warnings: &[String]) -> Vec<Diagnostic> {
    let message = "nodes and ways without tags are parts of other rows only; names of contributors and the roles of \
                   members were left out; ways lose the nodes that the file does not have";
    let mut findings = vec![finding("osm.taken", Severity::Note, message.to_owned(), 1, &[])];
    if !warnings.is_empty() {
        let message = "relations whose rings do not close or cross were taken as they are".to_owned();
        findings.push(finding("osm.broken_relation", Severity::Warning, message, warnings.len() as u64, warnings));
    }
    findings
}

impl Source for OsmFile {
    fn layers(&self) -> &[LayerInfo] {
        self.copy.layers()
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let rows = self.copy.rows(layer, rows_max)?;
        let schema = in_utc(&rows.layer().schema);
        Ok(Box::new(OsmRows { rows, schema }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.copy.findings()
    }

    fn reader(&self) -> Reader {
        let mut reader = self.copy.reader();
        reader.parameters.insert("driver".to_owned(), "OSM".to_owned());
        reader.parameters.insert("through".to_owned(), format!("a scratch GeoPackage made of the {}", self.format));
        reader
    }
}

/// The schema with times that are instants, as they are in OSM.
fn in_utc(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let data_type = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            Arc::new(Field::new(field.name(), data_type, true).with_metadata(field.metadata().clone()))
        }
        _ => FieldRef::clone(field),
    });
    Schema::new(fields.collect::<Vec<_>>()).into()
}

struct OsmRows<'a> {
    rows: Box<dyn Rows + 'a>,
    schema: SchemaRef,
}

impl Rows for OsmRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer { schema: SchemaRef::clone(&self.schema), ..self.rows.layer() }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(rows) = self.rows.next()? else { return Ok(None) };
        let columns = rows.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            if column.data_type() == field.data_type() {
                return ArrayRef::clone(column);
            }
            Arc::new(column.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("UTC"))
        });
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns.collect())
            .map(Some)
            .map_err(|error| Error::internal("times in UTC do not fit their schema").caused_by(error))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        self.rows.findings()
    }
}
