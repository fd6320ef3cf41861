//! Where one table of a sheet ends and the next begins: at blank columns and blank rows, and only where both sides are tables.

use super::cells::{is_label, is_no_header, is_value, label};
use super::grid::{Grid, Row};
use std::collections::BTreeSet;

/// Rows of a column that tell what it holds.
const ROWS_LOOKED_AT: usize = 200;

/// Rows and columns that belong together, with what stands above and below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// First and last column in which its titles and notes may stand, from 0.
    pub(super) part: (u32, u32),
    /// First and last column of the table.
    pub(super) columns: (u32, u32),
    /// Its columns that are not blank.
    pub(super) used: Vec<u32>,
    /// Positions of its rows in the grid, those above the header included.
    pub(super) rows: Vec<usize>,
    /// Positions of rows of one cell that stand below, after a blank row.
    pub(super) footnotes: Vec<usize>,
}

impl Block {
    fn new(part: (u32, u32), rows: Vec<usize>) -> Self {
        Self { part, columns: part, rows, ..Self::default() }
    }
}

/// Whether a row with so many filled cells is too narrow to be a row of a table: a title or a note.
pub(super) fn is_narrow(filled: usize, width: usize) -> bool {
    width > 1 && (filled <= 1 || (filled == 2 && width >= 5))
}

/// The blocks of a grid, from left to right, then from top to bottom.
pub(super) fn find(grid: &Grid) -> Vec<Block> {
    let parts = column_parts(grid);
    parts.into_iter().flat_map(|columns| row_parts(grid, columns)).collect()
}

/// Parts the columns where a blank one lies between two tables.
fn column_parts(grid: &Grid) -> Vec<(u32, u32)> {
    let mut used: BTreeSet<u32> = BTreeSet::new();
    for row in &grid.rows {
        used.extend(row.filled((0, u32::MAX)).map(|(column, _)| column));
    }
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for column in used {
        match runs.last_mut() {
            Some(last) if last.1 + 1 == column => last.1 = column,
            _ => runs.push((column, column)),
        }
    }
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for run in runs {
        match parts.last_mut() {
            Some(left) if !are_two_tables(grid, *left, run) => left.1 = run.1,
            _ => parts.push(run),
        }
    }
    parts
}

/// The rows of a table in some columns, as far as they tell it from its neighbor.
struct Outline {
    first: u32,
    last: u32,
    header: Vec<String>,
    has_title: bool,
}

fn are_two_tables(grid: &Grid, left: (u32, u32), right: (u32, u32)) -> bool {
    let (Some(left), Some(right)) = (outline(grid, left), outline(grid, right)) else { return false };
    let longer = (left.last - left.first).max(right.last - right.first);
    let end_apart = left.last.abs_diff(right.last);
    left.header == right.header
        || left.first != right.first
        || (left.has_title && right.has_title)
        || (end_apart >= 3 && end_apart * 5 >= longer)
}

/// The outline of columns that are a table by themselves: a header of labels over at least one row, dense.
fn outline(grid: &Grid, columns: (u32, u32)) -> Option<Outline> {
    const DENSE: usize = 60;
    let width = (columns.1 - columns.0) as usize + 1;
    let counted = || grid.rows.iter().map(|row| (row, row.filled(columns).count()));
    let (first_at, (first, _)) = counted().enumerate().find(|(_, (_, filled))| *filled >= 2)?;
    let (rows, cells) = counted().filter(|(_, filled)| *filled >= 2).fold((0, 0), |(r, c), (_, f)| (r + 1, c + f));
    if rows < 2 || cells * 100 < rows * width * DENSE || !is_header_like(first, columns) {
        return None;
    }
    let last = grid.rows.iter().rev().find(|row| row.filled(columns).count() >= 2)?;
    let above = first_at.checked_sub(1).map(|at| &grid.rows[at]);
    let has_title = above.is_some_and(|row| row.filled(columns).filter(|(_, value)| is_label(value)).count() == 1);
    let header = first.filled(columns).map(|(_, value)| label(value)).collect();
    Some(Outline { first: first.number, last: last.number, header, has_title })
}

/// Whether every filled cell of a row may be the name of a column, at least one by being a label or there being several years.
pub(super) fn is_header_like(row: &Row, columns: (u32, u32)) -> bool {
    let mut filled = row.filled(columns).peekable();
    filled.peek().is_some() && filled.all(|(_, value)| !is_no_header(value))
}

/// Parts the rows of some columns where a table begins after blank rows.
fn row_parts(grid: &Grid, columns: (u32, u32)) -> Vec<Block> {
    let width = grid.rows.iter().map(|row| row.filled(columns).count()).max().unwrap_or(0);
    let mut blocks: Vec<Block> = Vec::new();
    let mut pending: Vec<usize> = Vec::new();
    for segment in segments(grid, columns) {
        let is_all_narrow = segment.iter().all(|at| is_narrow(grid.rows[*at].filled(columns).count(), width));
        if is_all_narrow {
            pending.extend(segment);
            continue;
        }
        let begins = blocks.last().is_none_or(|block| begins_table(grid, width, block, &pending, &segment));
        if begins {
            blocks.push(Block::new(columns, std::mem::take(&mut pending)));
        } else if let Some(block) = blocks.last_mut() {
            block.rows.append(&mut pending);
        }
        if let Some(block) = blocks.last_mut() {
            block.rows.extend(segment);
        }
    }
    match blocks.last_mut() {
        Some(block) => block.footnotes = pending,
        None if pending.is_empty() => {}
        None => blocks.push(Block::new(columns, pending)),
    }
    for block in &mut blocks {
        trim(grid, block);
    }
    blocks
}

/// Runs of rows that are not blank in these columns; a blank row inside a merged area parts nothing.
fn segments(grid: &Grid, columns: (u32, u32)) -> Vec<Vec<usize>> {
    let mut segments: Vec<Vec<usize>> = Vec::new();
    let mut before: Option<u32> = None;
    for (position, row) in grid.rows.iter().enumerate() {
        if row.filled(columns).next().is_none() {
            continue;
        }
        let follows = before.is_some_and(|number| {
            number + 1 == row.number
                || (grid.has_merged()
                    && (number + 1..row.number)
                        .take(3)
                        .all(|blank| (columns.0..=columns.1).any(|column| grid.merged(blank, column).is_some())))
        });
        match segments.last_mut() {
            Some(segment) if follows => segment.push(position),
            _ => segments.push(vec![position]),
        }
        before = Some(row.number);
    }
    segments
}

/// Whether rows after a blank row are a table of their own and no continuation.
fn begins_table(grid: &Grid, width: usize, block: &Block, pending: &[usize], segment: &[usize]) -> bool {
    let columns = block.part;
    let is_wide = |at: &&usize| !is_narrow(grid.rows[**at].filled(columns).count(), width);
    let (Some(own), Some(first)) = (block.rows.iter().find(is_wide), segment.iter().find(is_wide)) else {
        return false;
    };
    let (own_row, first_row) = (&grid.rows[*own], &grid.rows[*first]);
    if !is_header_like(first_row, columns) || segment.last() == Some(first) {
        return false;
    }
    let names = |row: &Row| row.filled(columns).map(|(at, value)| (at, label(value))).collect::<Vec<_>>();
    if names(own_row) == names(first_row) {
        return true;
    }
    let after = |rows: &[usize], header: usize| -> Vec<usize> {
        rows.iter().copied().filter(|at| *at > header).take(ROWS_LOOKED_AT).collect()
    };
    let below = after(segment, *first);
    let has_contrast = first_row.filled(columns).any(|(column, _)| has_values(grid, &below, column));
    let body = after(&block.rows, *own);
    let of_values = first_row.filled(columns).filter(|(column, _)| is_mostly_values(grid, &body, *column));
    let labels: Vec<bool> = of_values.map(|(_, value)| is_label(value)).collect();
    let contradicts = |count_min: usize| labels.len() >= count_min && labels.iter().all(|is_label| *is_label);
    let has_title = !pending.is_empty() || segment.first() != Some(first);
    let other_columns = || {
        let at = |row: &Row| row.filled(columns).map(|(at, _)| at).collect::<Vec<_>>();
        at(own_row) != at(first_row)
    };
    let begins = if has_title { other_columns() || contradicts(1) } else { contradicts(2) };
    has_contrast && begins
}

/// Whether there is a number or a date in a column of some rows.
pub(super) fn has_values(grid: &Grid, rows: &[usize], column: u32) -> bool {
    rows.iter().take(ROWS_LOOKED_AT).any(|at| grid.rows[*at].cell(column).is_some_and(is_value))
}

/// Whether four of five filled cells of a column are numbers or dates.
pub(super) fn is_mostly_values(grid: &Grid, rows: &[usize], column: u32) -> bool {
    let cells = rows.iter().take(ROWS_LOOKED_AT).filter_map(|at| grid.rows[*at].cell(column));
    let filled = cells.filter(|value| !value.is_blank());
    let (mut values, mut count) = (0_usize, 0_usize);
    for value in filled {
        values += usize::from(is_value(value));
        count += 1;
    }
    count > 0 && values * 5 >= count * 4
}

/// Leaves out columns at both ends in which only titles and notes stand, and blank ones.
fn trim(grid: &Grid, block: &mut Block) {
    let columns_in = |rows: &mut dyn Iterator<Item = &Row>, within: (u32, u32)| {
        let columns = rows.flat_map(|row| row.filled(within)).map(|(column, _)| column);
        columns.collect::<BTreeSet<u32>>()
    };
    let width = columns_in(&mut block.rows.iter().map(|at| &grid.rows[*at]), block.part).len();
    let is_wide = |row: &&Row| !is_narrow(row.filled(block.part).count(), width);
    let wide = columns_in(&mut block.rows.iter().map(|at| &grid.rows[*at]).filter(is_wide), block.part);
    if let (Some(first), Some(last)) = (wide.first(), wide.last()) {
        block.columns = (*first, *last);
    }
    let used = columns_in(&mut block.rows.iter().map(|at| &grid.rows[*at]), block.columns);
    block.used = used.into_iter().collect();
}
