//! The table beside the shapes: a dBASE III file in UTF-8.

use super::super::cells::{Cell, Cells};
use super::super::scratch::{Scratch, ScratchFile};
use super::survey::{Column, Field, written};
use super::{FILE_BYTES_MAX, reread, too_large};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use ukimet_model::Result;

/// dBASE III without texts of their own file.
const VERSION: u8 = 3;
/// Bytes of the header, and of what says a column.
const BLOCK_BYTES: usize = 32;
/// Where the header has the number of rows.
const ROWS_AT: u64 = 4;
const END_OF_HEADER: u8 = 0x0D;
const END_OF_FILE: u8 = 0x1A;
/// Before a row that is not deleted.
const LIVE: u8 = b' ';

/// A table being written.
pub(super) struct Table {
    file: BufWriter<ScratchFile>,
    rows: u32,
    bytes: u64,
    scratch: Scratch,
}

impl Field {
    fn letter(self) -> u8 {
        match self {
            Self::Text { .. } => b'C',
            Self::Number { .. } => b'N',
            Self::Logical => b'L',
            Self::Day => b'D',
        }
    }

    fn width(self) -> u8 {
        match self {
            Self::Text { width } | Self::Number { width, .. } => width,
            Self::Logical => 1,
            Self::Day => 8,
        }
    }

    fn decimals(self) -> u8 {
        if let Self::Number { decimals, .. } = self { decimals } else { 0 }
    }

    /// Lays a value out: as wide as its column, without half of a character; spaces for none.
    fn lay_out(self, value: &str, row: &mut Vec<u8>) {
        let width = usize::from(self.width());
        let day: String;
        let value = match self {
            Self::Day => {
                day = value.replace('-', "");
                &day
            }
            _ => value.get(..value.floor_char_boundary(width)).unwrap_or(value),
        };
        let spaces = std::iter::repeat_n(b' ', width.saturating_sub(value.len()));
        match self {
            Self::Number { .. } => {
                row.extend(spaces);
                row.extend(value.as_bytes());
            }
            // Nobody said.
            Self::Logical if value.is_empty() => row.push(b'?'),
            _ => {
                row.extend(value.as_bytes());
                row.extend(spaces);
            }
        }
    }
}

fn header(columns: &[Column], published_s: i64) -> Vec<u8> {
    let day = Timestamp::from_second(published_s).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC).date();
    let row_bytes: usize = 1 + columns.iter().map(|column| usize::from(column.field.width())).sum::<usize>();
    let header_bytes = BLOCK_BYTES * (columns.len() + 1) + 1;
    let year = u8::try_from(i32::from(day.year()) - 1900).unwrap_or(0);
    let mut header = vec![VERSION, year, day.month().unsigned_abs(), day.day().unsigned_abs(), 0, 0, 0, 0];
    header.extend((header_bytes as u16).to_le_bytes());
    header.extend((row_bytes as u16).to_le_bytes());
    header.resize(BLOCK_BYTES, 0);
    for column in columns {
        let begin = header.len();
        header.extend(column.name.as_bytes());
        header.resize(begin + 11, 0);
        header.push(column.field.letter());
        header.resize(begin + 16, 0);
        header.extend([column.field.width(), column.field.decimals()]);
        header.resize(begin + BLOCK_BYTES, 0);
    }
    header.push(END_OF_HEADER);
    header
}

impl Table {
    pub(super) fn begin(columns: &[Column], published_s: i64, scratch: &Scratch) -> Result<Self> {
        let mut file = BufWriter::new(scratch.file()?);
        let header = header(columns, published_s);
        file.write_all(&header).map_err(|error| scratch.told(error))?;
        Ok(Self { file, rows: 0, bytes: header.len() as u64, scratch: scratch.clone() })
    }

    pub(super) fn add(&mut self, columns: &[Column], cells: &Cells, row: usize) -> Result<()> {
        self.rows += 1;
        let mut bytes = vec![LIVE];
        for column in columns {
            let number = Cell::Signed(i64::from(self.rows));
            let cell = column.source.map_or(number, |source| cells.get(source, row));
            column.field.lay_out(&written(column.kind, cell), &mut bytes);
        }
        self.bytes += bytes.len() as u64;
        if self.bytes >= FILE_BYTES_MAX {
            return Err(too_large("the table"));
        }
        self.file.write_all(&bytes).map_err(|error| self.scratch.told(error))
    }

    /// The file, read from its beginning.
    pub(super) fn finish(mut self) -> Result<BufReader<File>> {
        let mut end = || {
            self.file.write_all(&[END_OF_FILE])?;
            self.file.seek(SeekFrom::Start(ROWS_AT))?;
            self.file.write_all(&self.rows.to_le_bytes())
        };
        end().map_err(|error| self.scratch.told(error))?;
        reread(self.file, &self.scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_wide_as_their_column_and_no_character_is_halved() {
        let laid_out = |field: Field, value: &str| {
            let mut row = Vec::new();
            field.lay_out(value, &mut row);
            String::from_utf8(row).expect("whole characters")
        };
        assert_eq!(laid_out(Field::Text { width: 5 }, "Абай"), "Аб ");
        assert_eq!(laid_out(Field::Number { width: 5, decimals: 1 }, "-1.5"), " -1.5");
        assert_eq!(laid_out(Field::Day, "2026-03-01"), "20260301");
        assert_eq!(laid_out(Field::Day, ""), " ".repeat(8));
        assert_eq!((laid_out(Field::Logical, "T"), laid_out(Field::Logical, "")), ("T".to_owned(), "?".to_owned()));
    }
}
