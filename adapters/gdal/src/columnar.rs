//! Columns of Parquet and Arrow files as raw columns: the types that are published, geometry as WKB.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{AuthorityCode, Crs, Diagnostic, Error, Result, Severity, wkb};
use ukimet_normalize::{GEOMETRY_KEY, SourceEncoding, SourceLayer, is_geometry_name};

use crate::source::{Rows, finding};

/// The columns that are taken from a file, and what they become.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    /// Positions in the file's schema.
    pub(crate) positions: Vec<usize>,
    /// The raw schema.
    pub(crate) schema: SchemaRef,
    /// The CRS of the geometry; `None` if there is no geometry or nobody knows.
    pub(crate) crs: Option<Crs>,
    /// What is left out or changed.
    pub(crate) findings: Vec<Diagnostic>,
}

/// A column of geometries.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeometryColumn {
    /// Its CRS.
    pub(crate) crs: Option<Crs>,
}

/// Decides what becomes of each column.
///
/// `geometries` are the columns that hold WKB, `primary` the one that is published as the geometry; others stay plain
/// WKB. `left_out` are columns that only repeat the geometry.
///
/// # Errors
///
/// `InvalidData` naming a column whose type is not served.
pub(crate) fn plan(
    schema: &Schema,
    geometries: &BTreeMap<String, GeometryColumn>,
    primary: Option<&str>,
    left_out: &[String],
) -> Result<Columns> {
    let mut positions = Vec::new();
    let mut fields: Vec<FieldRef> = Vec::new();
    for (position, field) in schema.fields().iter().enumerate() {
        if left_out.contains(field.name()) {
            continue;
        }
        let is_primary = primary == Some(field.name().as_str());
        let data_type = if geometries.contains_key(field.name()) { DataType::Binary } else { raw_type(field)? };
        let raw = Field::new(field.name(), data_type, true);
        let metadata = is_primary.then(|| (GEOMETRY_KEY.to_owned(), "1".to_owned()));
        fields.push(Arc::new(raw.with_metadata(metadata.into_iter().collect())));
        positions.push(position);
    }
    let mut findings = Vec::new();
    if !left_out.is_empty() {
        let message = "columns that only repeat the geometry's bounds were left out".to_owned();
        findings.push(finding("read.bounds_left_out", Severity::Note, message, left_out.len() as u64, left_out));
    }
    let crs = primary.and_then(|name| geometries.get(name)).and_then(|geometry| geometry.crs.clone());
    Ok(Columns { positions, schema: Schema::new(fields).into(), crs, findings })
}

fn raw_type(field: &Field) -> Result<DataType> {
    convertible(field.data_type()).ok_or_else(|| {
        Error::invalid_data(format!(
            "column {} has type {}, which is not served",
            quoted(field.name()),
            quoted(&field.data_type().to_string())
        ))
    })
}

/// The type that holds every value of a type exactly. Times keep their unit: the normalizer cuts them and counts.
fn convertible(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Null => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Float16 => T::Float32,
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => T::Decimal128(*precision, *scale),
        T::Date64 | T::Time32(_) | T::Time64(_) | T::Timestamp(..) => data_type.clone(),
        T::Dictionary(_, values) => convertible(values)?,
        T::RunEndEncoded(_, values) => convertible(values.data_type())?,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => T::List(nested(item)?),
        T::Struct(fields) => T::Struct(fields.iter().map(nested).collect::<Option<Vec<_>>>()?.into()),
        other if ukimet_model::batch::is_published(other) => other.clone(),
        _ => return None,
    })
}

fn nested(field: &FieldRef) -> Option<FieldRef> {
    Some(Arc::new(Field::new(field.name(), convertible(field.data_type())?, true)))
}

impl Columns {
    /// Whether a column is marked as the geometry.
    pub(crate) fn has_geometry(&self) -> bool {
        self.schema.fields().iter().any(|field| field.metadata().contains_key(GEOMETRY_KEY))
    }

    /// Marks the geometry of a file that declares none: a binary column that is named as one and holds nothing but
    /// WKB in the first rows. Nobody knows its CRS.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the decoder of these batches panics.
    pub(crate) fn find_geometry(
        &mut self,
        format: &str,
        mut batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<()> {
        let is_named = |field: &Field| field.data_type() == &DataType::Binary && is_geometry_name(field.name());
        if self.has_geometry() || !self.schema.fields().iter().any(|field| is_named(field)) {
            return Ok(());
        }
        // What cannot be decoded is said when the rows are read.
        let first = guarded(format, || batches.find(|rows| rows.as_ref().map_or(true, |rows| rows.num_rows() > 0)))?;
        let Some(Ok(first)) = first else { return Ok(()) };
        let first = self.take(&first)?;
        let fields = self.schema.fields().iter().zip(first.columns());
        let Some(at) = fields.into_iter().position(|(field, column)| is_named(field) && holds_wkb(column)) else {
            return Ok(());
        };
        let mut fields = self.schema.fields().to_vec();
        let name = fields[at].name().clone();
        let metadata = [(GEOMETRY_KEY.to_owned(), "1".to_owned())].into();
        fields[at] = Arc::new(fields[at].as_ref().clone().with_metadata(metadata));
        self.schema = Schema::new(fields).into();
        let message = "the file declares no geometry; a binary column was taken, by its name and its WKB".to_owned();
        self.findings.push(finding("read.geometry_by_name", Severity::Note, message, 1, &[name]));
        Ok(())
    }

    /// The raw batch of a batch of the file.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the column that does not fit.
    pub(crate) fn take(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.positions.len());
        for (position, field) in self.positions.iter().zip(self.schema.fields()) {
            let column = rows.column(*position);
            columns.push(if column.data_type() == field.data_type() {
                ArrayRef::clone(column)
            } else {
                let options = CastOptions { safe: false, ..CastOptions::default() };
                cast_with_options(column, field.data_type(), &options).map_err(|error| {
                    Error::invalid_data(format!("column {} does not fit {}", quoted(field.name()), field.data_type()))
                        .caused_by(error)
                })?
            });
        }
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
            .map_err(|error| Error::invalid_data("columns do not fit their schema").caused_by(error))
    }
}

/// Whether there is a value and all of them are WKB.
fn holds_wkb(column: &ArrayRef) -> bool {
    let values = column.as_binary::<i32>();
    values.null_count() < values.len() && values.iter().flatten().all(|value| wkb::inspect(value).is_ok())
}

/// Calls a decoder of foreign bytes that may panic on bad ones.
///
/// # Errors
///
/// `InvalidData` if it panics.
pub(crate) fn guarded<T>(format: &str, call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|_| Error::invalid_data(format!("the {format} is damaged: its decoder gave up")))
}

/// A CRS in PROJJSON.
pub(crate) fn projjson_crs(value: &serde_json::Value) -> Crs {
    let id = value.get("id");
    let text = |value: Option<&serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let authority = text(id.and_then(|id| id.get("authority")));
    let code = text(id.and_then(|id| id.get("code")));
    Crs {
        definition: value.to_string(),
        code: authority
            .zip(code)
            .map(|(authority, code)| AuthorityCode { authority: authority.to_ascii_uppercase(), code }),
        name: text(value.get("name")),
    }
}

/// Rows of a decoder that gives record batches.
pub(crate) struct BatchRows<I> {
    pub(crate) name: String,
    pub(crate) format: &'static str,
    pub(crate) columns: Columns,
    pub(crate) batches: I,
    pub(crate) rows_read: u64,
    pub(crate) rest: Option<RecordBatch>,
    pub(crate) rows_max: usize,
}

impl<I> BatchRows<I> {
    /// At most `rows_max` rows of a batch; the others wait.
    fn part(&mut self, rows: RecordBatch) -> RecordBatch {
        if rows.num_rows() <= self.rows_max {
            return rows;
        }
        self.rest = Some(rows.slice(self.rows_max, rows.num_rows() - self.rows_max));
        rows.slice(0, self.rows_max)
    }
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>>> Rows for BatchRows<I> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.name.clone(),
            format: self.format.to_owned(),
            schema: SchemaRef::clone(&self.columns.schema),
            raw_names: None,
            crs: self.columns.crs.clone(),
            encoding: SourceEncoding::Utf8 { transcoded_from: None },
            untyped: false,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let rows = match self.rest.take() {
                Some(rows) => rows,
                None => match guarded(self.format, || self.batches.next())? {
                    None => return Ok(None),
                    Some(Ok(rows)) => rows,
                    Some(Err(error)) => {
                        return Err(Error::data_loss(format!(
                            "the {} ends with an error after {} rows",
                            self.format, self.rows_read
                        ))
                        .caused_by(error));
                    }
                },
            };
            if rows.num_rows() > 0 {
                let rows = self.part(rows);
                self.rows_read += rows.num_rows() as u64;
                return guarded(self.format, || self.columns.take(&rows))?.map(Some);
            }
        }
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        Vec::new()
    }
}
