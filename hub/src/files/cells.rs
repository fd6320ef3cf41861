//! Values one by one, for formats that are written a row at a time.
//!
//! Times, decimals, lists and structures come as text; what a format makes of them is its own affair.

use super::failed;
use super::text::json_column;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;
use ukimet_model::Result;
use ukimet_model::batch::is_geometry;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// WKB.
    Geometry,
    Boolean,
    /// A whole number of so many bits.
    Integer {
        bits: u8,
        is_signed: bool,
    },
    /// A binary fraction of so many bits.
    Float {
        bits: u8,
    },
    /// A decimal fraction with so many digits in all and behind the point, as text.
    Decimal {
        digits: u8,
        scale: i8,
    },
    Text,
    Bytes,
    /// A day, as text of ISO 8601.
    Date,
    /// A time of day, as text of ISO 8601.
    Time,
    /// Day and time in a place that nobody said, as text of ISO 8601.
    LocalTime,
    /// A moment, as text of ISO 8601 in UTC.
    Moment,
    /// A list or a structure, as text of JSON.
    Json,
}

impl Kind {
    pub(super) fn of(field: &Field) -> Self {
        use DataType as T;
        let integer = |bits, is_signed| Self::Integer { bits, is_signed };
        match field.data_type() {
            _ if is_geometry(field) => Self::Geometry,
            T::Boolean => Self::Boolean,
            T::Int8 => integer(8, true),
            T::Int16 => integer(16, true),
            T::Int32 => integer(32, true),
            T::Int64 => integer(64, true),
            T::UInt8 => integer(8, false),
            T::UInt16 => integer(16, false),
            T::UInt32 => integer(32, false),
            T::UInt64 => integer(64, false),
            T::Float32 => Self::Float { bits: 32 },
            T::Float64 => Self::Float { bits: 64 },
            T::Decimal128(digits, scale) => Self::Decimal { digits: *digits, scale: *scale },
            T::Binary => Self::Bytes,
            T::Date32 => Self::Date,
            T::Time64(_) => Self::Time,
            T::Timestamp(_, None) => Self::LocalTime,
            T::Timestamp(_, Some(_)) => Self::Moment,
            nested if nested.is_nested() => Self::Json,
            _ => Self::Text,
        }
    }

    /// The kinds of all columns.
    pub(super) fn all(schema: &Schema) -> Vec<Self> {
        schema.fields().iter().map(|field| Self::of(field)).collect()
    }
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Boolean(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    /// A text, or the text of what is no text.
    Text(&'a str),
    /// Bytes, or WKB.
    Bytes(&'a [u8]),
}

/// Rows whose values are looked at one by one.
pub(super) struct Cells {
    /// Each column as one of the five types that cells have.
    columns: Vec<ArrayRef>,
    /// How many.
    pub(super) rows: usize,
}

impl Cells {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self> {
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| looked_at(Kind::of(field), column)).collect::<Result<_>>()?;
        Ok(Self { columns, rows: batch.num_rows() })
    }

    pub(super) fn get(&self, column: usize, row: usize) -> Cell<'_> {
        let column = &self.columns[column];
        if column.is_null(row) {
            return Cell::Null;
        }
        match column.data_type() {
            DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
            DataType::Int64 => Cell::Signed(column.as_primitive::<Int64Type>().value(row)),
            DataType::UInt64 => Cell::Unsigned(column.as_primitive::<UInt64Type>().value(row)),
            DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row)),
            DataType::Binary => Cell::Bytes(column.as_binary::<i32>().value(row)),
            _ => Cell::Text(column.as_string::<i32>().value(row)),
        }
    }

    /// The geometry of a row, of the column where it is.
    pub(super) fn geometry(&self, column: Option<usize>, row: usize) -> Option<&[u8]> {
        match column.map(|column| self.get(column, row)) {
            Some(Cell::Bytes(wkb)) => Some(wkb),
            _ => None,
        }
    }
}

fn looked_at(kind: Kind, column: &ArrayRef) -> Result<ArrayRef> {
    let cast = |to: DataType| arrow_cast::cast(column, &to).map_err(failed);
    match kind {
        Kind::Integer { is_signed: true, .. } => cast(DataType::Int64),
        Kind::Integer { is_signed: false, .. } => cast(DataType::UInt64),
        Kind::Float { .. } => cast(DataType::Float64),
        Kind::Json => json_column(column).map(|texts| Arc::new(texts) as ArrayRef),
        Kind::Moment => printed(&cast(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?),
        Kind::Decimal { .. } | Kind::Date | Kind::Time | Kind::LocalTime => printed(column),
        Kind::Geometry | Kind::Boolean | Kind::Text | Kind::Bytes => Ok(Arc::clone(column)),
    }
}

fn printed(column: &ArrayRef) -> Result<ArrayRef> {
    let options = FormatOptions::new().with_display_error(false);
    let formatter = ArrayFormatter::try_new(column, &options).map_err(failed)?;
    let text = |row| (!column.is_null(row)).then(|| formatter.value(row).try_to_string().map_err(failed)).transpose();
    let texts: StringArray = (0..column.len()).map(text).collect::<Result<_>>()?;
    Ok(Arc::new(texts))
}

/// The position of the geometry column, wherever it stands.
pub(super) fn geometry_column(schema: &Schema) -> Option<usize> {
    schema.fields().iter().position(|field| is_geometry(field))
}

/// WKB as normalized rows have it: little-endian, ISO codes, without an SRID.
pub(super) fn canonical(wkb: &[u8]) -> Result<Vec<u8>> {
    ukimet_model::wkb::to_canonical(wkb, false).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, TimestampMicrosecondArray, UInt8Array,
    };

    #[test]
    fn each_type_has_a_kind_and_values_that_say_the_same() {
        let time = TimestampMicrosecondArray::from(vec![1_500_000]);
        let columns: [(ArrayRef, Kind, Cell); 8] = [
            (Arc::new(BooleanArray::from(vec![true])), Kind::Boolean, Cell::Boolean(true)),
            (Arc::new(UInt8Array::from(vec![200])), Kind::Integer { bits: 8, is_signed: false }, Cell::Unsigned(200)),
            (Arc::new(Float32Array::from(vec![0.5])), Kind::Float { bits: 32 }, Cell::Float(0.5)),
            (
                Arc::new(Decimal128Array::from(vec![-1234]).with_precision_and_scale(10, 2).expect("fits")),
                Kind::Decimal { digits: 10, scale: 2 },
                Cell::Text("-12.34"),
            ),
            (Arc::new(Date32Array::from(vec![1])), Kind::Date, Cell::Text("1970-01-02")),
            (Arc::new(time.clone()), Kind::LocalTime, Cell::Text("1970-01-01T00:00:01.500")),
            (Arc::new(time.with_timezone("Asia/Almaty")), Kind::Moment, Cell::Text("1970-01-01T00:00:01.500Z")),
            (Arc::new(BinaryArray::from(vec![&b"x"[..]])), Kind::Bytes, Cell::Bytes(b"x")),
        ];
        for (column, kind, cell) in columns {
            let batch = RecordBatch::try_from_iter([("c", column)]).expect("columns fit");
            assert_eq!(Kind::all(batch.schema_ref()), [kind]);
            assert_eq!(Cells::of(&batch).expect("values").get(0, 0), cell);
        }
    }
}
