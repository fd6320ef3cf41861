//! An OGR layer as raw batches, by Arrow stream.

use crate::gdal::{OgrHead, OgrRows, OgrSource, OpenOptions, linearize};
use crate::limits::ReadLimits;
use crate::source::{Context, Reader, Rows, Source, Staged, finding};
use crate::transcode::Transcoded;
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::{GEOMETRY_KEY, SourceEncoding, SourceLayer, TEXT_KEY};

/// How the text of a source is to be taken.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// The format says UTF-8; `transcoded_from` if we made it so.
    Utf8 { transcoded_from: Option<String> },
    /// The source declares an encoding that GDAL did not apply.
    Declared { label: String, by: String },
    /// Nobody says.
    Unknown,
}

/// What a format decides about reading with OGR.
#[derive(Clone, Debug)]
pub(crate) struct OgrFormat {
    /// The format's name in the table.
    pub(crate) name: &'static str,
    /// The one driver that may open it.
    pub(crate) driver: &'static str,
    /// Open options.
    pub(crate) options: Vec<String>,
    /// How its text is to be taken.
    pub(crate) text: Text,
    /// Whether its text may hold numbers and dates.
    pub(crate) untyped: bool,
    /// What was found before GDAL saw it.
    pub(crate) findings: Vec<Diagnostic>,
}

impl OgrFormat {
    /// Notes that the file was decoded before GDAL saw it.
    pub(crate) fn transcoded(&mut self, transcoded: Option<Transcoded>) {
        self.findings.extend(transcoded.as_ref().and_then(Transcoded::finding));
        self.text = Text::Utf8 { transcoded_from: transcoded.map(|transcoded| transcoded.encoding) };
    }

    /// A format whose text is UTF-8 by its standard, read without options.
    pub(crate) fn plain(name: &'static str, driver: &'static str) -> Self {
        Self {
            name,
            driver,
            options: Vec::new(),
            text: Text::Utf8 { transcoded_from: None },
            untyped: false,
            findings: Vec::new(),
        }
    }
}

/// A file that OGR reads.
pub(crate) struct OgrFile {
    format: OgrFormat,
    path: PathBuf,
    siblings: Vec<String>,
    heads: Vec<OgrHead>,
    layers: Vec<LayerInfo>,
    findings: Vec<Diagnostic>,
    limits: ReadLimits,
}

impl OgrFile {
    /// Opens a file and looks at its layers.
    ///
    /// # Errors
    ///
    /// As [`OgrSource::open`]; `LimitReached` for too many layers or columns.
    pub(crate) fn open(format: OgrFormat, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let siblings = staged.names.clone();
        let how = OpenOptions { driver: format.driver, options: &format.options, siblings: &siblings };
        let (source, raised) = OgrSource::open(&staged.main, &how)?;
        let limits = *context.limits;
        if source.layer_count() > limits.layers_max {
            return Err(Error::limit_reached(format!(
                "a file has at most {} layers, found {}",
                limits.layers_max,
                source.layer_count()
            )));
        }
        let mut heads = source.layers();
        for head in &mut heads {
            check_fields(head, &limits)?;
            // A layer that is named after its file would else carry the name that we gave the file.
            if head.name == ASSET_STEM {
                staged.stem().clone_into(&mut head.name);
            }
        }
        let mut findings = format.findings.clone();
        findings.extend(warnings(&raised.warnings));
        // The publisher knows better than the format's standard.
        let text = if context.options.encoding.is_some() && matches!(format.text, Text::Utf8 { transcoded_from: None })
        {
            Text::Unknown
        } else {
            format.text.clone()
        };
        let layers = heads.iter().map(info).collect();
        let format = OgrFormat { text, ..format };
        Ok(Box::new(Self { format, path: staged.main.clone(), siblings, heads, layers, findings, limits }))
    }
}

/// The name that staged files have.
pub(crate) const ASSET_STEM: &str = "asset";

fn check_fields(head: &OgrHead, limits: &ReadLimits) -> Result<()> {
    if head.fields.len() > limits.fields_max {
        return Err(Error::limit_reached(format!(
            "a layer has at most {} columns, found {} in {}",
            limits.fields_max,
            head.fields.len(),
            quoted(&head.name)
        )));
    }
    Ok(())
}

fn info(head: &OgrHead) -> LayerInfo {
    LayerInfo {
        name: head.name.clone(),
        rows_declared: head.rows_declared,
        crs: head.crs.as_ref().map(ToString::to_string),
        has_geometry: head.has_geometry,
        fields: head.fields.clone(),
    }
}

fn warnings(texts: &[String]) -> Option<Diagnostic> {
    (!texts.is_empty()).then(|| {
        let message = "the reader warned about the file".to_owned();
        finding("read.warning", Severity::Note, message, texts.len() as u64, texts)
    })
}

impl Source for OgrFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let how = OpenOptions { driver: self.format.driver, options: &self.format.options, siblings: &self.siblings };
        let (source, _) = OgrSource::open(&self.path, &how)?;
        let rows = source.into_rows(layer, rows_max)?;
        let columns = columns(&rows, &self.format.text);
        Ok(Box::new(LayerRows {
            file: self,
            layer,
            rows,
            schema: Schema::new(columns).into(),
            rows_read: 0,
            vertices: 0,
            linearized: 0,
        }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        self.findings.clone()
    }

    fn reader(&self) -> Reader {
        let mut parameters = BTreeMap::from([("driver".to_owned(), self.format.driver.to_owned())]);
        if !self.format.options.is_empty() {
            parameters.insert("options".to_owned(), self.format.options.join(" "));
        }
        Reader { version: format!("GDAL {}", crate::gdal::version()), parameters }
    }
}

/// The columns as the normalizer gets them: text as UTF-8 where it must be, times in microseconds, one geometry.
fn columns(rows: &OgrRows, text: &Text) -> Vec<FieldRef> {
    let mut has_geometry = false;
    rows.schema()
        .fields()
        .iter()
        .map(|field| {
            let is_geometry = field.metadata().contains_key(GEOMETRY_KEY);
            if is_geometry && std::mem::replace(&mut has_geometry, true) {
                // A second geometry stays as plain WKB.
                return Arc::new(Field::new(field.name(), DataType::Binary, true));
            }
            let data_type = raw_type(field, text);
            let mut metadata = field.metadata().clone();
            if !holds_bytes(&data_type) {
                metadata.remove(TEXT_KEY);
            }
            Arc::new(Field::new(field.name(), data_type, true).with_metadata(metadata))
        })
        .collect()
}

fn raw_type(field: &Field, text: &Text) -> DataType {
    let is_text = field.metadata().contains_key(TEXT_KEY);
    match field.data_type() {
        DataType::Binary if is_text && matches!(text, Text::Utf8 { .. }) => DataType::Utf8,
        // Lists of text come from formats whose text is UTF-8, or they would be no lists.
        DataType::List(item) if is_text && item.data_type() == &DataType::Binary => {
            DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
        }
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Date64 => DataType::Date32,
        DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    }
}

fn holds_bytes(data_type: &DataType) -> bool {
    data_type == &DataType::Binary
}

struct LayerRows<'a> {
    file: &'a OgrFile,
    layer: usize,
    rows: OgrRows,
    schema: SchemaRef,
    rows_read: u64,
    vertices: u64,
    linearized: u64,
}

impl Rows for LayerRows<'_> {
    fn layer(&self) -> SourceLayer {
        let head = &self.file.heads[self.layer];
        SourceLayer {
            name: head.name.clone(),
            format: self.file.format.name.to_owned(),
            schema: SchemaRef::clone(&self.schema),
            raw_names: Some(self.rows.raw_names().to_vec()),
            crs: head.crs.clone(),
            encoding: match &self.file.format.text {
                Text::Utf8 { transcoded_from } => SourceEncoding::Utf8 { transcoded_from: transcoded_from.clone() },
                Text::Declared { label, by } => SourceEncoding::Declared { label: label.clone(), by: by.clone() },
                Text::Unknown => SourceEncoding::Unknown,
            },
            untyped: self.file.format.untyped,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let name =
            || format!("driver {}, layer {}", self.file.format.driver, quoted(&self.file.heads[self.layer].name));
        let Some(rows) = self.rows.next().map_err(|error| error.context(name()))? else { return Ok(None) };
        let mut columns = Vec::with_capacity(rows.num_columns());
        for (field, column) in self.schema.fields().iter().zip(rows.columns()) {
            let column = if field.metadata().contains_key(GEOMETRY_KEY) {
                let (column, linearized) = linear(column).map_err(|error| error.context(name()))?;
                self.linearized += linearized;
                self.vertices += vertices_at_most(&column);
                column
            } else {
                converted(field, column, self.rows_read)?
            };
            columns.push(column);
        }
        self.rows_read += rows.num_rows() as u64;
        if self.vertices > self.file.limits.vertices_max {
            return Err(Error::limit_reached(format!(
                "a layer has at most {} positions, found more",
                self.file.limits.vertices_max
            )));
        }
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .map(Some)
            .map_err(|error| Error::internal("converted columns do not fit their schema").caused_by(error))
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        let mut findings: Vec<Diagnostic> = warnings(&self.rows.take_warnings()).into_iter().collect();
        if self.linearized > 0 {
            findings.push(finding(
                "geometry.linearized",
                Severity::Warning,
                "curves and surfaces were replaced by lines and polygons, arcs by chords of 4 degrees".to_owned(),
                std::mem::take(&mut self.linearized),
                &[],
            ));
        }
        findings
    }
}

fn converted(field: &Field, column: &ArrayRef, rows_before: u64) -> Result<ArrayRef> {
    match (column.data_type(), field.data_type()) {
        (from, to) if from == to => Ok(ArrayRef::clone(column)),
        (DataType::Binary, DataType::Utf8) => Ok(Arc::new(utf8(field.name(), column.as_binary(), rows_before)?)),
        (DataType::List(_), DataType::List(item)) => {
            let list = column.as_list::<i32>();
            let values = converted(item, list.values(), rows_before)?;
            let list = arrow_array::ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            );
            list.map(|list| Arc::new(list) as ArrayRef)
                .map_err(|error| Error::internal("a list does not fit its type").caused_by(error))
        }
        (_, to) => cast(column, to).map_err(|error| {
            Error::invalid_data(format!("column {} does not fit {to}", quoted(field.name()))).caused_by(error)
        }),
    }
}

/// Text of a format that says UTF-8, checked.
fn utf8(name: &str, column: &BinaryArray, rows_before: u64) -> Result<StringArray> {
    StringArray::try_from_binary(column.clone()).map_err(|_| {
        let row = (0..column.len()).find(|i| std::str::from_utf8(column.value(*i)).is_err()).unwrap_or_default();
        Error::invalid_data(format!(
            "text of this format is UTF-8, found other bytes in column {}, row {}: declare the encoding with --encoding",
            quoted(name),
            rows_before + row as u64
        ))
    })
}

/// The geometries without curves, and how many had some.
fn linear(column: &ArrayRef) -> Result<(ArrayRef, u64)> {
    let wkb: &BinaryArray = column.as_binary();
    let is_curved = |bytes: &[u8]| match kind(bytes) {
        Some(1..=6) | None => false,
        Some(7) => ukimet_model::wkb::inspect(bytes).is_err(),
        Some(_) => true,
    };
    if !wkb.iter().flatten().any(is_curved) {
        return Ok((ArrayRef::clone(column), 0));
    }
    let mut linearized = 0;
    let mut out = BinaryBuilder::new();
    for bytes in wkb {
        match bytes {
            Some(bytes) if is_curved(bytes) => {
                linearized += 1;
                out.append_value(linearize(bytes)?);
            }
            other => out.append_option(other),
        }
    }
    Ok((Arc::new(out.finish()), linearized))
}

/// The simple-feature code of a WKB, dimensions left out.
fn kind(bytes: &[u8]) -> Option<u32> {
    let code: [u8; 4] = bytes.get(1..5)?.try_into().ok()?;
    let code = if bytes[0] == 0 { u32::from_be_bytes(code) } else { u32::from_le_bytes(code) };
    Some((code & 0x1fff_ffff) % 1000)
}

/// Positions take 16 bytes or more.
fn vertices_at_most(column: &ArrayRef) -> u64 {
    let wkb: &BinaryArray = column.as_binary();
    (wkb.value_data().len() / 16) as u64
}
