//! Workbooks as grids: XLSX and XLSM, XLS, ODS.

use super::compact::without_space_between_cells;
use super::grid::{Area, Grid, GridBuilder, Value};
use super::package::{self, Extras};
use super::percent::is_percent_format;
use crate::limits::ReadLimits;
use calamine::{Data, Dimensions, Ods, OdsError, Reader, Sheet, SheetType, SheetVisible, Style, Xls, Xlsx};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use ukimet_model::{Error, Result};

/// A kind of workbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkbookKind {
    /// Office Open XML.
    Xlsx,
    /// BIFF in an OLE file.
    Xls,
    /// `OpenDocument`.
    Ods,
}

type Bytes = BufReader<File>;

/// The sheets of a workbook in its order, charts and macro sheets left out.
///
/// # Errors
///
/// `InvalidData` if it is none or has a password, `LimitReached` above the limits, `Unavailable` if it cannot be read.
pub(crate) fn read_workbook(path: &Path, kind: WorkbookKind, limits: &ReadLimits) -> Result<Vec<Grid>> {
    let open = || -> Result<Bytes> {
        let file = File::open(path);
        Ok(BufReader::new(file.map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?))
    };
    let cells_max = limits.cells_max;
    let read = || match kind {
        WorkbookKind::Xlsx => {
            package::check_strings(open()?, cells_max)?;
            read_xlsx(Xlsx::new(open()?).map_err(broken)?, &open, cells_max)
        }
        WorkbookKind::Xls => read_xls(Xls::new(open()?).map_err(broken)?, cells_max),
        WorkbookKind::Ods => {
            let extras = package::ods_extras(open()?, cells_max)?;
            match Ods::new(open()?) {
                Ok(book) => read_ods(book, extras, cells_max),
                Err(OdsError::Mismatch { .. }) => {
                    let compact = without_space_between_cells(open()?)?;
                    read_ods(Ods::new(Cursor::new(compact)).map_err(broken)?, extras, cells_max)
                }
                Err(error) => Err(broken(error)),
            }
        }
    };
    // The reader of workbooks takes some broken records for impossible.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Error::invalid_data("a workbook was expected, found records that contradict each other"))
    })
}

fn broken<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    let message = error.to_string();
    if message.contains("assword") {
        return Error::invalid_data("a workbook without a password was expected, found one that is protected");
    }
    Error::invalid_data("a workbook was expected, found one that is broken").caused_by(error)
}

fn read_xlsx(mut book: Xlsx<Bytes>, open: &dyn Fn() -> Result<Bytes>, cells_max: u64) -> Result<Vec<Grid>> {
    let is_1904 = book.has_1904_epoch();
    let sheets: Vec<Sheet> = book.sheets_metadata().iter().filter(|sheet| is_worksheet(sheet)).cloned().collect();
    let paths = package::xlsx_sheet_paths(open()?)?;
    let mut grids = Vec::new();
    for sheet in sheets {
        let mut reader = book.worksheet_cells_reader(&sheet.name).map_err(broken)?;
        let percent_styles = percent_styles(reader.styles());
        let mut extras = match paths.get(&sheet.name) {
            Some(path) => package::xlsx_extras(open()?, path, &percent_styles, cells_max)?,
            None => Extras::default(),
        };
        let mut builder = GridBuilder::new(cells_max);
        while let Some(cell) = reader.next_cell_with_formula_metadata().map_err(broken)? {
            let value = match (value(cell.value.into()), cell.formula.is_some()) {
                (None, true) => Some(Value::Uncomputed),
                (value, _) => value,
            };
            let value = extras.digits.remove(&cell.pos).map(|digits| Value::Digits(digits.into())).or(value);
            if let Some(value) = value {
                let value = as_shown(value, cell.pos, &extras);
                builder.add(cell.pos.0, cell.pos.1, value)?;
            }
        }
        grids.push(finished(builder, &sheet, extras, is_1904)?);
    }
    Ok(grids)
}

fn read_xls(mut book: Xls<Bytes>, cells_max: u64) -> Result<Vec<Grid>> {
    let is_1904 = book.has_1904_epoch();
    let sheets: Vec<Sheet> = book.sheets_metadata().iter().filter(|sheet| is_worksheet(sheet)).cloned().collect();
    let mut grids = Vec::new();
    for sheet in sheets {
        let merged = book.merge_cells_by_sheet_name(&sheet.name).map_err(broken)?;
        let extras = Extras { merged: merged.iter().map(area).collect(), ..Extras::default() };
        let range = book.worksheet_range(&sheet.name).map_err(broken)?;
        let formulas = book.worksheet_formula(&sheet.name).map_err(broken)?;
        let is_computed = |row: u32, column: u32| {
            let formula = formulas.get_value((row, column));
            formula.is_some_and(|formula| !formula.is_empty())
        };
        let mut builder = GridBuilder::new(cells_max);
        let (first_row, first_column) = range.start().unwrap_or_default();
        for (row, column, data) in range.used_cells() {
            let (row, column) = (first_row + row as u32, first_column + column as u32);
            // A formula whose result was never stored has an empty text.
            let is_missing = matches!(data, Data::String(text) if text.is_empty()) && is_computed(row, column);
            let value = if is_missing { Some(Value::Uncomputed) } else { value(data.clone()) };
            if let Some(value) = value {
                builder.add(row, column, value)?;
            }
        }
        grids.push(finished(builder, &sheet, extras, is_1904)?);
    }
    Ok(grids)
}

fn read_ods<F: Read + Seek>(mut book: Ods<F>, mut extras: Vec<Extras>, cells_max: u64) -> Result<Vec<Grid>> {
    let sheets: Vec<Sheet> = book.sheets_metadata().to_vec();
    extras.resize_with(sheets.len(), Extras::default);
    let mut grids = Vec::new();
    for (sheet, extras) in sheets.iter().zip(extras) {
        let range = book.worksheet_range(&sheet.name).map_err(broken)?;
        let (first_row, first_column) = range.start().unwrap_or_default();
        let mut builder = GridBuilder::new(cells_max);
        for (row, column, data) in range.used_cells() {
            let (row, column) = (first_row + row as u32, first_column + column as u32);
            if let Some(value) = value(data.clone()) {
                builder.add(row, column, as_shown(value, (row, column), &extras))?;
            }
        }
        grids.push(finished(builder, sheet, extras, false)?);
    }
    Ok(grids)
}

/// The styles of cells that show a share as percent, as positions in the list of styles.
fn percent_styles(styles: &[Style]) -> HashSet<usize> {
    let is_percent = |style: &Style| style.number_format.as_ref().is_some_and(|f| is_percent_format(&f.format_code));
    styles.iter().enumerate().filter(|(_, style)| is_percent(style)).map(|(at, _)| at).collect()
}

/// A number in a cell that is shown as percent is one; any other value stays what it is.
fn as_shown(value: Value, at: (u32, u32), extras: &Extras) -> Value {
    match value {
        Value::Number(share) if extras.percents.contains(&at) => Value::Percent(share),
        other => other,
    }
}

fn is_worksheet(sheet: &Sheet) -> bool {
    sheet.typ == SheetType::WorkSheet
}

fn finished(builder: GridBuilder, sheet: &Sheet, extras: Extras, is_1904: bool) -> Result<Grid> {
    let mut grid = builder.finish(sheet.name.clone(), extras.merged)?;
    grid.is_1904 = is_1904;
    if sheet.visible != SheetVisible::Visible {
        grid.notes.push("the sheet is hidden".to_owned());
    }
    grid.notes.extend(extras.notes);
    Ok(grid)
}

fn area(dimensions: &Dimensions) -> Area {
    let (start, end) = (dimensions.start, dimensions.end);
    Area { rows: (start.0, end.0), columns: (start.1, end.1) }
}

fn value(data: Data) -> Option<Value> {
    Some(match data {
        Data::Empty => return None,
        Data::Int(number) if number.unsigned_abs() > 1 << 53 => Value::Digits(number.to_string().into()),
        Data::Int(number) => Value::Number(number as f64),
        Data::Float(number) if !number.is_finite() => Value::Text(number.to_string().into()),
        Data::Float(number) => Value::Number(number),
        Data::String(text) => Value::Text(text.into()),
        Data::Bool(truth) => Value::Boolean(truth),
        Data::DateTime(moment) if moment.is_duration() => Value::Duration(moment.as_f64()),
        Data::DateTime(moment) => Value::Moment(moment.as_f64()),
        Data::DateTimeIso(text) => Value::Text(iso_moment(&text).into()),
        Data::DurationIso(text) => Value::Text(iso_duration(&text).into()),
        Data::Error(error) => Value::Error(error.to_string().into()),
    })
}

/// `2012-01-22T18:49:00` as the moments of other cells are written: no time where it says none.
fn iso_moment(text: &str) -> String {
    let parsed: Option<jiff::civil::DateTime> = text.parse().ok();
    match parsed {
        Some(moment) if text.contains('T') => format!("{} {}", moment.date(), moment.time()),
        _ => text.to_owned(),
    }
}

/// `PT12H34M56S` as `12:34:56`; anything else as it is.
fn iso_duration(text: &str) -> String {
    let parts = || {
        let (hours, rest) = text.strip_prefix("PT")?.split_once('H')?;
        let (minutes, rest) = rest.split_once('M')?;
        let seconds = rest.strip_suffix('S')?;
        let seconds = seconds.strip_suffix(".0").unwrap_or(seconds);
        let number = |text: &str| text.parse::<u32>().ok();
        let is_number = seconds.split('.').all(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        is_number.then_some(format!("{:02}:{:02}:{seconds:0>2}", number(hours)?, number(minutes)?))
    };
    parts().unwrap_or_else(|| text.to_owned())
}
