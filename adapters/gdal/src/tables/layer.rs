//! A table as rows of text: what each cell says, in a form that loses nothing.

use super::cells::label;
use super::grid::{Grid, Row, Value};
use super::moments::{MomentStyle, duration};
use super::percent::percent_text;
use super::report::{CellFindings, TableContext, parameters, table_findings};
use super::{Table, wide};
use crate::source::Rows;
use crate::text_batch::TextBatch;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use ukimet_model::{Diagnostic, Result};
use ukimet_normalize::{NUMERIC_CELLS_KEY, SourceEncoding, SourceLayer};

/// The name of the long form of a table.
pub(super) fn long_name(name: &str) -> String {
    format!("{name} (long)")
}

/// The rows of a table, wide as they stand or long by period.
pub(super) struct TableRows<'a> {
    grid: &'a Grid,
    table: &'a Table,
    context: TableContext,
    is_long: bool,
    styles: Vec<MomentStyle>,
    schema: SchemaRef,
    rows_max: usize,
    next: usize,
    cells: CellFindings,
}

impl<'a> TableRows<'a> {
    /// Begins to read a table, batches of at most `rows_max`.
    pub(super) fn new(grid: &'a Grid, table: &'a Table, context: TableContext, is_long: bool, rows_max: usize) -> Self {
        let fields = fields(grid, table, is_long);
        Self {
            grid,
            table,
            context,
            is_long,
            styles: styles(grid, table),
            schema: Arc::new(Schema::new(fields)),
            rows_max,
            next: 0,
            cells: CellFindings::default(),
        }
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// How many rows come out.
    pub(super) fn count(&self) -> usize {
        self.table.rows.len() * self.repeats()
    }

    fn repeats(&self) -> usize {
        if self.is_long { self.table.periods.len() } else { 1 }
    }

    /// The cells of a row that comes out.
    fn record(&mut self, index: usize) -> Vec<Option<String>> {
        let (data_row, repeat) = (index / self.repeats(), index % self.repeats());
        let columns = 0..self.table.columns.len();
        if !self.is_long {
            return columns.map(|column| self.text(data_row, column, index)).collect();
        }
        let table = self.table;
        let keys = columns.filter(|column| !table.periods.contains(column));
        let mut record: Vec<Option<String>> = keys.map(|column| self.text(data_row, column, index)).collect();
        let period = table.periods[repeat];
        record.push(Some(wide::written(&table.columns[period].name).to_owned()));
        record.push(self.text(data_row, period, index));
        record
    }

    /// What a cell says; `None` if it says nothing.
    fn text(&mut self, data_row: usize, column: usize, index: usize) -> Option<String> {
        let row = &self.grid.rows[self.table.rows[data_row]];
        let name = &self.table.columns[column];
        let Some(value) = row.cell(name.at) else { return self.merged_text(row, column, index) };
        let place = || self.grid.address(row.number, name.at);
        match value {
            Value::Error(error) => {
                self.cells.error(index, &name.name, error, place);
                None
            }
            Value::Uncomputed => {
                self.cells.uncomputed(index, &name.name, place);
                None
            }
            Value::Moment(days) => Some(self.styles[column].text(*days, self.grid.is_1904).unwrap_or_else(|_| {
                self.cells.no_day(index, &name.name, *days, place);
                number_text(*days)
            })),
            Value::Percent(share) => {
                let text = percent_text(*share);
                self.cells.percent(index, &name.name, &text, || format!("{} in {}", number_text(*share), place()));
                Some(text)
            }
            other => Some(plain_text(other)),
        }
    }

    /// The text of a merged area, in the rows below its first.
    fn merged_text(&mut self, row: &Row, column: usize, index: usize) -> Option<String> {
        let name = &self.table.columns[column];
        let area = self.grid.merged(row.number, name.at).filter(|area| area.columns.0 == name.at)?;
        // Headers that reach down into the rows name columns and fill nothing.
        let first = self.grid.rows.binary_search_by_key(&area.rows.0, |row| row.number).ok()?;
        self.table.rows.binary_search(&first).ok()?;
        let value = self.grid.rows[first].cell(name.at).filter(|value| !value.is_blank())?;
        let text = match value {
            Value::Moment(days) => self.styles[column].text(*days, self.grid.is_1904).ok()?,
            Value::Error(_) | Value::Uncomputed => return None,
            other => plain_text(other),
        };
        self.cells.filled(index, &name.name, &text, || self.grid.address(row.number, name.at));
        Some(text)
    }
}

impl Rows for TableRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.context.name.clone(),
            format: self.context.format.to_owned(),
            schema: SchemaRef::clone(&self.schema),
            raw_names: None,
            crs: None,
            encoding: SourceEncoding::Utf8 { transcoded_from: self.context.transcoded_from.clone() },
            untyped: true,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut batch = TextBatch::new(&self.schema, self.rows_max);
        while batch.has_room() && self.next < self.count() {
            batch.push(self.record(self.next).into_iter().map(Ok))?;
            self.next += 1;
        }
        batch.finish()
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        let mut findings = table_findings(self.grid, self.table, &self.context);
        findings.extend(std::mem::take(&mut self.cells).into_diagnostics());
        findings
    }

    fn parameters(&self) -> BTreeMap<String, String> {
        parameters(self.grid, self.table, self.is_long)
    }

    fn rows_refused(&self) -> u64 {
        self.table.totals.len() as u64
    }
}

fn fields(grid: &Grid, table: &Table, is_long: bool) -> Vec<Field> {
    let field = |index: usize, name: &str| {
        let at = table.columns[index].at;
        let cells = table.rows.iter().filter_map(|position| grid.rows[*position].cell(at));
        let is_numeric =
            cells.into_iter().any(|value| matches!(value, Value::Number(_) | Value::Percent(_) | Value::Digits(_)));
        let field = Field::new(name, DataType::Utf8, true);
        let key = HashMap::from([(NUMERIC_CELLS_KEY.to_owned(), "1".to_owned())]);
        if is_numeric { field.with_metadata(key) } else { field }
    };
    let all = 0..table.columns.len();
    if !is_long {
        return all.map(|index| field(index, &table.columns[index].name)).collect();
    }
    let keys = all.filter(|index| !table.periods.contains(index));
    let mut fields: Vec<Field> = keys.map(|index| field(index, &table.columns[index].name)).collect();
    fields.push(Field::new(wide::kind(table), DataType::Utf8, true));
    fields.push(Field::new("value", DataType::Utf8, true));
    fields
}

fn styles(grid: &Grid, table: &Table) -> Vec<MomentStyle> {
    let style = |at: u32| {
        let cells = table.rows.iter().filter_map(|position| grid.rows[*position].cell(at));
        MomentStyle::of(cells.filter_map(|value| match value {
            Value::Moment(days) => Some(*days),
            _ => None,
        }))
    };
    table.columns.iter().map(|column| style(column.at)).collect()
}

fn plain_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number_text(*number),
        Value::Duration(days) => duration(*days),
        other => label(other),
    }
}

/// The shortest decimal that is this number and no other.
pub(super) fn number_text(number: f64) -> String {
    const INTEGER_MAX: f64 = 9.2e18;
    let text = if number == 0.0 { "0".to_owned() } else { number.to_string() };
    // Beyond 64-bit integers a number is a decimal, and written as one.
    if number.abs() > INTEGER_MAX && !text.contains('.') { format!("{text}.0") } else { text }
}
