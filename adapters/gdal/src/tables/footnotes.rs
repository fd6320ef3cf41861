//! What stands below a table: sources, explanations, signatures. A row of one cell is data unless it says that it is none.

use super::Table;
use super::blocks::is_narrow;
use super::cells::{is_label, label};
use super::grid::Grid;

/// Letters from which on a text is a sentence, if it also is much longer than the labels of the table.
const SENTENCE_LETTERS: usize = 60;

/// Words that a sentence has at least.
const WORDS_MIN: usize = 5;

/// Words with which notes below a table begin, lower case.
const OPENINGS: [&str; 20] = [
    "примечан",
    "источник",
    "сноска",
    "составил",
    "исполнител",
    "исп.",
    "руководител",
    "директор",
    "ескерт",
    "дереккөз",
    "дерек көз",
    "орындаушы",
    "жауапты",
    "note:",
    "notes",
    "source:",
    "sources",
    "* ",
    "*)",
    "prepared by",
];

/// Takes the footnotes from the end of the rows; `below` are rows of one cell after a blank row, which else are data too.
pub(super) fn take(
    grid: &Grid,
    table: &Table,
    body: &mut Vec<usize>,
    below: Vec<usize>,
    part: (u32, u32),
) -> Vec<String> {
    let width = table.columns.len();
    let is_candidate = |at: &usize| {
        let filled = || grid.rows[*at].filled(part);
        is_narrow(filled().count(), width) && filled().any(|(_, value)| is_label(value))
    };
    body.extend(below);
    if table.header.is_empty() {
        return Vec::new();
    }
    let first = body.len() - body.iter().rev().take_while(|at| is_candidate(at)).count();
    // A table has at least one row.
    let first = first.max(1).min(body.len());
    let (data, candidates) = body.split_at(first);
    let usual = Usual::of(grid, table, data);
    let Some(start) = candidates.iter().position(|at| usual.is_note(grid, *at, part)) else { return Vec::new() };
    let notes = body.split_off(first + start);
    notes.into_iter().map(|at| text(grid, at, part)).collect()
}

/// What the cells of a row in some columns say, one after the other.
pub(super) fn text(grid: &Grid, position: usize, columns: (u32, u32)) -> String {
    let texts: Vec<String> = grid.rows[position].filled(columns).map(|(_, value)| label(value)).collect();
    texts.join(" | ")
}

/// What the rows of the table look like, so that notes differ from it.
struct Usual {
    letters_max: usize,
    is_marked: bool,
    columns: (u32, u32),
}

impl Usual {
    fn of(grid: &Grid, table: &Table, data: &[usize]) -> Self {
        let columns = (table.columns.first().map_or(0, |c| c.at), table.columns.last().map_or(0, |c| c.at));
        let mut usual = Self { letters_max: 0, is_marked: false, columns };
        for (_, value) in data.iter().flat_map(|at| grid.rows[*at].filled(columns).take(1)) {
            let text = label(value);
            usual.letters_max = usual.letters_max.max(text.chars().count());
            usual.is_marked |= has_mark(&text);
        }
        usual
    }

    fn is_note(&self, grid: &Grid, position: usize, part: (u32, u32)) -> bool {
        let row = &grid.rows[position];
        let Some((column, value)) = row.filled(part).next() else { return false };
        let text = label(value);
        let letters = text.chars().count();
        let is_merged = grid.merged(row.number, column).is_some_and(|area| area.columns.1 > area.columns.0);
        let words = text.split(' ').count();
        let is_sentence = letters > SENTENCE_LETTERS && words >= WORDS_MIN && letters > self.letters_max * 2;
        let is_outside = column < self.columns.0 || column > self.columns.1;
        (has_mark(&text) && !self.is_marked) || is_merged || is_sentence || is_outside
    }
}

/// Whether a text begins as notes do: `*`, `1)`, `¹`, `Примечание`, `Source:`.
fn has_mark(text: &str) -> bool {
    let lower = text.to_lowercase();
    let is_numbered = || {
        let rest = lower.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < lower.len() && rest.starts_with(')')
    };
    OPENINGS.iter().any(|opening| lower.starts_with(opening))
        || lower.starts_with(['*', '¹', '²', '³', '⁴', '⁵'])
        || is_numbered()
}
