//! CSV that an office wrote: with titles, several header lines, totals, notes or several tables in it.

use super::dialect::Dialect;
use super::tokens::{Record, Tokens};
use crate::source::{Context, Staged};
use crate::tables::{Grid, GridBuilder, Table, TableContext, TableSource, Value};
use crate::transcode::Transcoded;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use ukimet_model::{Diagnostic, Error, Example, Result, Severity};

/// The tables of a file that is more than a header and rows; `None` if it is not, or too large for an office: larger
/// files come out of databases and are read as rows below a header.
///
/// # Errors
///
/// `DataLoss` if the file is cut, as for any CSV.
pub(super) fn tables(
    staged: &Staged,
    dialect: &Dialect,
    transcoded: Option<&Transcoded>,
    context: Context<'_>,
) -> Result<Option<TableSource>> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let file = File::open(&staged.main).map_err(gone)?;
    let size_bytes = file.metadata().map_err(gone)?.len();
    if size_bytes > context.limits.examined_bytes_max {
        return Ok(None);
    }
    let mut tokens = Tokens::new(BufReader::new(file), dialect.separator);
    // No file has more cells than bytes.
    let (grid, widths) = grid(&mut tokens, GridBuilder::new(size_bytes.max(1)), staged, dialect)?;
    let known = TableContext {
        format: super::FORMAT.name,
        transcoded_from: transcoded.map(|transcoded| transcoded.encoding.clone()),
        ..TableContext::default()
    };
    let source = TableSource::new(vec![grid], &known, context.limits)?;
    let found: Vec<_> = source.tables().collect();
    let is_even = widths.values().all(|width| Some(width) == widths.values().next());
    let is_plain = |table: &Table| table.is_plain() && (table.periods.is_empty() || !is_even);
    if found.is_empty() || (found.len() == 1 && is_plain(found[0].1)) {
        return Ok(None);
    }
    check_end(&tokens, &found, &widths)?;
    let findings = transcoded.and_then(Transcoded::finding).into_iter().chain(short_rows(&found, &widths)).collect();
    Ok(Some(source.with_reading(dialect.parameters(), findings)))
}

/// How many cells the records have that are no blank lines, by row.
type Widths = BTreeMap<u32, usize>;

/// All cells, and the widths of the records.
fn grid(
    tokens: &mut Tokens<BufReader<File>>,
    mut builder: GridBuilder,
    staged: &Staged,
    dialect: &Dialect,
) -> Result<(Grid, Widths)> {
    let mut record = Record::default();
    // A line that announces the separator is no row.
    let announcements = dialect.records_before_data - usize::from(dialect.has_header);
    for _ in 0..announcements {
        tokens.next(&mut record)?;
    }
    let mut widths = Widths::new();
    let mut number = announcements as u32;
    while tokens.read_record(&mut record)? {
        for column in 0..record.len() {
            let text = record.cell(column).map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| Error::internal("CSV that was checked to be UTF-8 is not"))?;
            if let Some(text) = text {
                builder.add(number, column as u32, Value::Text(text.into()))?;
            }
        }
        if !record.is_blank() {
            widths.insert(number, record.len());
        }
        number += 1;
    }
    Ok((builder.finish(staged.stem().to_owned(), Vec::new())?, widths))
}

/// Rows with fewer cells than the last row of their header.
fn short_rows(found: &[(&Grid, &Table)], widths: &Widths) -> Option<Diagnostic> {
    let mut short = Vec::new();
    for (grid, table) in found {
        let width = |position: usize| widths.get(&grid.rows[position].number).copied().unwrap_or_default();
        let Some(expected) = table.header.clone().last().map(width) else { continue };
        let cells =
            table.rows.iter().map(|position| width(*position)).enumerate().filter(|(_, cells)| *cells < expected);
        short.extend(cells.map(|(row, cells)| {
            let found = format!("{cells} of {expected} cells");
            Example { row: Some(row as u64), field: None, found, taken: None }
        }));
    }
    let count = short.len() as u64;
    short.truncate(crate::source::EXAMPLES_MAX);
    let message = "rows with fewer cells than the header were filled up with nulls".to_owned();
    let (rule, severity) = ("csv.short_row".to_owned(), Severity::Warning);
    (count > 0).then_some(Diagnostic { rule, severity, message, count, examples: short })
}

/// A last row that is too short and has no line end was cut, unless it is a note.
fn check_end(tokens: &Tokens<BufReader<File>>, found: &[(&Grid, &Table)], widths: &Widths) -> Result<()> {
    let Some((grid, table)) = found.last() else { return Ok(()) };
    let is_data = table.rows.last().is_some_and(|last| last + 1 == grid.rows.len());
    let columns = table.columns.last().map_or(0, |column| column.at as usize + 1);
    let cells = widths.values().next_back().copied().unwrap_or_default();
    if tokens.is_cut() && is_data && cells < columns {
        return Err(Error::data_loss(format!(
            "the CSV is cut: it ends after {cells} of {columns} cells and without a line end"
        )));
    }
    Ok(())
}
