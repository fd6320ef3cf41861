//! Columns of Parquet and Arrow files as raw columns: the types that are published, geometry as WKB.

mod cells;
mod native;
mod rows;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{AuthorityCode, Crs, Diagnostic, Error, Result, Severity, wkb};
use ukimet_normalize::{GEOMETRY_KEY, is_geometry_name};

use crate::gdal::named_crs;
use crate::source::{Tallies, finding};
use cells::srid;
pub(crate) use native::Native;
pub(crate) use rows::BatchRows;

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
    /// Columns that are no WKB yet, by position in the raw schema.
    natives: BTreeMap<usize, Native>,
    /// Whether a publisher declared the CRS, so that geometries need not agree with the file's.
    pub(crate) is_crs_declared: bool,
}

/// A column of geometries.
#[derive(Clone, Debug, Default)]
pub(crate) struct GeometryColumn {
    /// Its CRS.
    pub(crate) crs: Option<Crs>,
    /// How it is laid out, if it is not WKB.
    pub(crate) native: Option<Native>,
}

/// Decides what becomes of each column.
///
/// `geometries` are the columns that hold WKB, `primary` the one that is published as the geometry; others stay plain
/// WKB. `left_out` are columns that only repeat the geometry.
pub(crate) fn plan(
    schema: &Schema,
    geometries: &BTreeMap<String, GeometryColumn>,
    primary: Option<&str>,
    left_out: &[String],
) -> Columns {
    let mut positions = Vec::new();
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut natives = BTreeMap::new();
    let mut tallies = Tallies::default();
    for (position, field) in schema.fields().iter().enumerate() {
        if left_out.contains(field.name()) {
            continue;
        }
        let is_primary = primary == Some(field.name().as_str());
        let geometry = geometries.get(field.name());
        let data_type = if geometry.is_some() { DataType::Binary } else { raw_type(field, &mut tallies) };
        if let Some(native) = geometry.and_then(|geometry| geometry.native) {
            natives.insert(fields.len(), native);
        }
        if geometry.is_some() && !is_primary {
            let message = "only one geometry column is taken as the geometry; others are binary attributes (WKB)";
            let found = field.data_type().to_string();
            tallies.add(
                "read.second_geometry",
                Severity::Warning,
                message,
                None,
                Some(field.name()),
                &found,
                Some("WKB"),
            );
        }
        let raw = Field::new(field.name(), data_type, true);
        let metadata = is_primary.then(|| (GEOMETRY_KEY.to_owned(), "1".to_owned()));
        fields.push(Arc::new(raw.with_metadata(metadata.into_iter().collect())));
        positions.push(position);
    }
    for name in geometries.keys().filter(|name| schema.index_of(name).is_err()) {
        let message = "geometry columns that the file declares are not among its columns";
        tallies.add("read.missing_geometry", Severity::Warning, message, None, Some(name), "no column", None);
    }
    let mut findings = tallies.diagnostics();
    if !left_out.is_empty() {
        let message = "columns that only repeat the geometry's bounds were left out".to_owned();
        findings.push(finding("read.bounds_left_out", Severity::Note, message, left_out.len() as u64, left_out));
    }
    let crs = primary.and_then(|name| geometries.get(name)).and_then(|geometry| geometry.crs.clone());
    Columns { positions, schema: Schema::new(fields).into(), crs, findings, natives, is_crs_declared: false }
}

/// The type under which a column is handed on; text, with a word about it, where no other holds its values.
fn raw_type(field: &Field, tallies: &mut Tallies) -> DataType {
    let from = field.data_type();
    let is_map = matches!(from, DataType::Map(entries, _) if convertible(entries.data_type()).is_some());
    if is_map {
        // The normalizer makes a list of it.
        return from.clone();
    }
    let target = convertible(from).filter(|to| from == to || arrow_cast::can_cast_types(from, to));
    target.unwrap_or_else(|| {
        let message = "columns of types that are not published are kept as text";
        let found = from.to_string();
        tallies.add("read.kept_as_text", Severity::Note, message, None, Some(field.name()), &found, Some("text"));
        DataType::Utf8
    })
}

/// The type that holds every value of a type exactly. Times keep their unit: the normalizer cuts them and counts.
fn convertible(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Null => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Float16 => T::Float32,
        T::Decimal256(precision, scale) if *precision <= 38 => T::Decimal128(*precision, *scale),
        T::Decimal32(precision, scale) | T::Decimal64(precision, scale) => T::Decimal128(*precision, *scale),
        T::Date64 | T::Time32(_) | T::Time64(_) | T::Timestamp(..) => data_type.clone(),
        T::Dictionary(_, values) => convertible(values)?,
        T::RunEndEncoded(_, values) => convertible(values.data_type())?,
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) | T::ListView(item) | T::LargeListView(item) => {
            T::List(nested(item)?)
        }
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
        let is_known = self.has_geometry() && self.crs.is_some();
        if is_known || !(self.has_geometry() || self.schema.fields().iter().any(|field| is_named(field))) {
            return Ok(());
        }
        // What cannot be decoded is said when the rows are read.
        let first = guarded(format, || batches.find(|rows| rows.as_ref().map_or(true, |rows| rows.num_rows() > 0)))?;
        let Some(Ok(first)) = first else { return Ok(()) };
        let first = self.take(&first)?;
        self.mark(&first, is_named);
        self.take_srid(&first)
    }

    /// Takes the reference system that the geometries name, where nothing else does.
    fn take_srid(&mut self, first: &RecordBatch) -> Result<()> {
        let at = self.schema.fields().iter().position(|field| field.metadata().contains_key(GEOMETRY_KEY));
        let Some(at) = at.filter(|_| self.crs.is_none() && !self.is_crs_declared) else { return Ok(()) };
        if let Some(srid) = first.column(at).as_binary::<i32>().iter().flatten().find_map(srid) {
            self.crs = Some(named_crs(&format!("EPSG:{srid}"))?);
            let message = "nothing but the geometries themselves names their crs, which was taken".to_owned();
            self.findings.push(finding("read.srid_taken", Severity::Note, message, 1, &[srid.to_string()]));
        }
        Ok(())
    }

    fn mark(&mut self, first: &RecordBatch, is_named: impl Fn(&Field) -> bool) {
        if self.has_geometry() {
            return;
        }
        let fields = self.schema.fields().iter().zip(first.columns());
        let Some(at) = fields.into_iter().position(|(field, column)| is_named(field) && holds_wkb(column)) else {
            return;
        };
        let mut fields = self.schema.fields().to_vec();
        let name = fields[at].name().clone();
        let metadata = [(GEOMETRY_KEY.to_owned(), "1".to_owned())].into();
        fields[at] = Arc::new(fields[at].as_ref().clone().with_metadata(metadata));
        self.schema = Schema::new(fields).into();
        let message = "the file declares no geometry; a binary column was taken, by its name and its WKB".to_owned();
        self.findings.push(finding("read.geometry_by_name", Severity::Note, message, 1, &[name]));
    }

    /// The raw batch of a batch of the file.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming the column that does not fit.
    pub(crate) fn take(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.positions.len());
        for (i, (position, field)) in self.positions.iter().zip(self.schema.fields()).enumerate() {
            let column = rows.column(*position);
            columns.push(if let Some(native) = self.natives.get(&i) {
                Arc::new(native.to_wkb(column)?)
            } else if column.data_type() == field.data_type() {
                ArrayRef::clone(column)
            } else if !arrow_cast::can_cast_types(column.data_type(), field.data_type())
                || is_shown(column.data_type(), field.data_type())
            {
                shown(column, field)?
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

/// Whether a column becomes text although its values are none: a cast would be another notation.
fn is_shown(from: &DataType, to: &DataType) -> bool {
    to == &DataType::Utf8 && (from.is_nested() || from.is_temporal() || matches!(from, DataType::Decimal256(..)))
}

/// Values of any type as people write them.
fn shown(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let unfit = |error: ArrowError| {
        Error::invalid_data(format!("column {} cannot be shown as text", quoted(field.name()))).caused_by(error)
    };
    let options = FormatOptions::default().with_display_error(false);
    let formatter = ArrayFormatter::try_new(column, &options).map_err(unfit)?;
    let mut texts = StringBuilder::new();
    let nulls = column.logical_nulls();
    for row in 0..column.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            texts.append_null();
        } else {
            texts.append_value(formatter.value(row).try_to_string().map_err(unfit)?);
        }
    }
    Ok(Arc::new(texts.finish()))
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
