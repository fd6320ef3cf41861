//! Values of one column as an Arrow array.

use super::cursor::{Items, unescaped};
use super::moments::{clock, date, instant, local};
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, ListArray};
use arrow_buffer::{NullBufferBuilder, OffsetBufferBuilder};
use arrow_schema::{DataType, FieldRef};
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// A column under way.
pub(super) enum Cells {
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Boolean(BooleanBuilder),
    Date(Date32Builder),
    Clock(Time64MicrosecondBuilder),
    Local(TimestampMicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    List { item: FieldRef, items: Box<Cells>, offsets: OffsetBufferBuilder<i32>, valid: NullBufferBuilder },
}

impl Cells {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Time64(_) => Self::Clock(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(_, None) => Self::Local(TimestampMicrosecondBuilder::new()),
            DataType::Timestamp(_, Some(_)) => Self::Instant(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            DataType::List(item) => Self::List {
                item: Arc::clone(item),
                items: Box::new(Self::of(item.data_type())),
                offsets: OffsetBufferBuilder::new(0),
                valid: NullBufferBuilder::new(0),
            },
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a value as it is written; gives how many halves of surrogate pairs it had.
    ///
    /// # Errors
    ///
    /// `Internal` if it does not fit the type, which the first look chose so that it does.
    pub(super) fn append(&mut self, value: Option<&[u8]>) -> Result<u64> {
        let value = value.filter(|value| *value != b"null");
        let text = value.map(|value| std::str::from_utf8(value).unwrap_or_default());
        let unfit = || Error::internal("a value does not fit the type that was chosen for its column");
        let quoted = || text.map(|text| text.get(1..text.len() - 1).unwrap_or_default());
        match self {
            Self::Int32(cells) => cells.append_option(parsed(text, unfit)?),
            Self::Int64(cells) => cells.append_option(parsed(text, unfit)?),
            Self::Float64(cells) => cells.append_option(parsed(text, unfit)?),
            Self::Boolean(cells) => cells.append_option(parsed(text, unfit)?),
            Self::Date(cells) => cells.append_option(quoted().map(|text| date(text).ok_or_else(unfit)).transpose()?),
            Self::Clock(cells) => cells.append_option(quoted().map(|text| clock(text).ok_or_else(unfit)).transpose()?),
            Self::Local(cells) => cells.append_option(quoted().map(|text| local(text).ok_or_else(unfit)).transpose()?),
            Self::Instant(cells) => {
                cells.append_option(quoted().map(|text| instant(text).ok_or_else(unfit)).transpose()?);
            }
            Self::Text(cells) => return Ok(append_text(cells, text)),
            Self::List { items, offsets, valid, .. } => {
                valid.append(value.is_some());
                let before = items.len();
                let mut lone = 0;
                for item in value.into_iter().flat_map(Items::of) {
                    lone += items.append(Some(item.map_err(|_| unfit())?))?;
                }
                offsets.push_length(items.len() - before);
                return Ok(lone);
            }
        }
        Ok(0)
    }

    fn len(&self) -> usize {
        match self {
            Self::Int32(cells) => cells.len(),
            Self::Int64(cells) => cells.len(),
            Self::Float64(cells) => cells.len(),
            Self::Boolean(cells) => cells.len(),
            Self::Date(cells) => cells.len(),
            Self::Clock(cells) => cells.len(),
            Self::Local(cells) | Self::Instant(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
            Self::List { valid, .. } => valid.len(),
        }
    }

    /// The array.
    pub(super) fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Int32(mut cells) => Arc::new(cells.finish()),
            Self::Int64(mut cells) => Arc::new(cells.finish()),
            Self::Float64(mut cells) => Arc::new(cells.finish()),
            Self::Boolean(mut cells) => Arc::new(cells.finish()),
            Self::Date(mut cells) => Arc::new(cells.finish()),
            Self::Clock(mut cells) => Arc::new(cells.finish()),
            Self::Local(mut cells) | Self::Instant(mut cells) => Arc::new(cells.finish()),
            Self::Text(mut cells) => Arc::new(cells.finish()),
            Self::List { item, items, offsets, mut valid } => {
                let list = ListArray::try_new(item, offsets.finish(), items.finish()?, valid.finish());
                Arc::new(list.map_err(|error| Error::internal("a list does not fit its type").caused_by(error))?)
            }
        })
    }
}

fn parsed<T: std::str::FromStr>(text: Option<&str>, unfit: impl Fn() -> Error) -> Result<Option<T>> {
    text.map(|text| text.parse().map_err(|_| unfit())).transpose()
}

/// Text without its quotes and escapes; any other value as it is written.
fn append_text(cells: &mut StringBuilder, text: Option<&str>) -> u64 {
    match text {
        Some(text) if text.starts_with('"') && text.contains('\\') => {
            let mut plain = String::with_capacity(text.len());
            let lone = unescaped(text.as_bytes(), &mut plain);
            cells.append_value(plain);
            return lone;
        }
        Some(text) if text.starts_with('"') => cells.append_value(&text[1..text.len() - 1]),
        other => cells.append_option(other),
    }
    0
}
