//! What the beginning of a CSV shows: its separator and its header.

use super::tokens::{Record, Tokens};
use crate::tables::is_number;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use ukimet_model::{Error, Result};

/// How much of the file is looked at.
const SAMPLE_BYTES: u64 = 256 << 10;
/// How many of its rows.
const SAMPLE_ROWS: usize = 200;

/// How a CSV is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// The byte between cells.
    pub(super) separator: u8,
    /// Names of the columns.
    pub(super) header: Vec<String>,
    /// Whether the names stand in the file.
    pub(super) has_header: bool,
    /// Columns beyond the header, which some rows have.
    pub(super) unnamed: usize,
    /// How many records stand before the first row.
    pub(super) records_before_data: usize,
}

impl Dialect {
    /// What the receipt says about it.
    pub(super) fn parameters(&self) -> BTreeMap<String, String> {
        let separator = match self.separator {
            b'\t' => "tab".to_owned(),
            other => char::from(other).to_string(),
        };
        BTreeMap::from([("separator".to_owned(), separator)])
    }
}

/// Looks at the beginning of a UTF-8 file.
///
/// # Errors
///
/// `DataLoss` if it ends inside quotes, `InvalidData` if it has no row at all. Reads the whole file once.
pub(super) fn detect(path: &Path) -> Result<Dialect> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let mut sample = Vec::new();
    let file = File::open(path).map_err(gone)?;
    let is_whole = file.metadata().map_err(gone)?.len() <= SAMPLE_BYTES;
    file.take(SAMPLE_BYTES).read_to_end(&mut sample).map_err(gone)?;
    let announced = announced_separator(&sample);
    let separator = announced.unwrap_or_else(|| best_separator(&sample));
    let mut first = Record::default();
    let mut tokens = Tokens::new(BufReader::new(File::open(path).map_err(gone)?), separator);
    let mut records_before_data = usize::from(announced.is_some());
    for _ in 0..=records_before_data {
        if !tokens.next(&mut first)? {
            let found = if is_whole { "none" } else { "blank lines" };
            return Err(Error::invalid_data(format!("a CSV with a header and rows was expected, found {found}")));
        }
    }
    let cells: Vec<String> =
        (0..first.len()).map(|i| String::from_utf8_lossy(first.cell(i).unwrap_or_default()).into_owned()).collect();
    let has_header = !cells.iter().any(|cell| is_number(cell));
    records_before_data += usize::from(has_header);
    let mut header = if has_header { cells } else { Vec::new() };
    let named = header.len();
    let width = first.len().max(width(&mut tokens)?);
    header.extend((named + 1..=width).map(|i| format!("field_{i}")));
    Ok(Dialect {
        separator,
        header,
        has_header,
        unnamed: if has_header { width - named } else { 0 },
        records_before_data,
    })
}

/// The separator of a first line `sep=;`, as spreadsheets write it.
fn announced_separator(sample: &[u8]) -> Option<u8> {
    match sample.strip_prefix(b"sep=")? {
        [separator, b'\r' | b'\n', ..] => Some(*separator),
        _ => None,
    }
}

const SEPARATORS: &[u8] = b",;\t|";

/// The separator by which most rows have as many cells as the first, more than one; if half of them do not, because lines of
/// text stand above, the one by which most rows are alike; a comma if there is none.
fn best_separator(sample: &[u8]) -> u8 {
    let score = |separator: u8| {
        let widths = widths(&mut Tokens::new(Cursor::new(sample), separator));
        let first = widths.first().copied().filter(|width| *width > 1)?;
        let alike = widths.iter().filter(|width| **width == first).count();
        Some((alike * 100 / widths.len(), first))
    };
    let by_first = SEPARATORS.iter().filter_map(|s| score(*s).map(|score| (score, *s))).max_by_key(|(score, _)| *score);
    match by_first {
        Some(((percent, _), separator)) if percent >= 50 => separator,
        other => usual_separator(sample).or(other.map(|(_, separator)| separator)).unwrap_or(b','),
    }
}

/// The separator by which half of the rows or more have one width; of several the one that gives more cells.
fn usual_separator(sample: &[u8]) -> Option<u8> {
    let usual_width = |separator: u8| {
        let mut widths = widths(&mut Tokens::new(Cursor::new(sample), separator));
        widths.sort_unstable();
        let runs = widths.chunk_by(|a, b| a == b).filter(|run| run[0] > 1);
        let usual = runs.max_by_key(|run| run.len())?;
        (usual.len() * 2 >= widths.len()).then_some(usual[0])
    };
    let found = SEPARATORS.iter().filter_map(|s| usual_width(*s).map(|width| (width, *s)));
    found.max_by_key(|(width, _)| *width).map(|(_, separator)| separator)
}

fn widths(tokens: &mut Tokens<impl BufRead>) -> Vec<usize> {
    let mut record = Record::default();
    let mut widths = Vec::new();
    // The sample may end inside quotes: that says nothing about the file.
    while widths.len() < SAMPLE_ROWS && matches!(tokens.next(&mut record), Ok(true)) {
        if tokens.is_cut() && !widths.is_empty() {
            break;
        }
        widths.push(record.len());
    }
    widths
}

/// The last cell that is not empty in any of the records that are left.
fn width(tokens: &mut Tokens<impl BufRead>) -> Result<usize> {
    let mut record = Record::default();
    let mut width = 0;
    while tokens.next(&mut record)? {
        let filled = |cell: &usize| record.cell(*cell).is_some_and(|text| !text.is_empty());
        if record.len() > width {
            width = (width..record.len()).rev().find(filled).map_or(width, |cell| cell + 1);
        }
    }
    Ok(width)
}
