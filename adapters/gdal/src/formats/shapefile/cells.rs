//! The cells of a `.dbf` as they stand in the file.
//!
//! GDAL makes numbers of `0123`, of `1,5` and of more digits than a float keeps, cuts text at a zero byte, and shows
//! logical values as letters. The cells are text in the file: they are looked through first, and the columns that GDAL
//! would change are read from here.

mod rows;

use crate::source::Tallies;
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
pub(crate) use rows::DbfRows;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ukimet_model::{Diagnostic, Error, Result, Severity};
use ukimet_normalize::TEXT_KEY;

/// Digits that a float keeps of every number.
const FLOAT_DIGITS: usize = 15;
/// What a currency is a ten-thousandth of.
const CURRENCY: DataType = DataType::Decimal128(19, 4);

/// How a column is read from its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Trimmed text.
    Text,
    /// Bytes up to the last that is no blank, zero bytes inside included.
    Bytes,
    Int64,
    Boolean,
    /// Binary forms of Visual `FoxPro`.
    Int32,
    Double,
    Currency,
    Moment,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: u8,
    at: usize,
    width: usize,
    decimals: u8,
    /// `None` where GDAL reads it well.
    form: Option<Form>,
}

/// A `.dbf` whose cells were looked through.
#[derive(Clone, Debug)]
pub(crate) struct DbfTable {
    path: PathBuf,
    header_bytes: u64,
    row_bytes: usize,
    rows: u64,
    columns: Vec<Column>,
    pub(crate) findings: Vec<Diagnostic>,
}

/// What a first look at one column saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    leading_zeros: u64,
    fractions: u64,
    /// Numbers of which a float loses digits.
    long: u64,
    beyond_int64: u64,
    overflows: u64,
    misfits: u64,
    after_nul: u64,
    filled: u64,
}

impl DbfTable {
    /// Looks through a table whose header was checked.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it cannot be read, `DataLoss` if rows are missing.
    pub(super) fn look(path: &Path) -> Result<Self> {
        let mut head = [0; 32];
        let mut file = File::open(path).map_err(gone)?;
        let size_bytes = file.metadata().map_err(gone)?.len();
        file.read_exact(&mut head).map_err(gone)?;
        let header_bytes = u64::from(u16::from_le_bytes([head[8], head[9]]));
        let mut definitions = vec![0; header_bytes.saturating_sub(32) as usize];
        file.read_exact(&mut definitions).map_err(gone)?;
        let mut table = Self {
            path: path.to_owned(),
            header_bytes,
            row_bytes: usize::from(u16::from_le_bytes([head[10], head[11]])),
            rows: u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]])),
            columns: columns(&definitions, matches!(head[0], 0x30..=0x32)),
            findings: Vec::new(),
        };
        table.columns.retain(|column| column.at + column.width <= table.row_bytes);
        let mut seen = vec![Seen::default(); table.columns.len()];
        let mut deleted = 0;
        let mut rows = table.rows()?;
        for _ in 0..table.rows {
            let row = rows.next_row()?;
            if row.first() == Some(&b'*') {
                deleted += 1;
                continue;
            }
            for (column, seen) in table.columns.iter().zip(&mut seen) {
                seen.add(column, &row[column.at..column.at + column.width]);
            }
        }
        let mut tallies = Tallies::default();
        for (column, seen) in table.columns.iter_mut().zip(&seen) {
            column.decide(seen, &mut tallies);
        }
        let found = |count: u64| format!("{count} rows");
        if deleted > 0 {
            let message = "rows that are marked as deleted were left out";
            tallies.add("dbf.deleted_rows", Severity::Warning, message, None, None, &found(deleted), None);
        }
        let beyond = size_bytes.saturating_sub(header_bytes + table.rows * table.row_bytes as u64);
        let more = beyond / table.row_bytes.max(1) as u64;
        if more > 0 {
            let message = "the file has room for more rows than its header declares; they were left out";
            tallies.add("dbf.more_rows", Severity::Warning, message, None, None, &found(more), None);
        }
        table.findings = tallies.diagnostics();
        Ok(table)
    }

    /// The field as it comes out of [`DbfRows::corrected`]; `position` is that among the fields.
    pub(crate) fn field(&self, position: usize, field: &FieldRef) -> FieldRef {
        let Some(form) = self.columns.get(position).and_then(|column| column.form) else { return Arc::clone(field) };
        let data_type = match form {
            // As bytes with the encoding of the others.
            Form::Bytes => DataType::Binary,
            Form::Text => DataType::Utf8,
            Form::Int64 => DataType::Int64,
            Form::Boolean => DataType::Boolean,
            Form::Int32 => DataType::Int32,
            Form::Double => DataType::Float64,
            Form::Currency => CURRENCY,
            Form::Moment => DataType::Timestamp(TimeUnit::Microsecond, None),
        };
        let mut field = Field::new(field.name(), data_type, true);
        if form == Form::Bytes {
            field = field.with_metadata([(TEXT_KEY.to_owned(), "1".to_owned())].into());
        }
        Arc::new(field)
    }

    /// The rows from the first, if any column is read from them.
    pub(crate) fn corrected_rows(&self) -> Result<Option<DbfRows>> {
        if self.columns.iter().all(|column| column.form.is_none()) { Ok(None) } else { self.rows().map(Some) }
    }

    fn rows(&self) -> Result<DbfRows> {
        let mut file = File::open(&self.path).map_err(gone)?;
        file.seek(SeekFrom::Start(self.header_bytes)).map_err(gone)?;
        let row = vec![0; self.row_bytes];
        Ok(DbfRows { reader: BufReader::with_capacity(1 << 18, file), row, columns: self.columns.clone() })
    }
}

/// The definitions of columns after the first 32 bytes of the header.
fn columns(definitions: &[u8], is_foxpro: bool) -> Vec<Column> {
    let mut at = 1;
    let mut columns = Vec::new();
    for definition in definitions.chunks_exact(32).take_while(|definition| definition[0] != 0x0d) {
        let name = definition[..11].split(|byte| *byte == 0).next().unwrap_or_default();
        let (kind, decimals) = (definition[11], definition[17]);
        // Text may be wider than a byte counts; its high byte is where the others have their decimals.
        let width = usize::from(definition[16]) + if kind == b'C' { 256 * usize::from(decimals) } else { 0 };
        let form = match kind {
            b'I' | b'+' if width == 4 => Some(Form::Int32),
            b'B' | b'O' if width == 8 && (is_foxpro || kind == b'O') => Some(Form::Double),
            b'Y' if width == 8 => Some(Form::Currency),
            b'T' | b'@' if width == 8 => Some(Form::Moment),
            _ => None,
        };
        let name = name_of_bytes(name);
        columns.push(Column { name, kind, at, width, decimals, form });
        at += width;
    }
    columns
}

/// Bytes whose encoding is not known yet as one letter each, so that the name is found again.
pub(crate) fn name_of_bytes(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

impl Column {
    fn decide(&mut self, seen: &Seen, tallies: &mut Tallies) {
        let mut tell = |rule, severity, message, count: u64, taken| {
            if count > 0 {
                let found = format!("{count} cells");
                tallies.add(rule, severity, message, None, Some(&self.name), &found, taken);
            }
        };
        let (note, warning) = (Severity::Note, Severity::Warning);
        match self.kind {
            b'N' | b'F' => {
                let message = "numbers too wide for their column were written as asterisks; they are null";
                tell("dbf.overflow", warning, message, seen.overflows, Some("null"));
                let message = "columns of numbers with leading zeros are kept as text";
                tell("dbf.leading_zeros", note, message, seen.leading_zeros, Some("text"));
                let message = "columns of numbers with cells that are none of that form are kept as text";
                let misfits = seen.misfits + if self.decimals == 0 { seen.fractions } else { 0 };
                tell("dbf.contradicting_cells", warning, message, misfits, Some("text"));
                let is_wide = self.decimals == 0 && self.width > 18 || seen.long > 0;
                let is_whole = self.decimals == 0 && seen.beyond_int64 == 0 && seen.fractions == 0;
                self.form = match () {
                    () if seen.leading_zeros + misfits > 0 => Some(Form::Text),
                    () if is_wide && is_whole => Some(Form::Int64),
                    () if seen.long > 0 => {
                        let message = "columns of numbers with more digits than a float keeps are kept as text";
                        tell("dbf.wide_number", note, message, seen.long, Some("text"));
                        Some(Form::Text)
                    }
                    () => None,
                };
            }
            b'L' => {
                let message = "columns of logical values with cells that are none are kept as text";
                tell("dbf.contradicting_cells", warning, message, seen.misfits, Some("text"));
                self.form = Some(if seen.misfits > 0 { Form::Bytes } else { Form::Boolean });
            }
            b'T' | b'@' if self.form == Some(Form::Moment) => {
                let message = "moments on no day between 4713 BC and 9999 are null";
                tell("dbf.impossible_moment", warning, message, seen.misfits, Some("null"));
            }
            b'C' if seen.after_nul > 0 => {
                let message = "text goes on after a zero byte, which is kept in it";
                tell("dbf.text_after_nul", note, message, seen.after_nul, None);
                self.form = Some(Form::Bytes);
            }
            b'M' | b'G' | b'P' | b'B' if self.form.is_none() => {
                let message = "memos lie in another file, which is not read; the numbers of their blocks are kept";
                tell("dbf.memo", warning, message, seen.filled, None);
            }
            _ => (),
        }
    }
}

fn trimmed(cell: &[u8]) -> &[u8] {
    let cell = cell.split(|byte| *byte == 0).next().unwrap_or_default();
    cell.trim_ascii()
}

impl Seen {
    fn add(&mut self, column: &Column, cell: &[u8]) {
        let text = trimmed(cell);
        self.filled += u64::from(!text.is_empty());
        match column.kind {
            b'N' | b'F' if !text.is_empty() => self.add_number(text),
            b'L' => self.misfits += u64::from(!matches!(text, [] | b"?") && logical(text).is_none()),
            _ if column.form == Some(Form::Moment) => {
                let found = cell.try_into().ok().and_then(moment);
                self.misfits += u64::from(found.is_none() && !is_blank(cell));
            }
            b'C' => {
                let after = cell.iter().position(|byte| *byte == 0).map(|at| &cell[at..]).unwrap_or_default();
                self.after_nul += u64::from(after.iter().any(|byte| !matches!(byte, 0 | b' ')));
            }
            _ => (),
        }
    }

    fn add_number(&mut self, text: &[u8]) {
        if text.iter().all(|byte| *byte == b'*') {
            self.overflows += 1;
            return;
        }
        let Some(text) = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()) else {
            self.misfits += 1;
            return;
        };
        let digits = text.trim_start_matches(['-', '+']);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
        let Some(number) = text.parse::<f64>().ok().filter(|number| is_number && number.is_finite()) else {
            self.misfits += 1;
            return;
        };
        let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        self.leading_zeros += u64::from(is_whole && digits.len() > 1 && digits.starts_with('0'));
        self.fractions += u64::from(!is_whole);
        self.beyond_int64 += u64::from(is_whole && text.trim_start_matches('+').parse::<i64>().is_err());
        self.long += u64::from(digits.len() > FLOAT_DIGITS && loses_digits(digits, number));
    }
}

/// Whether a float, written with as many digits, is another number than the one that was written.
fn loses_digits(written: &str, number: f64) -> bool {
    let digits = |text: &str| -> String {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        digits.trim_start_matches('0').to_owned()
    };
    let written = digits(written);
    !written.is_empty() && digits(&format!("{:.*e}", written.len() - 1, number.abs())) != written
}

fn logical(text: &[u8]) -> Option<bool> {
    match text {
        [b'T' | b't' | b'Y' | b'y'] => Some(true),
        [b'F' | b'f' | b'N' | b'n'] => Some(false),
        _ => None,
    }
}

/// A Julian day and milliseconds, in microseconds since 1970-01-01; `None` if empty or on no day up to 9999-12-31.
fn moment(bytes: [u8; 8]) -> Option<i64> {
    const JULIAN_1970: i64 = 2_440_588;
    const JULIAN_LAST: i64 = 5_373_484;
    let [day, milliseconds] =
        [0, 4].map(|at| i64::from(i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])));
    ((1..=JULIAN_LAST).contains(&day) && !is_blank(&bytes))
        .then(|| ((day - JULIAN_1970) * 86_400_000 + milliseconds) * 1_000)
}

/// Whether a cell of eight bytes holds no moment.
fn is_blank(bytes: &[u8]) -> bool {
    matches!(bytes, [b' ' | 0, ..]) && bytes.iter().all(|byte| *byte == bytes[0])
}

fn gone(error: std::io::Error) -> Error {
    Error::unavailable("the asset could not be read").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_lost_only_where_a_float_shows_others() {
        for (written, expected) in [
            ("76.912345678901232", false),
            ("0.1000000000000000056", false),
            ("9007199254740993", true),
            ("1.00000000000000e+02", false),
            ("123456789012345.678901", true),
            ("000000000000000000", false),
        ] {
            assert_eq!(loses_digits(written, written.parse().expect(written)), expected, "{written}");
        }
    }

    #[test]
    fn a_moment_is_a_julian_day_and_milliseconds() {
        let bytes = [2_440_589_i32.to_le_bytes(), 1_500_i32.to_le_bytes()].concat();
        assert_eq!(moment(bytes.try_into().expect("eight")), Some(86_401_500_000));
        assert_eq!(moment([b' '; 8]), None);
        assert_eq!(moment([0; 8]), None);
    }

    #[test]
    fn a_moment_on_no_day_is_null_and_told() {
        // -7 and 2 147 483 647 days: in microseconds the latter has no room.
        for (day, expected) in [(-7_i32, 1), (i32::MAX, 1), (5_373_485, 1), (5_373_484, 0), (0, 0)] {
            let cell = [day.to_le_bytes(), 0_i32.to_le_bytes()].concat();
            assert_eq!(moment(cell.clone().try_into().expect("eight")).is_none(), expected == 1 || day == 0, "{day}");
            let name = "T".to_owned();
            let mut column = Column { name, kind: b'T', at: 1, width: 8, decimals: 0, form: Some(Form::Moment) };
            let (mut seen, mut tallies) = (Seen::default(), Tallies::default());
            seen.add(&column, &cell);
            column.decide(&seen, &mut tallies);
            let told = tallies.diagnostics().iter().filter(|found| found.rule == "dbf.impossible_moment").count();
            assert_eq!(told, expected, "{day}");
        }
    }
}
