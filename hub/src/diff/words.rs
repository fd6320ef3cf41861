//! Rows of a difference as people read them.

use crate::report::shown::shown;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use std::str::FromStr;
use ukimet_model::batch::is_geometry;
use ukimet_model::{Error, Result};

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its key is in both versions, and values differ.
    Changed,
}

impl Operation {
    /// Its name, as in the column `operation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl FromStr for Operation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Added, Self::Removed, Self::Changed]
            .into_iter()
            .find(|operation| operation.name() == text)
            .ok_or_else(|| Error::invalid_data("an operation of a difference is added, removed or changed"))
    }
}

/// One row that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct RowWords {
    /// What became of it.
    pub operation: Operation,
    /// The values of its key; empty without one.
    pub key: String,
    /// Of a changed row the columns that differ; of another one all its columns that have a value and are no key.
    pub cells: Vec<CellChange>,
    /// How far its place moved, metres.
    pub distance_m: Option<f64>,
    /// How much its area grew, square metres.
    pub area_change_m2: Option<f64>,
}

/// One value of a row that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellChange {
    /// The column.
    pub column: String,
    /// The values before and after, `None` where there is none; `None` altogether for a geometry.
    pub values: Option<[Option<String>; 2]>,
}

/// What stands for no value; an empty text is shown in quotation marks.
const NOTHING: &str = "∅";

/// A value on one line, cut to so many characters.
pub fn shown_value(value: Option<&String>, characters_max: usize) -> String {
    match value.map(String::as_str) {
        None => NOTHING.to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(text) => shown(text, characters_max),
    }
}

/// Longest value that is shown in a line, characters.
const VALUE_CHARACTERS_MAX: usize = 60;

impl RowWords {
    /// Its cells, each as `value: 10 → 11`, as `value: 10` where the row is on one side only, or as `geometry`.
    pub fn cells_shown(&self) -> Vec<String> {
        self.cells.iter().map(|cell| self.cell_shown(cell)).collect()
    }

    fn cell_shown(&self, cell: &CellChange) -> String {
        let Some(values) = &cell.values else { return cell.column.clone() };
        let [before, after] = values.each_ref().map(|value| shown_value(value.as_ref(), VALUE_CHARACTERS_MAX));
        match self.operation {
            Operation::Changed => format!("{}: {before} → {after}", cell.column),
            Operation::Removed => format!("{}: {before}", cell.column),
            Operation::Added => format!("{}: {after}", cell.column),
        }
    }
}

/// The rows of a batch in words.
///
/// # Errors
///
/// `InvalidData` if it is none of a difference.
pub fn words(batch: &RecordBatch) -> Result<Vec<RowWords>> {
    let reader = Reader::try_new(batch)?;
    (0..batch.num_rows()).map(|row| reader.row(row)).collect()
}

struct Reader<'a> {
    operations: &'a arrow_array::StringArray,
    key: Option<(&'a StructArray, Vec<ArrayFormatter<'a>>)>,
    changed: &'a arrow_array::ListArray,
    distances: Option<&'a arrow_array::Float64Array>,
    areas: Option<&'a arrow_array::Float64Array>,
    sides: [Side<'a>; 2],
}

/// The values before or after.
struct Side<'a> {
    rows: &'a StructArray,
    formatters: Vec<ArrayFormatter<'a>>,
}

fn foreign() -> Error {
    Error::invalid_data("a batch is none of a difference")
}

fn formatters(rows: &StructArray) -> Result<Vec<ArrayFormatter<'_>>> {
    const OPTIONS: FormatOptions<'static> = FormatOptions::new();
    let mut formatters = Vec::with_capacity(rows.num_columns());
    for column in rows.columns() {
        formatters.push(ArrayFormatter::try_new(column.as_ref(), &OPTIONS).map_err(|e| foreign().caused_by(e))?);
    }
    Ok(formatters)
}

impl Side<'_> {
    fn value(&self, column: usize, row: usize) -> Option<String> {
        let is_there = self.rows.is_valid(row) && self.rows.column(column).is_valid(row);
        is_there.then(|| self.formatters[column].value(row).to_string())
    }

    fn named(&self, name: &str, row: usize) -> Option<String> {
        let column = self.rows.fields().iter().position(|field| field.name() == name)?;
        self.value(column, row)
    }

    fn is_place(&self, name: &str) -> bool {
        self.rows.fields().iter().any(|field| field.name() == name && is_geometry(field))
    }
}

impl<'a> Reader<'a> {
    fn try_new(batch: &'a RecordBatch) -> Result<Self> {
        let column = |name: &str| batch.column_by_name(name);
        let side = |name: &str| {
            let rows = column(name).and_then(|column| column.as_struct_opt()).ok_or_else(foreign)?;
            Ok::<_, Error>(Side { rows, formatters: formatters(rows)? })
        };
        let key = column("key").and_then(|column| column.as_struct_opt());
        let numbers = |name: &str| column(name).and_then(|column| column.as_primitive_opt::<Float64Type>());
        Ok(Self {
            operations: column("operation").and_then(|column| column.as_string_opt()).ok_or_else(foreign)?,
            key: key.map(|key| Ok::<_, Error>((key, formatters(key)?))).transpose()?,
            changed: column("changed").and_then(|column| column.as_list_opt()).ok_or_else(foreign)?,
            distances: numbers("distance_m"),
            areas: numbers("area_change_m2"),
            sides: [side("before")?, side("after")?],
        })
    }

    fn row(&self, row: usize) -> Result<RowWords> {
        let operation: Operation = self.operations.value(row).parse()?;
        let cells = match operation {
            Operation::Changed => self.changed_cells(row)?,
            Operation::Removed => self.all_cells(row, &self.sides[0]),
            Operation::Added => self.all_cells(row, &self.sides[1]),
        };
        let number = |numbers: Option<&arrow_array::Float64Array>| {
            numbers.filter(|numbers| numbers.is_valid(row)).map(|numbers| numbers.value(row))
        };
        Ok(RowWords {
            operation,
            key: self.key(row),
            cells,
            distance_m: number(self.distances),
            area_change_m2: number(self.areas),
        })
    }

    fn key(&self, row: usize) -> String {
        let Some((key, formatters)) = &self.key else { return String::new() };
        let values = key.columns().iter().zip(formatters).map(|(column, formatter)| {
            let value = column.is_valid(row).then(|| formatter.value(row).to_string());
            shown_value(value.as_ref(), usize::MAX)
        });
        values.collect::<Vec<_>>().join(", ")
    }

    fn changed_cells(&self, row: usize) -> Result<Vec<CellChange>> {
        let names = self.changed.value(row);
        let names = names.as_string_opt::<i32>().ok_or_else(foreign)?;
        let cells = names.iter().flatten().map(|name| {
            let is_place = self.sides.iter().any(|side| side.is_place(name));
            let values = (!is_place).then(|| self.sides.each_ref().map(|side| side.named(name, row)));
            CellChange { column: name.to_owned(), values }
        });
        Ok(cells.collect())
    }

    fn all_cells(&self, row: usize, side: &Side<'_>) -> Vec<CellChange> {
        let is_key = |name: &str| {
            self.key.as_ref().is_some_and(|(key, _)| key.fields().iter().any(|field| field.name() == name))
        };
        let columns = side.rows.fields().iter().enumerate().filter(|(_, field)| !is_geometry(field));
        let cells = columns.filter(|(_, field)| !is_key(field.name())).filter_map(|(column, field)| {
            let value = side.value(column, row)?;
            let is_before = std::ptr::eq(side, &raw const self.sides[0]);
            let values = if is_before { [Some(value), None] } else { [None, Some(value)] };
            Some(CellChange { column: field.name().clone(), values: Some(values) })
        });
        cells.collect()
    }
}
