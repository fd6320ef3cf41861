//! Hashes of exported columns: the same however the rows are cut into batches.
//!
//! The hash of a column is the SHA-256 over its values one after the other: a byte 0 for a missing one, else a byte 1 and
//!
//! | type | bytes, little-endian |
//! |---|---|
//! | Boolean | one, 0 or 1 |
//! | signed, unsigned integer of any width | 8 |
//! | floating point of either width | the 8 of the double, `NaN` as 7ff8000000000000 |
//! | decimal | the 16 of the unscaled number |
//! | text, binary, geometry | the length as 8, then the UTF-8 or the bytes |
//! | date; time of day, instant | days since 1970 as 8; microseconds as 8 |
//! | list | how many items as 8, then each as a value |
//! | structure | each field as a value |

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Schema, TimeUnit};
use sha2::{Digest, Sha256 as Hasher};
use ukimet_model::{Error, Result, Sha256};
use ukimet_proto::export_receipt::ColumnDigest;

/// Bytes that are hashed at once.
const BUFFER_BYTES: usize = 64 << 10;

/// The hashes of the columns of rows that come batch by batch.
pub struct RowsDigest {
    rows: u64,
    columns: Vec<Hasher>,
    buffer: Vec<u8>,
}

impl RowsDigest {
    /// Of no rows yet.
    pub fn new(schema: &Schema) -> Self {
        let columns = schema.fields().iter().map(|_| Hasher::new()).collect();
        Self { rows: 0, columns, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    /// Takes the next rows.
    ///
    /// # Errors
    ///
    /// `InvalidData` if a column has a type that is not published.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        for (column, hasher) in rows.columns().iter().zip(&mut self.columns) {
            for row in 0..column.len() {
                write(&mut self.buffer, column, row)?;
                if self.buffer.len() >= BUFFER_BYTES {
                    hasher.update(&self.buffer);
                    self.buffer.clear();
                }
            }
            hasher.update(&self.buffer);
            self.buffer.clear();
        }
        Ok(())
    }

    /// How many rows there were, and the hashes of the schema's columns.
    pub fn finish(self, schema: &Schema) -> (u64, Vec<ColumnDigest>) {
        let columns = schema.fields().iter().zip(self.columns).map(|(field, hasher)| ColumnDigest {
            name: field.name().clone(),
            r#type: field.data_type().to_string(),
            sha256: Sha256(hasher.finalize().into()),
        });
        (self.rows, columns.collect())
    }
}

/// Writes one value.
fn write(out: &mut Vec<u8>, array: &dyn Array, row: usize) -> Result<()> {
    out.push(u8::from(array.is_valid(row)));
    if array.is_null(row) {
        return Ok(());
    }
    match array.data_type() {
        DataType::Boolean => out.push(u8::from(array.as_boolean().value(row))),
        DataType::Float32 => double(out, f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => double(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => out.extend(array.as_primitive::<Decimal128Type>().value(row).to_le_bytes()),
        DataType::Utf8 => sized(out, array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => sized(out, array.as_binary::<i32>().value(row)),
        DataType::UInt8 => out.extend(u64::from(array.as_primitive::<UInt8Type>().value(row)).to_le_bytes()),
        DataType::UInt16 => out.extend(u64::from(array.as_primitive::<UInt16Type>().value(row)).to_le_bytes()),
        DataType::UInt32 => out.extend(u64::from(array.as_primitive::<UInt32Type>().value(row)).to_le_bytes()),
        DataType::UInt64 => out.extend(array.as_primitive::<UInt64Type>().value(row).to_le_bytes()),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            out.extend((items.len() as u64).to_le_bytes());
            (0..items.len()).try_for_each(|item| write(out, &items, item))?;
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().try_for_each(|field| write(out, field, row))?;
        }
        other => out.extend(signed(array, row, other)?.to_le_bytes()),
    }
    Ok(())
}

/// A signed number, or what counts as one.
fn signed(array: &dyn Array, row: usize, data_type: &DataType) -> Result<i64> {
    Ok(match data_type {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::Time64(TimeUnit::Microsecond) => array.as_primitive::<Time64MicrosecondType>().value(row),
        DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().value(row),
        other => {
            return Err(Error::invalid_data(format!("a column has type {other}, which is not one that is published")));
        }
    })
}

fn double(out: &mut Vec<u8>, value: f64) {
    let value = if value.is_nan() { f64::from_bits(0x7ff8_0000_0000_0000) } else { value };
    out.extend(value.to_le_bytes());
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Int16Array, ListArray, StringArray,
        StructArray, UInt8Array,
    };
    use arrow_schema::Field;
    use std::sync::Arc;

    /// Two values of a kind and a missing one, and the bytes of the two.
    fn columns() -> Vec<(ArrayRef, [Vec<u8>; 2])> {
        let number = |value: i64| value.to_le_bytes().to_vec();
        let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let lists = vec![Some(vec![Some(1), None]), Some(vec![]), None];
        let pair: ArrayRef = Arc::new(Int16Array::from(vec![Some(-2), None, Some(0)]));
        let pairs = StructArray::try_new(
            vec![Field::new("a", DataType::Int16, true)].into(),
            vec![pair],
            Some(vec![true, true, false].into()),
        );
        let decimals = Decimal128Array::from(vec![Some(-5), Some(7), None]);
        vec![
            (Arc::new(Int16Array::from(vec![Some(-2), Some(3), None])), [number(-2), number(3)]),
            (Arc::new(UInt8Array::from(vec![Some(200), Some(3), None])), [number(200), number(3)]),
            (Arc::new(Date32Array::from(vec![Some(-2), Some(3), None])), [number(-2), number(3)]),
            (Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])), [vec![1], vec![0]]),
            (
                Arc::new(Float32Array::from(vec![Some(0.5), Some(-f32::NAN), None])),
                [0.5_f64.to_le_bytes().to_vec(), vec![0, 0, 0, 0, 0, 0, 0xf8, 0x7f]],
            ),
            (Arc::new(decimals), [(-5_i128).to_le_bytes().to_vec(), 7_i128.to_le_bytes().to_vec()]),
            (Arc::new(StringArray::from(vec![Some("Қала"), Some(""), None])), [text("Қала"), text("")]),
            (
                Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(lists)),
                [[&number(2)[..], &[1], &number(1), &[0]].concat(), number(0)],
            ),
            (Arc::new(pairs.expect("fits")), [[&[1][..], &number(-2)].concat(), vec![0]]),
        ]
    }

    #[test]
    fn the_hash_of_a_column_is_over_the_documented_bytes() {
        for (column, [first, second]) in columns() {
            let rows = RecordBatch::try_from_iter([("c", column)]).expect("one column");
            let mut digest = RowsDigest::new(rows.schema_ref());
            digest.add(&rows).expect("published");
            let (count, columns) = digest.finish(rows.schema_ref());
            let bytes = [&[1][..], &first, &[1], &second, &[0]].concat();
            assert_eq!(columns[0].sha256, Sha256(Hasher::digest(bytes).into()), "{}", columns[0].r#type);
            assert_eq!((count, columns[0].name.as_str()), (3, "c"));
        }
    }

    #[test]
    fn batches_do_not_matter_and_every_value_does() {
        let texts: Vec<String> = (0..5000).map(|i| "x".repeat(i % 50)).collect();
        let rows = |texts: &[String]| {
            let column: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
            RecordBatch::try_from_iter([("c", column)]).expect("one column")
        };
        let hash = |texts: &[String], cut: usize| {
            let whole = rows(texts);
            let mut digest = RowsDigest::new(whole.schema_ref());
            (0..texts.len()).step_by(cut).for_each(|at| {
                digest.add(&whole.slice(at, cut.min(texts.len() - at))).expect("published");
            });
            digest.finish(whole.schema_ref())
        };
        assert_eq!(hash(&texts, 7), hash(&texts, 5000));
        let mut other = texts.clone();
        other.swap(20, 21);
        assert_ne!(hash(&texts, 5000), hash(&other, 5000), "order counts");
    }
}
