//! Titles, header rows and the row of column numbers at the top of a block.

use super::Column;
use super::blocks::{Block, has_values, is_header_like, is_mostly_values, is_narrow};
use super::cells::{is_label, is_no_header, label, number};
use super::grid::{Area, Grid, Row, Value};
use std::ops::Range;

/// Rows above a header that are looked at.
const TITLE_ROWS_MAX: usize = 15;
/// Rows that a header may have.
const HEADER_ROWS_MAX: usize = 3;

/// What stands at the top of a block, and what is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Top {
    pub(super) titles: Vec<String>,
    pub(super) header: Range<usize>,
    pub(super) column_numbers: Option<usize>,
    pub(super) columns: Vec<Column>,
    pub(super) body: Vec<usize>,
}

/// Finds the header of a block; where there is doubt, its first row is the header, or there is none.
pub(super) fn find(grid: &Grid, block: &Block) -> Top {
    let titles = titles(grid, block);
    let rows = &block.rows[titles..];
    let count = header_rows(grid, block, rows);
    let numbers = usize::from(count > 0 && is_numbered(grid, block, &rows[count..]));
    let header = rows.first().map_or(0..0, |first| *first..first + count);
    let texts = block.rows[..titles].iter().flat_map(|at| grid.rows[*at].filled(block.part));
    Top {
        titles: texts.map(|(_, value)| label(value)).collect(),
        columns: columns(grid, block, &rows[..count]),
        header,
        column_numbers: (numbers > 0).then(|| rows[count]),
        body: rows[count + numbers..].to_vec(),
    }
}

/// How many rows at the top are titles: rows of one label over a row that may well be a header.
fn titles(grid: &Grid, block: &Block) -> usize {
    let width = block.used.len();
    let is_title = |position: usize| {
        let row = &grid.rows[block.rows[position]];
        let filled = row.filled(block.part).count();
        let has_label = row.filled(block.part).any(|(_, value)| is_label(value));
        let next = block.rows.get(position + 1).map(|at| &grid.rows[*at]);
        is_narrow(filled, width) && has_label && !is_group(grid, block, row, next)
    };
    let count = (0..block.rows.len()).take_while(|position| is_title(*position)).count();
    if count == 0 || count > TITLE_ROWS_MAX {
        return 0;
    }
    let rows = &block.rows[count..];
    let [header, below, ..] = rows else { return 0 };
    let (header, below) = (&grid.rows[*header], &grid.rows[*below]);
    let named = block
        .used
        .iter()
        .copied()
        .filter(|column| is_filled(grid, header, *column) || is_filled(grid, below, *column))
        .count();
    let is_header = is_header_like(header, block.columns) && named * 10 >= width * 6;
    if is_header && (width > 2 || stands_apart(grid, block, rows, count)) { count } else { 0 }
}

/// Whether one label above a table of two columns is more than the name of one of them: merged, with a gap below, or
/// over a row of names with values under them. `rows` are those after the labels, `count` how many labels there are.
fn stands_apart(grid: &Grid, block: &Block, rows: &[usize], count: usize) -> bool {
    let (last, header) = (&grid.rows[block.rows[count - 1]], &grid.rows[rows[0]]);
    let is_merged = last.filled(block.part).any(|(column, _)| grid.merged(last.number, column).is_some());
    let mut names = header.filled(block.columns).filter(|(_, value)| is_label(value));
    let mut has_contrast = || names.any(|(column, _)| is_mostly_values(grid, &rows[1..], column));
    count > 1 || is_merged || last.number + 1 < header.number || has_contrast()
}

/// Whether a row names groups of columns: a cell is merged over several that are not the first. One over all the others is a title
/// if every column, the first too, has a name in the next row.
fn is_group(grid: &Grid, block: &Block, row: &Row, next: Option<&Row>) -> bool {
    let areas = row.filled(block.columns).filter_map(|(column, _)| grid.merged(row.number, column));
    let groups: Vec<Area> =
        areas.filter(|area| area.columns.0 > block.columns.0 && area.columns.1 > area.columns.0).collect();
    let names_all = next.is_some_and(|next| next.filled(block.columns).count() == block.used.len());
    match groups.as_slice() {
        [] => false,
        [area] => !(names_all && area.columns.1 >= block.columns.1 && row.filled(block.columns).count() == 1),
        _ => true,
    }
}

/// Whether a cell or the merged area around it is filled.
fn is_filled(grid: &Grid, row: &Row, column: u32) -> bool {
    grid.shown(row, column).is_some_and(|value| !value.is_blank())
}

/// How many of the rows are the header, 0 if the first is data.
fn header_rows(grid: &Grid, block: &Block, rows: &[usize]) -> usize {
    let Some((first, below)) = rows.split_first() else { return 0 };
    let row = &grid.rows[*first];
    if below.is_empty() || !is_header_like(row, block.columns) {
        return 0;
    }
    let mut count = 1;
    while count < HEADER_ROWS_MAX && is_next_header(grid, block, rows, count) {
        count += 1;
    }
    let columns = block.used.iter().copied();
    let named =
        columns.clone().filter(|column| rows[..count].iter().any(|at| is_filled(grid, &grid.rows[*at], *column)));
    let has_contrast =
        || row.filled(block.columns).any(|(column, value)| !is_no_header(value) && has_values(grid, below, column));
    if named.count() * 2 > block.used.len() || has_contrast() { count } else { 0 }
}

/// Whether the row after `count` header rows names columns too: below merged names, or exactly in the gaps of the row above.
fn is_next_header(grid: &Grid, block: &Block, rows: &[usize], count: usize) -> bool {
    let (Some(above), Some(next)) = (rows.get(count - 1), rows.get(count)) else { return false };
    let below = &rows[count + 1..];
    let (above, next) = (&grid.rows[*above], &grid.rows[*next]);
    if below.is_empty() || above.number + 1 != next.number || !is_header_like(next, block.columns) {
        return false;
    }
    let columns = block.used.iter().copied();
    let all_named = || columns.clone().all(|column| is_filled(grid, above, column) || is_filled(grid, next, column));
    let mut columns_again = columns.clone();
    let goes_on =
        columns_again.any(|column| grid.merged(above.number, column).is_some_and(|area| area.rows.1 >= next.number));
    let mut groups = above.filled(block.columns).filter_map(|(column, _)| {
        grid.merged(above.number, column).filter(|area| area.columns.1 > area.columns.0 && area.rows.1 < next.number)
    });
    let has_parts = |area: &Area| next.filled(area.columns).count() >= 2;
    let has_group = groups.any(|area| has_parts(&area));
    if goes_on || has_group {
        let is_below_names = next.filled(block.columns).all(|(column, _)| is_filled(grid, above, column));
        return is_below_names || all_named();
    }
    let fills_gaps = next.filled(block.columns).any(|(column, _)| !is_filled(grid, above, column));
    let several = next.filled(block.columns).count() >= 2;
    let has_contrast = next.filled(block.columns).any(|(column, _)| is_mostly_values(grid, below, column));
    fills_gaps && several && all_named() && has_contrast
}

/// Whether the first of the rows counts the columns, 1 2 3 …, where at least one column holds text further down.
fn is_numbered(grid: &Grid, block: &Block, rows: &[usize]) -> bool {
    let Some((first, below)) = rows.split_first() else { return false };
    let cells: Vec<(u32, &Value)> = grid.rows[*first].filled(block.columns).collect();
    let whole = |value: &Value| number(value).filter(|found| found.fract() == 0.0).map(|found| found as i64);
    // Statistical forms letter the first columns: А Б 1 2 3.
    let letters = cells.iter().take_while(|(_, value)| number(value).is_none()).count();
    let is_lettered = cells[..letters].iter().all(|(_, value)| label(value).chars().count() == 1);
    let numbers: Vec<Option<i64>> = cells[letters..].iter().map(|(_, value)| whole(value)).collect();
    let begins = matches!(numbers.first(), Some(Some(1 | 2)));
    let rises = numbers.windows(2).all(|pair| pair[0].zip(pair[1]).is_some_and(|(a, b)| a + 1 == b));
    let counts = is_lettered && begins && rises && numbers.len() >= 2;
    let over_text = || {
        cells.iter().any(|(column, value)| {
            let mut under =
                below.iter().filter_map(|at| grid.rows[*at].cell(*column)).filter(|value| !value.is_blank()).peekable();
            number(value).is_some() && under.peek().is_some() && under.all(is_label)
        })
    };
    counts && cells.len() >= 3 && cells.len() == block.used.len() && !below.is_empty() && over_text()
}

/// The columns with their names: of several rows the group first, what merged cells repeat only once.
fn columns(grid: &Grid, block: &Block, header: &[usize]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for at in block.used.iter().copied() {
        let mut parts: Vec<String> = Vec::new();
        for (level, position) in header.iter().enumerate() {
            let row = &grid.rows[*position];
            let own = grid.shown(row, at).filter(|value| !value.is_blank()).map(label);
            let next = header.get(level + 1).map(|next| &grid.rows[*next]);
            let part = own.or_else(|| group_to_the_left(grid, block, row, next?, at));
            parts.extend(part.filter(|part| parts.last() != Some(part)));
        }
        let name = if header.is_empty() { format!("field_{}", columns.len() + 1) } else { parts.join(" / ") };
        columns.push(Column { at, name });
    }
    columns
}

/// The name of an unmerged group that goes on over empty cells; a group names columns in the next row from its first cell on.
fn group_to_the_left(grid: &Grid, block: &Block, row: &Row, next: &Row, column: u32) -> Option<String> {
    let left = (block.columns.0..column).rev().find(|left| is_filled(grid, row, *left))?;
    let is_group = grid.merged(row.number, left).is_none() && (left..=column).all(|at| next.cell(at).is_some());
    row.cell(left).filter(|_| is_group).map(label)
}
