//! What the parts of a package say that the reader of workbooks leaves out: hidden rows and columns, merged cells, long
//! numbers; and what would cost too much to read.

use super::grid::Area;
use super::percent::PercentCells;
use quick_xml::Reader as XmlReader;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Seek};
use ukimet_model::{Error, Result};
use zip::ZipArchive;

/// What is known of a sheet besides its cells.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// Merged areas.
    pub(super) merged: Vec<Area>,
    /// What is hidden or was left out.
    pub(super) notes: Vec<String>,
    /// Whole numbers that a 64-bit float does not keep, by row and column.
    pub(super) digits: HashMap<(u32, u32), String>,
    /// Cells that are shown as percent.
    pub(super) percents: PercentCells,
}

/// Refuses a table of shared strings that claims more strings than a sheet may have cells.
///
/// # Errors
///
/// `LimitReached`, `DataLoss` if the package is cut.
pub(super) fn check_strings(file: impl Read + Seek, cells_max: u64) -> Result<()> {
    const HEAD_BYTES: u64 = 4096;
    let mut zip = ZipArchive::new(file).map_err(cut)?;
    let names: Vec<String> = zip.file_names().flatten().map(Cow::into_owned).collect();
    for name in names.iter().filter(|name| name.to_lowercase().ends_with("sharedstrings.xml")) {
        let mut head = Vec::new();
        zip.by_name(name).map_err(cut)?.take(HEAD_BYTES).read_to_end(&mut head).map_err(cut)?;
        let head = String::from_utf8_lossy(&head);
        let claimed = head.split_once("uniqueCount").and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
        let claimed: u64 = claimed.map_or(0, |text| text.trim().parse().unwrap_or(u64::MAX));
        if claimed > cells_max {
            return Err(Error::limit_reached(format!(
                "a sheet has at most {cells_max} cells, found more texts than that"
            )));
        }
    }
    Ok(())
}

/// The parts that hold the sheets of a workbook, by the sheet's name.
///
/// # Errors
///
/// `DataLoss` if the package is cut, `InvalidData` if its parts are no XML.
pub(super) fn xlsx_sheet_paths(file: impl Read + Seek) -> Result<HashMap<String, String>> {
    let mut zip = ZipArchive::new(file).map_err(cut)?;
    let mut targets = HashMap::new();
    elements(&mut zip, "xl/_rels/workbook.xml.rels", &mut |element, _| {
        if let (Some(id), Some(target)) = (attribute(element, "Id"), attribute(element, "Target")) {
            let path = target.strip_prefix('/').map_or_else(|| format!("xl/{target}"), str::to_owned);
            targets.insert(id, path);
        }
        Ok(())
    })?;
    let mut paths = HashMap::new();
    elements(&mut zip, "xl/workbook.xml", &mut |element, _| {
        if element.local_name().as_ref() == "sheet" {
            let id = element.attributes().flatten().find(|a| a.key.local_name().as_ref() == "id");
            let path = id.and_then(|id| targets.get(id.value.as_ref()).cloned());
            paths.extend(attribute(element, "name").zip(path));
        }
        Ok(())
    })?;
    Ok(paths)
}

/// What a sheet of a workbook says besides its cells; `percent_styles` are the styles that show percents.
///
/// # Errors
///
/// `DataLoss`, `InvalidData`, `LimitReached` for more merged areas than a sheet may have cells.
pub(super) fn xlsx_extras(
    file: impl Read + Seek,
    path: &str,
    percent_styles: &HashSet<usize>,
    cells_max: u64,
) -> Result<Extras> {
    let mut zip = ZipArchive::new(file).map_err(cut)?;
    let mut extras = Extras::default();
    let (mut rows, mut columns, mut is_filtered) = (0_u64, 0_u64, false);
    let mut place = None;
    // Who leaves addresses out means the next cell, or the next row.
    let (mut next, mut next_row) = ((0_u32, 0_u32), 0_u32);
    elements(&mut zip, path, &mut |element, text| {
        match element.local_name().as_ref() {
            "row" => {
                rows += u64::from(is_true(element, "hidden"));
                let number = attribute(element, "r").and_then(|text| text.parse::<u32>().ok()?.checked_sub(1));
                next = (number.unwrap_or(next_row), 0);
                next_row = next.0.saturating_add(1);
            }
            "col" if is_true(element, "hidden") => {
                let end = |name| attribute(element, name).and_then(|text| text.parse::<u64>().ok());
                columns += end("max").zip(end("min")).map_or(1, |(max, min)| max.saturating_sub(min) + 1);
            }
            "c" => {
                let is_number = attribute(element, "t").is_none_or(|kind| kind == "n");
                let at = attribute(element, "r").and_then(|text| cell(&text)).unwrap_or(next);
                next = (at.0, at.1.saturating_add(1));
                place = Some(at).filter(|_| is_number);
                let style = attribute(element, "s").and_then(|text| text.parse().ok());
                if is_number && style.is_some_and(|style| percent_styles.contains(&style)) {
                    extras.percents.insert(at);
                }
            }
            "v" => {
                if let Some(place) = place.take().filter(|_| is_lossy(text)) {
                    extras.digits.insert(place, text.to_owned());
                }
            }
            "autoFilter" => is_filtered = true,
            "mergeCell" => extras.merged.extend(attribute(element, "ref").and_then(|text| area(&text))),
            _ => {}
        }
        check(extras.merged.len().max(extras.percents.len()) as u64, cells_max)
    })?;
    let by_filter = if is_filtered { "rows are hidden, perhaps by a filter" } else { "rows are hidden" };
    extras.notes.extend((rows > 0).then(|| format!("{rows} {by_filter}")));
    extras.notes.extend((columns > 0).then(|| format!("{columns} columns are hidden")));
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut has_comments = false;
    elements(&mut zip, &format!("{folder}/_rels/{name}.rels"), &mut |element, _| {
        has_comments |= attribute(element, "Type").is_some_and(|kind| kind.ends_with("/comments"));
        Ok(())
    })?;
    extras.notes.extend(has_comments.then(|| "comments on cells were not read".to_owned()));
    Ok(extras)
}

/// What the sheets of an `OpenDocument` spreadsheet say besides their cells, in order.
///
/// # Errors
///
/// `DataLoss`, `InvalidData`, `LimitReached` if a sheet would have more cells than it may, empty ones inside included.
pub(super) fn ods_extras(file: impl Read + Seek, cells_max: u64) -> Result<Vec<Extras>> {
    let mut zip = ZipArchive::new(file).map_err(cut)?;
    let mut sheets: Vec<OdsSheet> = Vec::new();
    elements(&mut zip, "content.xml", &mut |element, _| match (element.name().as_ref(), sheets.last_mut()) {
        ("table:table", _) => {
            sheets.extend(attribute(element, "table:name").map(|_| OdsSheet::default()));
            Ok(())
        }
        (_, None) => Ok(()),
        (name, Some(sheet)) => sheet.observe(name, element, cells_max),
    })?;
    Ok(sheets.into_iter().map(OdsSheet::extras).collect())
}

/// A sheet of an `OpenDocument` spreadsheet while it is walked through.
#[derive(Default)]
struct OdsSheet {
    extras: Extras,
    row: u64,
    row_repeats: u64,
    column: u64,
    first_filled: Option<u64>,
    columns_end: u64,
    rows_hidden: u64,
    columns_hidden: u64,
}

impl OdsSheet {
    fn observe(&mut self, name: &str, element: &BytesStart<'_>, cells_max: u64) -> Result<()> {
        let repeats = |name| attribute(element, name).and_then(|text| text.parse().ok()).unwrap_or(1_u64);
        let is_hidden = || attribute(element, "table:visibility").is_some_and(|text| text != "visible");
        match name {
            "table:table-column" => {
                self.columns_hidden += if is_hidden() { repeats("table:number-columns-repeated") } else { 0 };
            }
            "table:table-row" => {
                self.row = self.row.saturating_add(self.row_repeats);
                self.row_repeats = repeats("table:number-rows-repeated");
                self.column = 0;
                self.rows_hidden = self.rows_hidden.saturating_add(if is_hidden() { self.row_repeats } else { 0 });
            }
            "table:table-cell" | "table:covered-table-cell" => {
                let (rows, columns) = (repeats("table:number-rows-spanned"), repeats("table:number-columns-spanned"));
                if rows > 1 || columns > 1 {
                    let end = |start: u64, count: u64| start.saturating_add(count - 1).min(u64::from(u32::MAX)) as u32;
                    self.extras.merged.push(Area {
                        rows: (self.row as u32, end(self.row, rows)),
                        columns: (self.column as u32, end(self.column, columns)),
                    });
                }
                let column = self.column;
                self.column = self.column.saturating_add(repeats("table:number-columns-repeated"));
                if attribute(element, "office:value-type").is_some() || attribute(element, "table:formula").is_some() {
                    self.columns_end = self.columns_end.max(self.column);
                    let first = *self.first_filled.get_or_insert(self.row);
                    let rows = (self.row - first).saturating_add(self.row_repeats);
                    check(rows.saturating_mul(self.columns_end), cells_max)?;
                    self.observe_percent(element, column);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps cells that are shown as percent, from a column on to the one reached.
    fn observe_percent(&mut self, element: &BytesStart<'_>, column: u64) {
        if attribute(element, "office:value-type").as_deref() != Some("percentage") {
            return;
        }
        for row in self.row..self.row.saturating_add(self.row_repeats) {
            let cells =
                (column..self.column).filter_map(|column| Some((row.try_into().ok()?, column.try_into().ok()?)));
            self.extras.percents.extend(cells);
        }
    }

    fn extras(mut self) -> Extras {
        let (rows, columns) = (self.rows_hidden, self.columns_hidden);
        self.extras.notes.extend((rows > 0).then(|| format!("{rows} rows are hidden")));
        self.extras.notes.extend((columns > 0).then(|| format!("{columns} columns are hidden")));
        self.extras
    }
}

/// Walks through the elements of a part, each with the text right after its beginning; a part that is not there has none.
///
/// Elements must close, each by its own name: the reader of workbooks waits forever for the end of one that does not.
fn elements<F: Read + Seek>(
    zip: &mut ZipArchive<F>,
    path: &str,
    see: &mut dyn FnMut(&BytesStart<'_>, &str) -> Result<()>,
) -> Result<()> {
    let wanted = path.to_lowercase();
    let Some(name) = zip.file_names().flatten().find(|name| name.to_lowercase() == wanted).map(Cow::into_owned) else {
        return Ok(());
    };
    let mut reader = XmlReader::from_reader(BufReader::new(zip.by_name(&name).map_err(cut)?));
    reader.config_mut().expand_empty_elements = true;
    let mut buffer = Vec::new();
    let mut open: Option<BytesStart<'static>> = None;
    let mut depth = 0_u64;
    loop {
        buffer.clear();
        let event = next(&mut reader, &mut buffer)?;
        if let Some(element) = open.take() {
            let text = if let Event::Text(text) = &event { text.as_ref() } else { "" };
            see(&element, text)?;
        }
        match event {
            Event::Start(element) => {
                open = Some(element.into_owned());
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Eof if depth > 0 => {
                return Err(Error::data_loss(format!(
                    "a part of the workbook is cut: {depth} elements are not closed"
                )));
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn next<'b>(reader: &mut XmlReader<impl BufRead>, buffer: &'b mut Vec<u8>) -> Result<Event<'b>> {
    reader
        .read_event_into(buffer)
        .map_err(|error| Error::invalid_data("a workbook was expected, found a part that is no XML").caused_by(error))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok().flatten()?;
    quick_xml::escape::unescape(&found.value).ok().map(Cow::into_owned)
}

fn is_true(element: &BytesStart<'_>, name: &str) -> bool {
    attribute(element, name).is_some_and(|text| matches!(text.as_str(), "1" | "true"))
}

/// Whether a float of 64 bits has other digits than this whole number.
fn is_lossy(text: &str) -> bool {
    const DIGITS_SAFE: usize = 15;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_long = digits.len() > DIGITS_SAFE && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    is_long && text.parse::<f64>().is_ok_and(|number| number.to_string() != text)
}

/// `C7` as row and column from 0.
fn cell(text: &str) -> Option<(u32, u32)> {
    let letters = text.bytes().take_while(u8::is_ascii_uppercase).count();
    let column = text.bytes().take(letters.min(4)).fold(0_u32, |column, b| column * 26 + u32::from(b - b'A') + 1);
    let row: u32 = text[letters..].parse().ok()?;
    Some((row.checked_sub(1)?, column.checked_sub(1)?))
}

fn area(text: &str) -> Option<Area> {
    let (start, end) = text.split_once(':')?;
    let (start, end) = (cell(start)?, cell(end)?);
    Some(Area { rows: (start.0, end.0), columns: (start.1, end.1) })
}

fn check(cells: u64, cells_max: u64) -> Result<()> {
    if cells > cells_max {
        return Err(Error::limit_reached(format!("a sheet has at most {cells_max} cells, found more")));
    }
    Ok(())
}

fn cut<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
    Error::data_loss("the workbook is cut or broken").caused_by(error)
}
