//! What is told about a table: what was recognized, left out, filled or not understood.

use super::grid::{Grid, Value};
use super::layer::long_name;
use super::layer::number_text;
use super::{Column, Table, cells, footnotes};
use crate::source::finding;
use std::collections::BTreeMap;
use ukimet_model::{Diagnostic, Example, Severity};

/// What is known about a table besides its cells.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableContext {
    /// The layer's name.
    pub(crate) name: String,
    /// The format's name.
    pub(crate) format: &'static str,
    /// The encoding that the text was decoded from, IANA name.
    pub(crate) transcoded_from: Option<String>,
    /// Whether the format does not tell here which cells are shown as percent.
    pub(crate) is_shown_unknown: bool,
    /// The layers of the same sheet, if there are several.
    pub(crate) siblings: Vec<String>,
}

/// The same thing in many cells: how often, and where first.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    examples: Vec<Example>,
}

impl Tally {
    fn add(&mut self, example: impl FnOnce() -> Example) {
        self.count += 1;
        if self.examples.len() < crate::source::EXAMPLES_MAX {
            self.examples.push(example());
        }
    }

    fn diagnostic(self, rule: &str, severity: Severity, message: &str) -> Option<Diagnostic> {
        let (rule, message) = (rule.to_owned(), message.to_owned());
        (self.count > 0).then_some(Diagnostic { rule, severity, message, count: self.count, examples: self.examples })
    }
}

/// What was found in single cells.
#[derive(Debug, Default)]
pub(super) struct CellFindings {
    errors: Tally,
    uncomputed: Tally,
    no_days: Tally,
    filled: Tally,
    percents: Tally,
}

impl CellFindings {
    /// A cell with an error such as `#N/A`, which is null.
    pub(super) fn error(&mut self, row: usize, field: &str, error: &str, place: impl FnOnce() -> String) {
        self.errors.add(|| example(row, field, format!("{error} in {}", place()), None));
    }

    /// A formula without a stored result, which is null.
    pub(super) fn uncomputed(&mut self, row: usize, field: &str, place: impl FnOnce() -> String) {
        self.uncomputed.add(|| example(row, field, format!("a formula in {}", place()), None));
    }

    /// A day that no calendar has, which stays a number.
    pub(super) fn no_day(&mut self, row: usize, field: &str, days: f64, place: impl FnOnce() -> String) {
        let number = number_text(days);
        self.no_days.add(|| example(row, field, format!("day {number} in {}", place()), Some(number.clone())));
    }

    /// A cell below the first of a merged area, which takes its value.
    pub(super) fn filled(&mut self, row: usize, field: &str, text: &str, place: impl FnOnce() -> String) {
        self.filled.add(|| example(row, field, format!("nothing in {}", place()), Some(text.to_owned())));
    }

    /// A share that is shown as percent; `found` says what is stored and where.
    pub(super) fn percent(&mut self, row: usize, field: &str, text: &str, found: impl FnOnce() -> String) {
        self.percents.add(|| example(row, field, found(), Some(text.to_owned())));
    }

    /// The findings, counted.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let warning = Severity::Warning;
        let all = [
            self.errors.diagnostic("table.error_cell", warning, "cells in which a formula failed are null"),
            self.uncomputed.diagnostic(
                "table.formula_without_value",
                warning,
                "formulas without a stored result are null: open the file, let it compute and save it again",
            ),
            self.no_days.diagnostic(
                "table.no_day",
                warning,
                "cells shown as dates hold days that no calendar has: they stay numbers",
            ),
            self.filled.diagnostic(
                "table.merged_cell",
                warning,
                "cells that are merged with the one above take its value",
            ),
            self.percents.diagnostic(
                "table.percent",
                Severity::Note,
                "cells that are shown as percent were read as they are shown: a stored 0.5 is 50 with the unit %",
            ),
        ];
        all.into_iter().flatten().collect()
    }
}

fn example(row: usize, field: &str, found: String, taken: Option<String>) -> Example {
    Example { row: Some(row as u64), field: Some(field.to_owned()), found, taken }
}

/// What was recognized in a table; nothing for one with a header row and rows.
pub(super) fn table_findings(grid: &Grid, table: &Table, context: &TableContext) -> Vec<Diagnostic> {
    let note = |rule: &str, message: &str, found: &[String]| {
        (!found.is_empty()).then(|| finding(rule, Severity::Note, message.to_owned(), found.len() as u64, found))
    };
    let mut findings: Vec<Diagnostic> = Vec::new();
    findings.extend(note("table.hidden", "parts of the sheet that are hidden were read as well", &grid.notes));
    findings.extend(note("table.several", "the sheet has several tables, each is a layer", &context.siblings));
    findings.extend(note("table.title", "text above the header is not part of the table", &table.titles));
    if table.header.len() > 1 {
        let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        findings.extend(note(
            "table.header_rows",
            "names stand in several rows and were joined, the group first",
            &names,
        ));
    }
    if table.header.is_empty() {
        let message = "the first row may be data: it was taken as data, the columns are named field_1 and so on";
        findings.push(finding("table.no_header", Severity::Warning, message.to_owned(), 1, &[]));
    }
    let numbers: Vec<String> = table.column_numbers.iter().map(|at| footnotes::text(grid, *at, table.ends())).collect();
    findings.extend(note("table.column_numbers", "a row that numbers the columns is not part of the table", &numbers));
    let below = "text below the table is not part of it";
    findings.extend(note("table.footnote", below, &table.footnotes));
    if table.gaps > 0 {
        let message = "blank rows between the rows were left out".to_owned();
        findings.push(finding("table.blank_rows", Severity::Note, message, table.gaps, &[]));
    }
    if table.blank_columns > 0 {
        let message = "columns without any cell were left out".to_owned();
        findings.push(finding("table.blank_columns", Severity::Note, message, table.blank_columns, &[]));
    }
    if !table.periods.is_empty() {
        let message =
            "periods stand as columns; the long form, a row for each period, can be asked for by its layer name";
        findings.extend(note("table.periods_as_columns", message, &[long_name(&context.name)]));
    }
    findings.extend(mixed_dates(grid, table));
    findings.extend(shares(grid, table, context));
    findings.extend(totals(grid, table));
    findings
}

/// Columns in which some dates are dates and others are text.
fn mixed_dates(grid: &Grid, table: &Table) -> Option<Diagnostic> {
    let is_mixed = |at: u32| {
        let cells = || table.rows.iter().filter_map(|position| grid.rows[*position].cell(at));
        cells().any(|value| matches!(value, Value::Moment(_)))
            && cells().any(|value| value.text().is_some_and(|text| text.bytes().any(|b| b.is_ascii_digit())))
    };
    let mixed: Vec<String> =
        table.columns.iter().filter(|column| is_mixed(column.at)).map(|column| column.name.clone()).collect();
    let message = "columns hold dates as dates and as text: the dates were written YYYY-MM-DD, the text stays as it is";
    (!mixed.is_empty())
        .then(|| finding("table.mixed_dates", Severity::Warning, message.to_owned(), mixed.len() as u64, &mixed))
}

/// Columns of percents in a workbook of which it is not known how its cells are shown, with numbers that may be shares.
fn shares(grid: &Grid, table: &Table, context: &TableContext) -> Option<Diagnostic> {
    if !context.is_shown_unknown {
        return None;
    }
    let is_share = |column: &&Column| {
        let cells = table.rows.iter().filter_map(|position| grid.rows[*position].cell(column.at));
        let mut numbers = cells.filter_map(cells::number).peekable();
        column.name.contains('%') && numbers.peek().is_some() && numbers.all(|number| number.abs() <= 1.0)
    };
    let names: Vec<String> = table.columns.iter().filter(is_share).map(|column| column.name.clone()).collect();
    let message = "columns of percents hold numbers up to 1, and XLS does not tell here whether they are shown as percent: \
                   they are published as they are stored";
    (!names.is_empty())
        .then(|| finding("table.percent_unknown", Severity::Warning, message.to_owned(), names.len() as u64, &names))
}

/// Rows of totals, every one with its values: they are refused, and nothing of them is lost.
fn totals(grid: &Grid, table: &Table) -> Vec<Diagnostic> {
    let described = |positions: &[usize]| -> Vec<Example> {
        let example = |position: &usize| Example {
            row: None,
            field: Some(grid.address(grid.rows[*position].number, table.ends().0)),
            found: footnotes::text(grid, *position, table.ends()),
            taken: None,
        };
        positions.iter().map(example).collect()
    };
    let diagnostic = |rule: &str, severity, message: &str, positions: &[usize]| {
        let (rule, message) = (rule.to_owned(), message.to_owned());
        let examples = described(positions);
        (!positions.is_empty()).then_some(Diagnostic {
            rule,
            severity,
            message,
            count: positions.len() as u64,
            examples,
        })
    };
    let refused = "rows that sum others up were left out; their values stand here";
    let suspected = "rows are named as totals but the numbers do not show it: they were kept";
    let refused = diagnostic("table.totals_row", Severity::Error, refused, &table.totals);
    let mut suspected = diagnostic("table.totals_suspected", Severity::Note, suspected, &table.suspected);
    if let Some(suspected) = &mut suspected {
        suspected.examples.truncate(Diagnostic::EXAMPLES_MAX);
    }
    refused.into_iter().chain(suspected).collect()
}

/// What the receipt says about a table.
pub(super) fn parameters(grid: &Grid, table: &Table, is_long: bool) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut tell = |key: &str, text: String| {
        if !text.is_empty() {
            parameters.insert(key.to_owned(), text);
        }
    };
    let positions = || table.header.clone().chain(table.rows.iter().chain(&table.totals).copied());
    let number = |position: usize| grid.rows[position].number;
    let rows = (positions().min().map(number), positions().max().map(number));
    let ends = (rows.0, rows.1, table.columns.first(), table.columns.last());
    if let (Some(top), Some(bottom), Some(left), Some(right)) = ends {
        let end = grid.address(bottom, right.at);
        let end = end.rsplit('!').next().unwrap_or_default();
        tell("range", format!("{}:{end}", grid.address(top, left.at)));
    }
    tell("title", table.titles.join(" | "));
    tell("footnotes", table.footnotes.join(" | "));
    let units = table.columns.iter().filter_map(|column| Some(format!("{}: {}", column.name, unit(&column.name)?)));
    tell("units", units.collect::<Vec<_>>().join("; "));
    if table.header.len() != 1 {
        tell("header_rows", table.header.len().to_string());
    }
    if is_long {
        tell("form", "long".to_owned());
    }
    parameters
}

/// Units that stand after a comma, lower case.
const UNITS: [&str; 40] = [
    "га",
    "км",
    "м",
    "мм",
    "см",
    "км2",
    "км²",
    "кв.км",
    "кв. км",
    "кв.м",
    "кв. м",
    "м2",
    "м²",
    "м3",
    "м³",
    "куб.м",
    "т",
    "кг",
    "тонн",
    "тыс.тонн",
    "чел.",
    "чел",
    "человек",
    "тыс.чел.",
    "тыс. чел.",
    "адам",
    "мың адам",
    "тенге",
    "тг",
    "тыс.тенге",
    "тыс. тенге",
    "млн.тенге",
    "млн. тенге",
    "млн тенге",
    "теңге",
    "%",
    "ед.",
    "единиц",
    "шт.",
    "шт",
];

/// The unit in a column's name or in that of its group: in parentheses at its end, or after its last comma.
pub(super) fn unit(name: &str) -> Option<&str> {
    name.rsplit(" / ").find_map(unit_of_part)
}

fn unit_of_part(name: &str) -> Option<&str> {
    let name = name.trim();
    if let Some((_, inside)) = name.strip_suffix(')').and_then(|name| name.rsplit_once('(')) {
        let inside = inside.trim();
        let is_short = !inside.is_empty() && inside.chars().count() <= 20;
        return is_short.then_some(inside);
    }
    let (_, after) = name.rsplit_once(',')?;
    let after = after.trim();
    UNITS.contains(&after.to_lowercase().as_str()).then_some(after)
}
