//! Bytes to records: separators, quotes and line ends, and nothing else.

use memchr::{memchr, memchr3};
use std::io::BufRead;
use ukimet_model::{Error, Result};

/// Bytes of one record: a lost quote would else swallow the whole file before it is noticed.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// One row: its cells' bytes after each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    bytes: Vec<u8>,
    /// End of each cell, and whether it was quoted.
    cells: Vec<(usize, bool)>,
    /// Cells in which text goes on after the closing quote, which cannot be kept.
    pub(super) lone_quotes: u64,
}

impl Record {
    /// How many cells.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// A cell's bytes; `None` if it is not there, or empty without quotes.
    pub(super) fn cell(&self, index: usize) -> Option<&[u8]> {
        let (end, is_quoted) = *self.cells.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.cells[before].0);
        (is_quoted || end > start).then(|| &self.bytes[start..end])
    }

    /// A line with nothing on it.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.cells.as_slice(), [(0, false)])
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the cell, or half of a doubled quote.
    QuoteSeen,
}

/// Reads records from bytes.
pub(super) struct Tokens<R> {
    reader: R,
    separator: u8,
    ended_in_line: bool,
    after_return: bool,
    blank_lines: u64,
}

impl<R: BufRead> Tokens<R> {
    pub(super) fn new(reader: R, separator: u8) -> Self {
        Self { reader, separator, ended_in_line: false, after_return: false, blank_lines: 0 }
    }

    /// How many lines with nothing on them were passed over.
    pub(super) fn blank_lines(&self) -> u64 {
        self.blank_lines
    }

    /// Whether the last record ended with the file and not with a line end.
    pub(super) fn is_cut(&self) -> bool {
        self.ended_in_line
    }

    /// Reads the next record that is not a blank line; false at the end.
    ///
    /// # Errors
    ///
    /// `DataLoss` if the file ends inside quotes, `LimitReached` for an endless record.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool> {
        loop {
            if !self.read_record(record)? {
                return Ok(false);
            }
            if !record.is_blank() {
                return Ok(true);
            }
            self.blank_lines += 1;
        }
    }

    /// Reads the next record, also if it is a blank line; false at the end.
    ///
    /// # Errors
    ///
    /// As [`Tokens::next`].
    pub(super) fn read_record(&mut self, record: &mut Record) -> Result<bool> {
        record.bytes.clear();
        record.cells.clear();
        record.lone_quotes = 0;
        let mut state = State::CellStart;
        let mut is_quoted = false;
        let mut seen = false;
        loop {
            let buffer = self
                .reader
                .fill_buf()
                .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
            if buffer.is_empty() {
                return self.end(record, state, is_quoted, seen);
            }
            let mut used = 0;
            while let Some(&byte) = buffer.get(used) {
                used += 1;
                if std::mem::take(&mut self.after_return) && byte == b'\n' {
                    continue;
                }
                seen = true;
                match (state, byte) {
                    (State::CellStart, b'"') => {
                        is_quoted = true;
                        state = State::Quoted;
                    }
                    (State::Quoted, b'"') => state = State::QuoteSeen,
                    (State::QuoteSeen, b'"') => {
                        record.bytes.push(b'"');
                        state = State::Quoted;
                    }
                    (State::Quoted, _) => {
                        let rest = &buffer[used - 1..];
                        let run = &rest[..memchr(b'"', rest).unwrap_or(rest.len())];
                        record.bytes.extend_from_slice(run);
                        used += run.len() - 1;
                    }
                    (_, b'\n' | b'\r') => {
                        self.after_return = byte == b'\r';
                        record.cells.push((record.bytes.len(), is_quoted));
                        self.reader.consume(used);
                        return Ok(true);
                    }
                    (_, byte) if byte == self.separator => {
                        record.cells.push((record.bytes.len(), is_quoted));
                        is_quoted = false;
                        state = State::CellStart;
                    }
                    (State::QuoteSeen, _) => {
                        record.lone_quotes += 1;
                        record.bytes.push(byte);
                        state = State::Plain;
                    }
                    (State::CellStart | State::Plain, _) => {
                        let rest = &buffer[used - 1..];
                        let run = &rest[..memchr3(self.separator, b'\n', b'\r', rest).unwrap_or(rest.len())];
                        record.bytes.extend_from_slice(run);
                        used += run.len() - 1;
                        state = State::Plain;
                    }
                }
            }
            self.reader.consume(used);
            if record.bytes.len() > RECORD_BYTES_MAX {
                return Err(Error::limit_reached(format!(
                    "a row of a CSV has at most {RECORD_BYTES_MAX} bytes, found more: is a quote never closed?"
                )));
            }
        }
    }

    fn end(&mut self, record: &mut Record, state: State, is_quoted: bool, seen: bool) -> Result<bool> {
        if state == State::Quoted {
            return Err(Error::data_loss("the CSV is cut: it ends inside quotes that are never closed"));
        }
        if !seen {
            return Ok(false);
        }
        self.ended_in_line = true;
        record.cells.push((record.bytes.len(), is_quoted));
        Ok(true)
    }
}
