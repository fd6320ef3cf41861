//! The hash of a row: 128 bits over its values, the same on every machine and with every Arrow version.
//!
//! Each value becomes a cell: the xxh3-128 of its canonical bytes, seeded with a number for the kind of value.
//!
//! | kind | seed | canonical bytes |
//! |---|---|---|
//! | null | 0 | none |
//! | Boolean | 1 | one byte, 0 or 1 |
//! | signed integer of any width | 2 | `i64`, little-endian |
//! | unsigned integer of any width | 3 | `u64`, little-endian |
//! | floating point of either width | 4 | the bits of the `f64`, little-endian; one `NaN`; 0 and -0 differ |
//! | decimal | 5 | the unscaled `i128`, little-endian |
//! | text | 6 | UTF-8 |
//! | binary, geometry | 7 | the bytes |
//! | date | 8 | days as `i64`, little-endian |
//! | time of day | 9 | microseconds as `i64`, little-endian |
//! | instant | 10 | microseconds as `i64`, little-endian |
//! | list | 11 | the cells of its items, each as 16 bytes little-endian |
//! | structure, row | 12 | the cells of its fields in order, each as 16 bytes little-endian |
//!
//! Names, exact types and scales are part of the schema, which the root hash covers.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use std::borrow::Cow;
use ukimet_model::{Error, Result};
use xxhash_rust::xxh3::xxh3_128_with_seed;

const NULL: u64 = 0;
const BOOLEAN: u64 = 1;
const SIGNED: u64 = 2;
const UNSIGNED: u64 = 3;
const FLOAT: u64 = 4;
const DECIMAL: u64 = 5;
const TEXT: u64 = 6;
const BINARY: u64 = 7;
const DATE: u64 = 8;
const TIME: u64 = 9;
const INSTANT: u64 = 10;
const LIST: u64 = 11;
const STRUCTURE: u64 = 12;

/// Rows hashed at once, so that a wide batch does not need all its cells in memory.
const ROWS_AT_ONCE: usize = 4096;

/// The hash of each row, in the order of the rows.
///
/// # Errors
///
/// `InvalidData` if a column has a type that is not published.
pub fn row_hashes(rows: &RecordBatch) -> Result<Vec<u128>> {
    let mut hashes = Vec::with_capacity(rows.num_rows());
    let mut start = 0;
    while start < rows.num_rows() {
        let part = rows.slice(start, ROWS_AT_ONCE.min(rows.num_rows() - start));
        let columns = part.columns().iter().map(|column| cells(column)).collect::<Result<Vec<_>>>()?;
        hashes.extend(structures(&columns, part.num_rows()));
        start += ROWS_AT_ONCE;
    }
    Ok(hashes)
}

/// The hash of each row's key: of the columns at these positions, or where there are none, of the whole row, whose hash
/// is given.
///
/// # Errors
///
/// As [`row_hashes`].
pub(crate) fn key_hashes<'a>(rows: &RecordBatch, key: &[usize], hashes: &'a [u128]) -> Result<Cow<'a, [u128]>> {
    if key.is_empty() {
        return Ok(Cow::Borrowed(hashes));
    }
    let columns =
        rows.project(key).map_err(|e| Error::internal("a key names columns that are not there").caused_by(e))?;
    row_hashes(&columns).map(Cow::Owned)
}

fn structures(columns: &[Vec<u128>], rows: usize) -> impl Iterator<Item = u128> {
    let mut bytes = Vec::with_capacity(columns.len() * 16);
    (0..rows).map(move |row| {
        bytes.clear();
        for column in columns {
            bytes.extend_from_slice(&column[row].to_le_bytes());
        }
        xxh3_128_with_seed(&bytes, STRUCTURE)
    })
}

fn cells(array: &dyn Array) -> Result<Vec<u128>> {
    let mut cells = values(array)?;
    if let Some(nulls) = array.nulls() {
        let null = xxh3_128_with_seed(&[], NULL);
        for (cell, is_valid) in cells.iter_mut().zip(nulls.iter()) {
            if !is_valid {
                *cell = null;
            }
        }
    }
    Ok(cells)
}

fn primitives<T: ArrowPrimitiveType, const N: usize>(
    array: &dyn Array,
    seed: u64,
    bytes: impl Fn(T::Native) -> [u8; N],
) -> Vec<u128> {
    array.as_primitive::<T>().values().iter().map(|value| xxh3_128_with_seed(&bytes(*value), seed)).collect()
}

fn signed<T: ArrowPrimitiveType>(array: &dyn Array, seed: u64) -> Vec<u128>
where
    T::Native: Into<i64>,
{
    primitives::<T, 8>(array, seed, |value| value.into().to_le_bytes())
}

fn unsigned<T: ArrowPrimitiveType>(array: &dyn Array) -> Vec<u128>
where
    T::Native: Into<u64>,
{
    primitives::<T, 8>(array, UNSIGNED, |value| value.into().to_le_bytes())
}

fn float<T: ArrowPrimitiveType>(array: &dyn Array) -> Vec<u128>
where
    T::Native: Into<f64>,
{
    primitives::<T, 8>(array, FLOAT, |value| {
        let value: f64 = value.into();
        let value = if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value };
        value.to_bits().to_le_bytes()
    })
}

/// A cell for each value; the ones of nulls mean nothing yet.
fn values(array: &dyn Array) -> Result<Vec<u128>> {
    use DataType as T;
    Ok(match array.data_type() {
        T::Boolean => {
            let values = array.as_boolean().values();
            values.iter().map(|value| xxh3_128_with_seed(&[u8::from(value)], BOOLEAN)).collect()
        }
        T::Int8 => signed::<Int8Type>(array, SIGNED),
        T::Int16 => signed::<Int16Type>(array, SIGNED),
        T::Int32 => signed::<Int32Type>(array, SIGNED),
        T::Int64 => signed::<Int64Type>(array, SIGNED),
        T::UInt8 => unsigned::<UInt8Type>(array),
        T::UInt16 => unsigned::<UInt16Type>(array),
        T::UInt32 => unsigned::<UInt32Type>(array),
        T::UInt64 => unsigned::<UInt64Type>(array),
        T::Float32 => float::<Float32Type>(array),
        T::Float64 => float::<Float64Type>(array),
        T::Decimal128(..) => primitives::<Decimal128Type, 16>(array, DECIMAL, i128::to_le_bytes),
        T::Utf8 => {
            let values = array.as_string::<i32>();
            (0..values.len()).map(|i| xxh3_128_with_seed(values.value(i).as_bytes(), TEXT)).collect()
        }
        T::Binary => {
            let values = array.as_binary::<i32>();
            (0..values.len()).map(|i| xxh3_128_with_seed(values.value(i), BINARY)).collect()
        }
        T::Date32 => signed::<Date32Type>(array, DATE),
        T::Time64(TimeUnit::Microsecond) => signed::<Time64MicrosecondType>(array, TIME),
        T::Timestamp(TimeUnit::Microsecond, _) => signed::<TimestampMicrosecondType>(array, INSTANT),
        T::List(_) => lists(array)?,
        T::Struct(_) => {
            let fields = array.as_struct().columns().iter().map(|field| cells(field)).collect::<Result<Vec<_>>>()?;
            structures(&fields, array.len()).collect()
        }
        other => {
            return Err(Error::invalid_data(format!("a column has type {other}, which is not one that is published")));
        }
    })
}

fn lists(array: &dyn Array) -> Result<Vec<u128>> {
    let column = array.as_list::<i32>();
    let offsets = column.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[column.len()] as usize);
    let items = cells(&column.values().slice(first, last - first))?;
    let mut bytes = Vec::new();
    Ok(offsets
        .windows(2)
        .map(|window| {
            bytes.clear();
            for item in &items[window[0] as usize - first..window[1] as usize - first] {
                bytes.extend_from_slice(&item.to_le_bytes());
            }
            xxh3_128_with_seed(&bytes, LIST)
        })
        .collect())
}

#[cfg(test)]
mod tests;
