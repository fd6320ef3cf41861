//! Attributes of tiles as columns: the narrowest type that holds every value of a layer exactly.

use super::mvt::TileValue;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::{Error, Result};
use ukimet_normalize::GEOMETRY_KEY;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Truth,
    Integer,
    Number,
    Text,
}

/// Whole numbers up to here are exact as floats.
const EXACT_MAX: u64 = 1 << 53;

impl Kind {
    fn of(value: &TileValue) -> Self {
        match value {
            TileValue::Truth(_) => Self::Truth,
            TileValue::Integer(_) => Self::Integer,
            TileValue::Number(_) => Self::Number,
            TileValue::Text(_) => Self::Text,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Truth => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Text => DataType::Utf8,
        }
    }
}

/// The columns of a layer, in the order in which they appear.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    places: HashMap<String, usize>,
    names: Vec<String>,
    kinds: Vec<Option<Kind>>,
    /// Whether whole numbers of a column are too large for a float.
    large: Vec<bool>,
}

impl Columns {
    /// Takes note of a value.
    pub(super) fn observe(&mut self, name: &str, value: &TileValue) {
        let place = self.places.get(name).copied().unwrap_or_else(|| {
            self.places.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
            self.kinds.push(None);
            self.large.push(false);
            self.names.len() - 1
        });
        if let TileValue::Integer(number) = value {
            self.large[place] |= number.unsigned_abs() > EXACT_MAX;
        }
        self.kinds[place] = Some(match (self.kinds[place], Kind::of(value)) {
            (None, kind) => kind,
            (Some(before), kind) if before == kind => kind,
            (Some(Kind::Integer | Kind::Number), Kind::Integer | Kind::Number) => Kind::Number,
            _ => Kind::Text,
        });
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of a column.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn kinds(&self) -> Vec<Kind> {
        let kinds = self.kinds.iter().zip(&self.large);
        kinds
            .map(|(kind, large)| match kind {
                Some(Kind::Number) if *large => Kind::Text,
                kind => kind.unwrap_or(Kind::Text),
            })
            .collect()
    }

    /// The columns and the geometry after them.
    pub(super) fn schema(&self) -> SchemaRef {
        let columns = self.names.iter().zip(self.kinds()).map(|(name, kind)| Field::new(name, kind.data_type(), true));
        let metadata = [(GEOMETRY_KEY.to_owned(), "1".to_owned())].into();
        let geometry = Field::new("geometry", DataType::Binary, true).with_metadata(metadata);
        Schema::new(columns.chain([geometry]).collect::<Vec<_>>()).into()
    }

    /// Rows of values by the place of their column, each with its geometry.
    pub(super) fn rows(&self, rows: &[TileRow]) -> Result<RecordBatch> {
        let kinds = self.kinds();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(kinds.len() + 1);
        for (place, kind) in kinds.into_iter().enumerate() {
            columns.push(column(kind, rows.iter().map(|row| row.values.get(&place))));
        }
        columns.push(Arc::new(rows.iter().map(|row| row.geometry.as_deref()).collect::<BinaryArray>()));
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| Error::internal("columns of tiles do not fit their schema").caused_by(error))
    }
}

/// A feature as a row.
#[derive(Clone, Debug, Default)]
pub(super) struct TileRow {
    /// Its values by the place of their column.
    pub(super) values: HashMap<usize, TileValue>,
    /// WKB in EPSG:3857.
    pub(super) geometry: Option<Vec<u8>>,
}

fn column<'a>(kind: Kind, values: impl Iterator<Item = Option<&'a TileValue>>) -> ArrayRef {
    match kind {
        Kind::Truth => Arc::new(values.map(|value| value.and_then(truth)).collect::<BooleanArray>()),
        Kind::Integer => Arc::new(values.map(|value| value.and_then(integer)).collect::<Int64Array>()),
        Kind::Number => Arc::new(values.map(|value| value.and_then(number)).collect::<Float64Array>()),
        Kind::Text => Arc::new(values.map(|value| value.map(TileValue::shown)).collect::<StringArray>()),
    }
}

fn truth(value: &TileValue) -> Option<bool> {
    if let TileValue::Truth(truth) = value { Some(*truth) } else { None }
}

fn integer(value: &TileValue) -> Option<i64> {
    if let TileValue::Integer(number) = value { Some(*number) } else { None }
}

fn number(value: &TileValue) -> Option<f64> {
    match value {
        TileValue::Number(number) => Some(*number),
        TileValue::Integer(number) => Some(*number as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_every_value_exactly() {
        let integer = |number| TileValue::Integer(number);
        for (values, expected) in [
            (vec![integer(1), integer(-2)], DataType::Int64),
            (vec![integer(1), TileValue::Number(0.5)], DataType::Float64),
            (vec![integer(i64::MAX), TileValue::Number(0.5)], DataType::Utf8),
            (vec![TileValue::Truth(true), integer(1)], DataType::Utf8),
            (vec![TileValue::Truth(true)], DataType::Boolean),
        ] {
            let mut columns = Columns::default();
            for value in &values {
                columns.observe("a", value);
            }
            assert_eq!(columns.schema().field(0).data_type(), &expected, "{values:?}");
            let row = |value: &TileValue| TileRow { values: [(0, value.clone())].into(), geometry: None };
            let batch = columns.rows(&values.iter().map(row).collect::<Vec<_>>()).expect("rows");
            assert_eq!(batch.column(0).null_count(), 0, "{values:?}");
        }
    }
}
