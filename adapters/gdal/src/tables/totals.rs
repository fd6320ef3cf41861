//! Rows that sum other rows up. Only sums that the numbers show, or a last row that says nothing else, are taken for totals.

use super::Table;
use super::cells::{is_label, label, number, year_of};
use super::grid::{Grid, Row};
use std::ops::Range;

/// What totals are called, lower case.
const WORDS: [&str; 13] = [
    "итого",
    "всего",
    "барлығы",
    "барлыгы",
    "жиыны",
    "жиынтығы",
    "жалпы",
    "total",
    "grand total",
    "subtotal",
    "sum",
    "итог",
    "общий итог",
];

/// Positions of rows that are totals, and of rows that say so without the numbers agreeing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) proven: Vec<usize>,
    pub(super) suspected: Vec<usize>,
}

/// Finds the totals among the rows of a table.
pub(super) fn find(grid: &Grid, table: &Table, body: &[usize]) -> Totals {
    let mut totals = Totals::default();
    if table.columns.len() < 2 {
        return totals;
    }
    let named: Vec<Option<Claim>> = body.iter().map(|at| claim(table, &grid.rows[*at])).collect();
    if named.iter().all(Option::is_none) {
        return totals;
    }
    let columns: Vec<u32> = table.columns.iter().map(|column| column.at).collect();
    let sums = Sums::of(grid, &columns, body, &named);
    for (index, claim) in named.iter().enumerate() {
        let Some(claim) = claim else { continue };
        let row = &grid.rows[body[index]];
        let only_word =
            row.filled((columns[0], columns[columns.len() - 1])).filter(|(_, value)| is_label(value)).count() == 1;
        let is_sum = sums.columns.iter().any(|column| sums.agree(index, column));
        let ends = claim.is_exact && named[index..].iter().all(Option::is_some) && !sums.has_year(index);
        if only_word && (is_sum || ends) {
            totals.proven.push(body[index]);
        } else {
            totals.suspected.push(body[index]);
        }
    }
    // A table of little but totals is a table about totals.
    if totals.proven.len() * 2 > body.len() {
        totals.suspected.append(&mut totals.proven);
        totals.suspected.sort_unstable();
    }
    totals
}

/// A row that calls itself a total.
struct Claim {
    /// Whether it says nothing else.
    is_exact: bool,
}

/// Whether the first text of a row names a total, with numbers beside it.
fn claim(table: &Table, row: &Row) -> Option<Claim> {
    let ends = (table.columns.first()?.at, table.columns.last()?.at);
    let (_, value) = row.filled(ends).find(|(_, value)| is_label(value))?;
    let has_numbers = row.filled(ends).any(|(_, value)| number(value).is_some());
    let text = label(value).to_lowercase();
    let text = text.trim_end_matches([':', '.', ' ', '*']);
    let is_exact = WORDS.contains(&text);
    let begins =
        || WORDS.iter().any(|word| text.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', ':', ','])));
    (has_numbers && (is_exact || begins())).then_some(Claim { is_exact })
}

/// The numbers of a table, column by column.
struct Sums<'a> {
    grid: &'a Grid,
    body: &'a [usize],
    named: &'a [Option<Claim>],
    columns: Vec<ColumnSum>,
}

/// What the rows of a column that claim nothing come to.
struct ColumnSum {
    at: u32,
    sum: f64,
    count: usize,
    /// Whether every number in it is a year.
    is_of_years: bool,
}

impl<'a> Sums<'a> {
    fn of(grid: &'a Grid, columns: &[u32], body: &'a [usize], named: &'a [Option<Claim>]) -> Self {
        let mut sums = Self { grid, body, named, columns: Vec::new() };
        for at in columns.iter().copied() {
            let (sum, count) = sums.sum(0..body.len(), at);
            let is_of_years =
                (0..body.len()).all(|i| sums.number(i, at).is_none_or(|number| year_of(number).is_some()));
            sums.columns.push(ColumnSum { at, sum, count, is_of_years });
        }
        sums
    }

    /// Whether a claimed total equals the sum of its column: of the rows above it up to the total before, of the rows below it
    /// down to the next, or of all that claim nothing.
    fn agree(&self, index: usize, column: &ColumnSum) -> bool {
        let Some(total) = self.number(index, column.at).filter(|total| *total != 0.0) else { return false };
        let begin = self.named[..index].iter().rposition(Option::is_some).map_or(0, |before| before + 1);
        let end = self.named[index + 1..].iter().position(Option::is_some);
        let end = end.map_or(self.body.len(), |next| index + 1 + next);
        let sums = [self.sum(begin..index, column.at), self.sum(index + 1..end, column.at), (column.sum, column.count)];
        // Sums of decimals differ in their last bits.
        sums.into_iter().any(|(sum, count)| count >= 2 && (sum - total).abs() <= 1e-9 * total.abs().max(1.0))
    }

    fn sum(&self, rows: Range<usize>, column: u32) -> (f64, usize) {
        let unnamed = rows.filter(|index| self.named[*index].is_none());
        let numbers = unnamed.filter_map(|index| self.number(index, column));
        numbers.fold((0.0, 0), |(sum, count), number| (sum + number, count + 1))
    }

    /// Whether the row has a year in a column of years: then it is a value of a series and no sum.
    fn has_year(&self, index: usize) -> bool {
        self.columns.iter().any(|column| column.is_of_years && self.number(index, column.at).is_some())
    }

    fn number(&self, index: usize, column: u32) -> Option<f64> {
        number(self.grid.rows[self.body[index]].cell(column)?)
    }
}
