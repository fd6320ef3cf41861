//! Tables as offices write them: a grid of cells, and the tables that people see in it.
//!
//! `workbook` (spreadsheets) and `formats::csv` fill a [`Grid`]; [`recognize`] finds the tables in it: `blocks` parts a sheet,
//! `header` finds titles, header rows and rows of column numbers, `totals` the sums and `footnotes` what stands below; `wide` offers
//! the long form of tables by year; `layer` hands a table over as rows. Any doubt is the plain reading: the first row is the header and every
//! other row is a row. What is recognized, how it is told and what is never done stands in `docs/tables.md`.

mod blocks;
mod cells;
mod compact;
mod footnotes;
mod grid;
mod header;
mod layer;
mod moments;
mod package;
mod percent;
mod report;
mod source;
mod totals;
mod wide;
mod workbook;

pub(crate) use cells::is_number;
pub(crate) use grid::{Grid, GridBuilder, Value};
pub(crate) use report::TableContext;
pub(crate) use source::TableSource;
pub(crate) use workbook::{WorkbookKind, read_workbook};

use std::ops::Range;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its column in the sheet, from 0.
    pub(crate) at: u32,
    /// Its name as written, groups before it: `Население / всего, чел.`; empty if nobody named it.
    pub(crate) name: String,
}

/// A table of a sheet: which rows of the grid are what.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// Its columns, from left to right.
    pub(crate) columns: Vec<Column>,
    /// What stands above the header, one text a cell.
    pub(crate) titles: Vec<String>,
    /// Positions of the header rows; empty if the first row is data.
    pub(crate) header: Range<usize>,
    /// Position of a row that numbers the columns.
    pub(crate) column_numbers: Option<usize>,
    /// Positions of the rows of data.
    pub(crate) rows: Vec<usize>,
    /// Positions of the rows that sum others up, which are refused.
    pub(crate) totals: Vec<usize>,
    /// Positions of rows that name a total but were kept, for the sums do not show it.
    pub(crate) suspected: Vec<usize>,
    /// What stands below, one text a row.
    pub(crate) footnotes: Vec<String>,
    /// Places where blank rows part the rows of data.
    pub(crate) gaps: u64,
    /// Blank columns between its columns, which are left out.
    pub(crate) blank_columns: u64,
    /// Periods that stand as columns, as positions among the columns.
    pub(crate) periods: Vec<usize>,
}

impl Table {
    /// The first and the last of its columns.
    fn ends(&self) -> (u32, u32) {
        (self.columns.first().map_or(0, |column| column.at), self.columns.last().map_or(0, |column| column.at))
    }

    /// Whether the table is one header row at `first` and rows below, or rows only: what a plain reading gives.
    pub(crate) fn is_plain(&self) -> bool {
        self.titles.is_empty()
            && self.header.len() <= 1
            && self.column_numbers.is_none()
            && self.totals.is_empty()
            && self.suspected.is_empty()
            && self.footnotes.is_empty()
    }
}

/// The tables of a grid, from left to right and from top to bottom; none if every cell is empty.
fn recognize(grid: &Grid) -> Vec<Table> {
    let blocks = blocks::find(grid);
    blocks.into_iter().filter_map(|block| recognize_block(grid, block)).collect()
}

fn recognize_block(grid: &Grid, block: blocks::Block) -> Option<Table> {
    let found = header::find(grid, &block);
    let mut table = Table {
        columns: found.columns,
        titles: found.titles,
        header: found.header,
        column_numbers: found.column_numbers,
        blank_columns: u64::from(block.columns.1 - block.columns.0) + 1 - block.used.len() as u64,
        ..Table::default()
    };
    let mut body = found.body;
    table.footnotes = footnotes::take(grid, &table, &mut body, block.footnotes, block.part);
    table.gaps = gaps(grid, &body);
    let totals = totals::find(grid, &table, &body);
    body.retain(|position| totals.proven.binary_search(position).is_err());
    (table.totals, table.suspected) = (totals.proven, totals.suspected);
    table.rows = body;
    table.periods = wide::periods(&table);
    let is_empty = table.columns.is_empty() || (table.rows.is_empty() && table.totals.is_empty());
    (!is_empty).then_some(table)
}

/// How often rows are missing between rows.
fn gaps(grid: &Grid, body: &[usize]) -> u64 {
    let number = |position: usize| grid.rows[position].number;
    body.windows(2).filter(|pair| number(pair[0]) + 1 < number(pair[1])).count() as u64
}

#[cfg(test)]
mod tests;
