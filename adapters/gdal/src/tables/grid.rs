//! A sheet as cells: sparse, so that a lonely cell at the far corner costs one cell.

use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// What a cell holds, as it is stored and not as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Text, as written.
    Text(Arc<str>),
    /// A number.
    Number(f64),
    /// A share in a cell that is shown as percent: 0.5 where people see 50 %.
    Percent(f64),
    /// A number as the digits that a 64-bit float does not keep.
    Digits(Arc<str>),
    /// A truth value.
    Boolean(bool),
    /// Days since the epoch of the workbook, in a cell that is shown as date or time.
    Moment(f64),
    /// Days, in a cell that is shown as a duration.
    Duration(f64),
    /// An error such as `#N/A`.
    Error(Arc<str>),
    /// A formula without a stored result.
    Uncomputed,
}

impl Value {
    /// The text of a cell that holds text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing to see.
    pub(crate) fn is_blank(&self) -> bool {
        self.text().is_some_and(|text| text.trim().is_empty())
    }
}

/// A row with at least one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    /// Its number in the sheet, from 0.
    pub(crate) number: u32,
    /// Its cells by column, from 0, in order.
    pub(crate) cells: Vec<(u32, Value)>,
}

impl Row {
    /// The cell in a column, unless it is empty.
    pub(crate) fn cell(&self, column: u32) -> Option<&Value> {
        let at = self.cells.binary_search_by_key(&column, |(at, _)| *at).ok()?;
        Some(&self.cells[at].1)
    }

    /// Cells that are not blank, of some columns.
    pub(crate) fn filled(&self, columns: (u32, u32)) -> impl Iterator<Item = (u32, &Value)> {
        let first = self.cells.partition_point(|(at, _)| *at < columns.0);
        let cells = self.cells[first..].iter().take_while(move |(at, _)| *at <= columns.1);
        cells.filter(|(_, value)| !value.is_blank()).map(|(at, value)| (*at, value))
    }
}

/// Merged cells: first and last row and column, from 0, both inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) rows: (u32, u32),
    pub(crate) columns: (u32, u32),
}

/// The cells of one sheet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    /// The sheet's name; empty for a file without sheets.
    pub(crate) name: String,
    /// Rows with cells, in order.
    pub(crate) rows: Vec<Row>,
    /// Whether days count from 1904.
    pub(crate) is_1904: bool,
    /// What readers of the sheet should know, e.g. that it is hidden.
    pub(crate) notes: Vec<String>,
    /// Merged areas by column, each list by first row.
    merged: HashMap<u32, Vec<Area>>,
}

impl Grid {
    /// The merged area around a cell.
    pub(crate) fn merged(&self, row: u32, column: u32) -> Option<Area> {
        let areas = self.merged.get(&column)?;
        let before = areas.partition_point(|area| area.rows.0 <= row).checked_sub(1)?;
        Some(areas[before]).filter(|area| area.rows.1 >= row)
    }

    /// The value of a cell, or of the merged area that covers it.
    pub(crate) fn shown<'a>(&'a self, row: &'a Row, column: u32) -> Option<&'a Value> {
        if let Some(value) = row.cell(column) {
            return Some(value);
        }
        let area = self.merged(row.number, column)?;
        let position = self.rows.binary_search_by_key(&area.rows.0, |row| row.number).ok()?;
        self.rows[position].cell(area.columns.0)
    }

    /// Whether anything is merged.
    pub(crate) fn has_merged(&self) -> bool {
        !self.merged.is_empty()
    }

    /// The address of a cell as people write it: `лист!C7`.
    pub(crate) fn address(&self, row: u32, column: u32) -> String {
        let cell = format!("{}{}", column_letters(column), u64::from(row) + 1);
        if self.name.is_empty() { cell } else { format!("{}!{cell}", self.name) }
    }
}

/// Gathers the cells of a sheet in any order.
#[derive(Debug)]
pub(crate) struct GridBuilder {
    rows: Vec<Row>,
    is_sorted: bool,
    cells: u64,
    cells_max: u64,
}

impl GridBuilder {
    /// Begins a sheet that may have so many cells.
    pub(crate) fn new(cells_max: u64) -> Self {
        Self { rows: Vec::new(), is_sorted: true, cells: 0, cells_max }
    }

    /// Adds a cell.
    ///
    /// # Errors
    ///
    /// `LimitReached` above the limit of cells.
    pub(crate) fn add(&mut self, row: u32, column: u32, value: Value) -> Result<()> {
        self.cells += 1;
        check_cells(self.cells, self.cells_max)?;
        if self.rows.last().is_none_or(|last| last.number != row) {
            self.is_sorted &= self.rows.last().is_none_or(|last| last.number < row);
            self.rows.push(Row { number: row, cells: Vec::new() });
        }
        if let Some(last) = self.rows.last_mut() {
            self.is_sorted &= last.cells.last().is_none_or(|(at, _)| *at < column);
            last.cells.push((column, value));
        }
        Ok(())
    }

    /// The grid; of two values at one place the later stays, and merged areas reach no further than the last column with cells.
    ///
    /// # Errors
    ///
    /// `LimitReached` if the merged areas have more columns than the sheet may have cells.
    pub(crate) fn finish(mut self, name: String, areas: Vec<Area>) -> Result<Grid> {
        if !self.is_sorted {
            self.sort();
        }
        let columns_end = self.rows.iter().filter_map(|row| row.cells.last()).map(|(at, _)| at + 1).max().unwrap_or(0);
        let mut merged: HashMap<u32, Vec<Area>> = HashMap::new();
        for area in areas.into_iter().filter(|area| area.rows.0 <= area.rows.1) {
            for column in area.columns.0..area.columns.1.saturating_add(1).min(columns_end) {
                self.cells += 1;
                merged.entry(column).or_default().push(area);
            }
            check_cells(self.cells, self.cells_max)?;
        }
        for areas in merged.values_mut() {
            areas.sort_by_key(|area| area.rows);
        }
        Ok(Grid { name, rows: self.rows, merged, ..Grid::default() })
    }

    fn sort(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by_key(|row| row.number);
        for row in rows {
            match self.rows.last_mut() {
                Some(last) if last.number == row.number => last.cells.extend(row.cells),
                _ => self.rows.push(row),
            }
        }
        for row in &mut self.rows {
            // The later of two comes first after the turn, and stays.
            row.cells.reverse();
            row.cells.sort_by_key(|(at, _)| *at);
            row.cells.dedup_by_key(|(at, _)| *at);
        }
    }
}

fn check_cells(cells: u64, cells_max: u64) -> Result<()> {
    if cells > cells_max {
        return Err(Error::limit_reached(format!("a sheet has at most {cells_max} cells, found more")));
    }
    Ok(())
}

/// Letters of a column, `A` for 0.
fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut left = u64::from(column) + 1;
    while left > 0 {
        left -= 1;
        letters.push(char::from(b'A' + (left % 26) as u8));
        left /= 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_in_any_order_are_sorted_and_the_later_of_two_stays() {
        let mut builder = GridBuilder::new(9);
        for (row, column, number) in [(5, 1, 1.0), (2, 3, 2.0), (2, 0, 3.0), (5, 1, 4.0)] {
            builder.add(row, column, Value::Number(number)).expect("few");
        }
        let grid = builder.finish("s".to_owned(), Vec::new()).expect("few");
        let rows: Vec<u32> = grid.rows.iter().map(|row| row.number).collect();
        assert_eq!(rows, [2, 5]);
        assert_eq!(grid.rows[0].cells, [(0, Value::Number(3.0)), (3, Value::Number(2.0))]);
        assert_eq!(grid.rows[1].cell(1), Some(&Value::Number(4.0)));
    }

    #[test]
    fn addresses_are_those_of_spreadsheets() {
        let grid = GridBuilder::new(1).finish("Лист1".to_owned(), Vec::new()).expect("none");
        assert_eq!(grid.address(6, 2), "Лист1!C7");
        assert_eq!(grid.address(1_048_575, 16_383), "Лист1!XFD1048576");
        assert_eq!(column_letters(26), "AA");
    }

    #[test]
    fn a_merged_area_shows_its_first_cell_everywhere() {
        let mut builder = GridBuilder::new(9);
        builder.add(0, 0, Value::Number(1.0)).expect("few");
        builder.add(3, 5, Value::Number(2.0)).expect("few");
        let huge = Area { rows: (0, u32::MAX), columns: (0, 3) };
        let grid = builder.finish(String::new(), vec![Area { rows: (1, 1), columns: (4, 5) }, huge]).expect("few");
        assert_eq!(grid.shown(&grid.rows[1], 2), Some(&Value::Number(1.0)));
        assert_eq!(grid.shown(&grid.rows[1], 4), None);
    }
}
