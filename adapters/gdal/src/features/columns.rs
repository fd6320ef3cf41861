//! Columns of the Arrow stream as raw columns: text checked, times in microseconds, geometry linear.

use super::Text;
use crate::gdal::{OgrRows, linearize};
use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use ukimet_normalize::{GEOMETRY_KEY, TEXT_KEY};

/// The columns as the normalizer gets them: text as UTF-8 where it must be, times in microseconds, one geometry.
pub(super) fn columns(rows: &OgrRows, text: &Text) -> Vec<FieldRef> {
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

pub(super) fn converted(field: &Field, column: &ArrayRef, rows_before: u64) -> Result<ArrayRef> {
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
            rows_before + row as u64 + 1
        ))
    })
}

/// The geometries without curves, and how many had some.
pub(super) fn linear(column: &ArrayRef) -> Result<(ArrayRef, u64)> {
    let wkb: &BinaryArray = column.as_binary();
    let is_curved = |bytes: &[u8]| match kind(bytes) {
        Some(1..=6) | None => false,
        Some(7) => ukimet_model::wkb::inspect(bytes).is_err(),
        Some(_) => true,
    };
    // FlatGeobuf's own stream gives no bytes for a feature without geometry.
    let is_absent = |bytes: &[u8]| bytes.is_empty();
    if !wkb.iter().flatten().any(|bytes| is_absent(bytes) || is_curved(bytes)) {
        return Ok((ArrayRef::clone(column), 0));
    }
    let mut linearized = 0;
    let mut out = BinaryBuilder::new();
    for bytes in wkb {
        match bytes {
            Some(bytes) if is_absent(bytes) => out.append_null(),
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
pub(super) fn vertices_at_most(column: &ArrayRef) -> u64 {
    let wkb: &BinaryArray = column.as_binary();
    (wkb.value_data().len() / 16) as u64
}
