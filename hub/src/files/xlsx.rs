//! A spreadsheet: one sheet, geometries as WKT. Text is never a formula or a link, whatever it begins with.
//!
//! Spreadsheets count with 15 digits and know neither zones nor days before 1900: what would not be exact is text.

use super::cells::{Cell, Cells, Kind};
use super::losses::Losses;
use super::scratch::Scratch;
use super::text::wkt;
use super::{FileSubject, StagedWriter, failed};
use arrow_array::RecordBatch;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet, XlsxError};
use std::fs::File;
use std::io::BufWriter;
use tempfile::TempDir;
use ukimet_model::{Error, Result};

/// Rows of a sheet below its header.
const ROWS_MAX: u32 = 1_048_575;
/// Columns of a sheet.
const COLUMNS_MAX: usize = 16_384;
/// Units of UTF-16 of a cell.
const CELL_UNITS_MAX: usize = 32_767;
/// The largest whole number up to which a spreadsheet has all of them.
const EXACT_MAX: u64 = 1 << 53;
/// Digits of a decimal fraction that a spreadsheet has.
const EXACT_DIGITS: u8 = 15;
/// What a cell takes in the sheet beside its text, bytes.
const CELL_BYTES: u64 = 32;

struct Xlsx {
    workbook: Workbook,
    kinds: Vec<Kind>,
    names: Vec<String>,
    rows: u32,
    day: Format,
    losses: Losses,
    scratch: Scratch,
    /// Where the library keeps the sheet until it is complete.
    _folder: TempDir,
}

pub(super) fn writer(subject: &FileSubject) -> Result<Box<dyn StagedWriter>> {
    let names: Vec<String> = subject.schema.fields().iter().map(|field| field.name().clone()).collect();
    if names.len() > COLUMNS_MAX {
        let found = names.len();
        return Err(Error::limit_reached(format!(
            "a spreadsheet has at most {COLUMNS_MAX} columns, asked for {found}"
        )));
    }
    let folder = subject.scratch.folder()?;
    let mut workbook = Workbook::new();
    workbook.set_tempdir(folder.path()).map_err(failed)?;
    // The same rows give the same file, whenever it is made.
    let made = ExcelDateTime::from_timestamp(subject.published_s.unwrap_or(0)).map_err(failed)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&made));
    let sheet = workbook.add_worksheet_with_constant_memory().map_err(failed)?;
    sheet.set_name("rows").map_err(failed)?;
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    let bold = Format::new().set_bold();
    for (column, name) in (0..).zip(&names) {
        sheet.write_string_with_format(0, column, name, &bold).map_err(failed)?;
    }
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let (kinds, scratch) = (Kind::all(&subject.schema), subject.scratch.clone());
    Ok(Box::new(Xlsx { workbook, kinds, names, rows: 0, day, losses: Losses::default(), scratch, _folder: folder }))
}

/// What a cell of a sheet is.
enum Written<'a> {
    Nothing,
    Boolean(bool),
    Number(f64),
    Day(ExcelDateTime),
    Text(std::borrow::Cow<'a, str>),
}

fn owned<'a>(text: &impl ToString) -> Written<'a> {
    Written::Text(text.to_string().into())
}

/// A value as a spreadsheet has it; text where a number would not be the same.
fn written(kind: Kind, cell: Cell<'_>) -> Result<Written<'_>> {
    Ok(match cell {
        Cell::Null => Written::Nothing,
        Cell::Boolean(value) => Written::Boolean(value),
        Cell::Signed(number) if number.unsigned_abs() <= EXACT_MAX => Written::Number(number as f64),
        Cell::Signed(number) => owned(&number),
        Cell::Unsigned(number) if number <= EXACT_MAX => Written::Number(number as f64),
        Cell::Unsigned(number) => owned(&number),
        Cell::Float(number) if number.is_finite() => Written::Number(number),
        Cell::Float(number) => owned(&number),
        Cell::Bytes(wkb) if kind == Kind::Geometry => Written::Text(wkt(wkb)?.into()),
        Cell::Bytes(bytes) => Written::Text(hex::encode(bytes).into()),
        Cell::Text(text) if matches!(kind, Kind::Decimal { digits: ..=EXACT_DIGITS, .. }) => {
            text.parse().map_or(Written::Text(text.into()), Written::Number)
        }
        Cell::Text(text) if kind == Kind::Date => day(text).map_or_else(|| Written::Text(text.into()), Written::Day),
        Cell::Text(text) => Written::Text(text.into()),
    })
}

/// A day that a spreadsheet counts right: it takes 1900 for a leap year.
fn day(text: &str) -> Option<ExcelDateTime> {
    let is_plain = text.len() == 10 && ("1900-03-01"..="9999-12-31").contains(&text);
    ExcelDateTime::parse_from_str(text).ok().filter(|_| is_plain)
}

impl Xlsx {
    /// Writes a cell, if spreadsheets have place for it.
    fn put(&mut self, column: usize, written: Written<'_>) -> Result<()> {
        let (row, place) = (self.rows, column as u16);
        let bytes = if let Written::Text(text) = &written { text.len() as u64 } else { 0 };
        self.scratch.count(CELL_BYTES + bytes)?;
        if let Written::Text(text) = &written {
            self.check_length(column, text)?;
        }
        let day = self.day.clone();
        let sheet: &mut Worksheet = self.workbook.worksheet_from_index(0).map_err(failed)?;
        let put: Result<_, XlsxError> = match written {
            Written::Nothing => return Ok(()),
            Written::Boolean(value) => sheet.write_boolean(row, place, value),
            Written::Number(number) => sheet.write_number(row, place, number),
            Written::Day(value) => sheet.write_datetime_with_format(row, place, &value, &day),
            Written::Text(text) => sheet.write_string(row, place, text),
        };
        put.map(drop).map_err(failed)
    }

    fn check_length(&self, column: usize, text: &str) -> Result<()> {
        // A byte of UTF-8 has at most one unit.
        if text.len() <= CELL_UNITS_MAX {
            return Ok(());
        }
        let units = text.encode_utf16().count();
        if units <= CELL_UNITS_MAX {
            return Ok(());
        }
        let (name, row) = (&self.names[column], self.rows);
        Err(Error::limit_reached(format!(
            "a cell of a spreadsheet has at most {CELL_UNITS_MAX} characters, {name} of row {row} has {units}; leave the \
             column out, or ask for .csv, .gpkg or .parquet"
        )))
    }
}

impl StagedWriter for Xlsx {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let cells = Cells::of(rows)?;
        for row in 0..cells.rows {
            if self.rows == ROWS_MAX {
                return Err(Error::limit_reached(format!(
                    "a spreadsheet has at most {ROWS_MAX} rows; ask for fewer, or for .csv, .gpkg or .parquet"
                )));
            }
            self.rows += 1;
            for column in 0..self.kinds.len() {
                let (kind, cell) = (self.kinds[column], cells.get(column, row));
                let written = written(kind, cell)?;
                let is_number = matches!(kind, Kind::Integer { .. } | Kind::Float { .. } | Kind::Decimal { .. });
                self.losses.add("numbers-as-text", u64::from(is_number && matches!(written, Written::Text(_))));
                let is_empty = matches!(&written, Written::Text(text) if text.is_empty());
                self.losses.add("empty-texts", u64::from(is_empty));
                self.put(column, written)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(File, Losses)> {
        let mut file = self.scratch.file()?;
        let saved = self.workbook.save_to_writer(BufWriter::new(&mut file));
        saved.map_err(|error| self.scratch.told(error))?;
        Ok((file.into_file()?, self.losses))
    }
}
