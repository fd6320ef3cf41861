//! A report as a spreadsheet: the refused rows to be corrected, the verdicts, and the sentences.
//!
//! Every cell is text, so that leading zeros survive and nothing is a formula.

use super::document::{Block, document, fix_commands, severity_label};
use super::tables::{each_quarantined, each_verdict};
use super::texts::{plain, rule};
use super::why::Why;
use super::{ROW_COLUMN, ReportRequest, Subject, WHY_COLUMN};
use rust_xlsxwriter::{Color, DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError};
use std::fs::File;
use std::path::Path;
use ukimet_catalog::Snapshot;
use ukimet_model::{Error, Result};

/// The sheet that is read when a spreadsheet comes back.
pub const ROWS_SHEET: &str = "rows";

/// Rows of a sheet below its header, as spreadsheets have them.
const ROWS_MAX: u32 = 1_048_575;
/// Characters of a cell, in UTF-16 units, as spreadsheets have them.
const CELL_UNITS_MAX: usize = 32_767;
/// Columns of a sheet beside our own.
const COLUMNS_MAX: usize = 16_382;
/// Stands in a cell whose value is too long for a spreadsheet; the value itself is kept.
const TOO_LONG_MARK: &str = "#too long for a cell, kept as it was#";

/// Whether a cell of a sheet that came back stands for the value that was refused.
pub fn is_too_long_mark(text: &str) -> bool {
    text == TOO_LONG_MARK
}

fn failed(error: XlsxError) -> Error {
    Error::unavailable("writing a spreadsheet failed").caused_by(error)
}

/// How the cells look.
struct Formats {
    text: Format,
    head: Format,
    damaged: Format,
    own: Format,
    wrapped: Format,
}

impl Formats {
    fn new() -> Self {
        let text = Format::new().set_num_format("@");
        Self {
            head: text.clone().set_bold(),
            damaged: text.clone().set_background_color(Color::RGB(0x00FF_E699)),
            own: text.clone().set_font_color(Color::RGB(0x0059_5959)),
            wrapped: text.clone().set_text_wrap().set_align(FormatAlign::Top),
            text,
        }
    }
}

pub(super) fn write_xlsx(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    scratch: &Path,
    file: &File,
) -> Result<()> {
    let formats = Formats::new();
    let mut workbook = Workbook::new();
    workbook.set_tempdir(scratch).map_err(failed)?;
    // The same push gives the same file.
    let made = ExcelDateTime::from_timestamp(subject.version.committed.as_second()).map_err(failed)?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&made));
    let sheet = workbook.add_worksheet_with_constant_memory().map_err(failed)?;
    sheet.set_name(ROWS_SHEET).map_err(failed)?;
    write_rows(snapshot, subject, request, sheet, &formats)?;
    let sheet = workbook.add_worksheet_with_constant_memory().map_err(failed)?;
    sheet.set_name(plain(request.language, "sheet_verdicts")).map_err(failed)?;
    write_verdicts(snapshot, subject, request, sheet, &formats)?;
    let sheet = workbook.add_worksheet_with_constant_memory().map_err(failed)?;
    sheet.set_name(plain(request.language, "sheet_readme")).map_err(failed)?;
    write_readme(snapshot, subject, request, sheet, &formats)?;
    workbook.save_to_writer(file).map_err(failed)
}

/// A cell of text; `None` stays an empty cell.
fn write_cell(sheet: &mut Worksheet, row: u32, column: usize, text: Option<&str>, format: &Format) -> Result<()> {
    let column = u16::try_from(column).map_err(|_| too_wide())?;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return sheet.write_blank(row, column, format).map(drop).map_err(failed);
    };
    // A character has at most two units.
    let is_long = text.len() > CELL_UNITS_MAX && text.encode_utf16().count() > CELL_UNITS_MAX;
    let text = if is_long { TOO_LONG_MARK } else { text };
    sheet.write_string_with_format(row, column, text, format).map(drop).map_err(failed)
}

fn too_wide() -> Error {
    Error::limit_reached("a spreadsheet has at most 16 382 columns of data; ask for csv")
}

fn write_rows(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    sheet: &mut Worksheet,
    formats: &Formats,
) -> Result<()> {
    let Some(table) = &subject.layer.quarantine else {
        write_cell(sheet, 0, 0, Some(ROW_COLUMN), &formats.head)?;
        return write_cell(sheet, 0, 1, Some(WHY_COLUMN), &formats.head);
    };
    if table.rows > u64::from(ROWS_MAX) {
        let message = format!("a spreadsheet has at most {ROWS_MAX} rows, {} were refused; ask for csv", table.rows);
        return Err(Error::limit_reached(message));
    }
    let why = Why::read(snapshot, subject, table)?;
    let width = why.columns.len();
    if width > COLUMNS_MAX {
        return Err(too_wide());
    }
    let names = why.columns.iter().map(String::as_str).chain([ROW_COLUMN, WHY_COLUMN]);
    for (column, name) in names.enumerate() {
        write_cell(sheet, 0, column, Some(name), &formats.head)?;
    }
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    sheet.set_column_width(width as u16 + 1, 60).map_err(failed)?;
    let mut line = 0;
    each_quarantined(snapshot, &subject.record, table, &mut |row| {
        line += 1;
        for (column, value) in row.values.iter().enumerate() {
            let format = if why.is_damaged(row.row, column) { &formats.damaged } else { &formats.text };
            write_cell(sheet, line, column, value.as_deref(), format)?;
        }
        write_cell(sheet, line, width, Some(&(row.row + 1).to_string()), &formats.own)?;
        write_cell(sheet, line, width + 1, Some(&why.sentence(row.row, request.language)), &formats.own)
    })
}

fn write_verdicts(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    sheet: &mut Worksheet,
    formats: &Formats,
) -> Result<()> {
    let heads = ["head_row", "head_field", "head_rule", "head_severity", "head_found", "head_taken", "head_note"];
    for (column, head) in heads.into_iter().enumerate() {
        write_cell(sheet, 0, column, Some(&plain(request.language, head)), &formats.head)?;
    }
    sheet.set_freeze_panes(1, 0).map_err(failed)?;
    sheet.set_column_width(6, 80).map_err(failed)?;
    let mut line = 0;
    each_verdict(snapshot, subject, &mut |verdict| {
        if !request.filter.takes_verdict(&verdict) {
            return Ok(());
        }
        if line == ROWS_MAX {
            let message =
                format!("a spreadsheet has at most {ROWS_MAX} rows; ask for csv, or for one rule or severity");
            return Err(Error::limit_reached(message));
        }
        line += 1;
        let row = verdict.row.map(|row| (row + 1).to_string());
        let severity = severity_label(request.language, verdict.severity);
        let note = rule(request.language, &verdict.rule).map_or(verdict.note.as_str(), |text| text.what);
        let cells = [
            row.as_deref(),
            verdict.field.as_deref(),
            Some(&verdict.rule),
            Some(&severity),
            Some(&verdict.found),
            verdict.taken.as_deref(),
            Some(note),
        ];
        cells.into_iter().enumerate().try_for_each(|(at, cell)| write_cell(sheet, line, at, cell, &formats.text))
    })
}

fn write_readme(
    snapshot: &Snapshot,
    subject: &Subject,
    request: &ReportRequest,
    sheet: &mut Worksheet,
    formats: &Formats,
) -> Result<()> {
    let document = document(snapshot, subject, request.language, &request.filter)?;
    sheet.set_column_width(0, 110).map_err(failed)?;
    let mut lines = vec![(document.title, &formats.head)];
    if subject.layer.quarantine.is_some() {
        lines.push((plain(request.language, "sheet_how"), &formats.wrapped));
        lines.push((fix_commands(subject)[1].clone(), &formats.wrapped));
    }
    for block in document.blocks {
        match block {
            Block::Heading(text) => lines.push((text, &formats.head)),
            Block::Paragraph(text) => lines.push((text, &formats.wrapped)),
            Block::Finding { label, what, count, next, .. } => {
                lines.push((format!("{label}: {what} ({count})"), &formats.wrapped));
                lines.extend(next.map(|next| (format!("→ {next}"), &formats.wrapped)));
            }
            Block::Commands(_) => {}
        }
    }
    for (row, (text, format)) in (0..).zip(&lines) {
        write_cell(sheet, row, 0, Some(text), format)?;
    }
    Ok(())
}
