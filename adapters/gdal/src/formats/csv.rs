//! CSV by our own reader: quotes tell empty from null, nothing is guessed about types, and a cut file is noticed.
//!
//! The first row is the header, unless a cell of it is a number that is no year; what an office put around its table (titles, totals,
//! notes, further tables) is found by [`office`]. Every column is text; what it holds (numbers with
//! decimal commas, dates, longitudes, WKT) is the normalizer's business.

mod dialect;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod office;
mod tokens;

use super::Format;
use crate::source::{Context, Reader, Rows, Source, Staged, Tallies, finding};
use crate::text_batch::TextBatch;
use crate::transcode::{Transcoded, ensure_utf8};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dialect::{Dialect, detect};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use tokens::{Record, Tokens};
use ukimet_adapter_sdk::LayerInfo;
use ukimet_model::{Diagnostic, Error, Example, Result, Severity};
use ukimet_normalize::{SourceEncoding, SourceLayer};

pub(super) const FORMAT: Format = Format {
    name: "CSV",
    driver: None,
    media_types: &["text/csv", "text/tab-separated-values", "application/csv"],
    extensions: &["csv", "tsv"],
    sidecars: &["csvt"],
    recognize: |clues| {
        let is_named = matches!(clues.head.extension.as_str(), "csv" | "tsv" | "txt");
        let is_declared = FORMAT.media_types.contains(&clues.media_type.as_str());
        // A header may begin with a bracket, which alone is no JSON.
        let is_json = clues.json.as_ref().is_some_and(|json| json.is_whole || json.is_object);
        (is_named || is_declared) && clues.head.is_text() && clues.xml.is_none() && !is_json
    },
    open: |staged, context| CsvFile::open(staged, context),
};

/// Opens a file that is one table by the rules of its format, whatever an office would see in it.
///
/// # Errors
///
/// As for any CSV.
pub(super) fn open_table(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let transcoded = ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
    CsvFile::of(staged, detect(&staged.main)?, transcoded, context)
}

struct CsvFile {
    path: PathBuf,
    dialect: Dialect,
    layers: Vec<LayerInfo>,
    transcoded: Option<Transcoded>,
}

impl CsvFile {
    fn open(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
        let transcoded = ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
        let dialect = detect(&staged.main)?;
        if let Some(tables) = office::tables(staged, &dialect, transcoded.as_ref(), context)? {
            return Ok(Box::new(tables));
        }
        Self::of(staged, dialect, transcoded, context)
    }

    /// The file as one header and rows below it.
    fn of(
        staged: &Staged,
        dialect: Dialect,
        transcoded: Option<Transcoded>,
        context: Context<'_>,
    ) -> Result<Box<dyn Source>> {
        if dialect.header.len() > context.limits.fields_max {
            return Err(Error::limit_reached(format!(
                "a layer has at most {} columns, found {}",
                context.limits.fields_max,
                dialect.header.len()
            )));
        }
        let layer =
            LayerInfo { name: staged.stem().to_owned(), fields: dialect.header.clone(), ..LayerInfo::default() };
        Ok(Box::new(Self { path: staged.main.clone(), dialect, layers: vec![layer], transcoded }))
    }
}

impl Source for CsvFile {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn rows(&self, _layer: usize, rows_max: usize) -> Result<Box<dyn Rows + '_>> {
        let file = File::open(&self.path)
            .map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
        let mut tokens = Tokens::new(BufReader::with_capacity(1 << 18, file), self.dialect.separator);
        for _ in 0..self.dialect.records_before_data {
            tokens.next(&mut Record::default())?;
        }
        let fields = self.dialect.header.iter().map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Schema::new(fields.collect::<Vec<_>>()).into();
        Ok(Box::new(CsvRows {
            file: self,
            tokens,
            schema,
            rows_max,
            row: 0,
            short: Short::default(),
            tallies: Tallies::default(),
        }))
    }

    fn findings(&self) -> Vec<Diagnostic> {
        let mut findings: Vec<Diagnostic> =
            self.transcoded.as_ref().and_then(Transcoded::finding).into_iter().collect();
        if !self.dialect.has_header {
            let message = "the first row holds numbers: it was taken as data, the columns are named field_1 and so on";
            findings.push(finding("csv.no_header", Severity::Warning, message.to_owned(), 1, &[]));
        }
        findings.extend(odd_names(&self.dialect.header));
        if self.dialect.unnamed > 0 {
            let message = "rows have more cells than the header: the surplus went into columns named by position";
            let names = &self.dialect.header[self.dialect.header.len() - self.dialect.unnamed..];
            findings.push(finding("csv.long_row", Severity::Warning, message.to_owned(), names.len() as u64, names));
        }
        findings
    }

    fn reader(&self) -> Reader {
        Reader { version: format!("ukimet {}", env!("CARGO_PKG_VERSION")), parameters: self.dialect.parameters() }
    }
}

/// Names of columns that are empty or stand twice.
fn odd_names(header: &[String]) -> Vec<Diagnostic> {
    let mut tallies = Tallies::default();
    for (i, name) in header.iter().enumerate() {
        let position = format!("column {}", i + 1);
        if name.trim().is_empty() {
            let message = "columns without a name are named by position";
            tallies.add("csv.unnamed_column", Severity::Note, message, None, None, &position, None);
        } else if header[..i].contains(name) {
            let message = "columns of one name are told apart by a number";
            tallies.add("csv.repeated_name", Severity::Note, message, None, Some(name), &position, None);
        }
    }
    tallies.diagnostics()
}

/// Rows with fewer cells than the header.
#[derive(Default)]
struct Short {
    count: u64,
    examples: Vec<Example>,
}

struct CsvRows<'a> {
    file: &'a CsvFile,
    tokens: Tokens<BufReader<File>>,
    schema: SchemaRef,
    rows_max: usize,
    row: u64,
    short: Short,
    tallies: Tallies,
}

impl CsvRows<'_> {
    /// Counts rows whose cells are fewer than the header's; the missing ones become null.
    fn check(&mut self, record: &Record) -> Result<()> {
        let columns = self.schema.fields().len() - self.file.dialect.unnamed;
        let cells = record.len();
        if record.lone_quotes > 0 {
            let message = "text goes on after a closing quote: it was taken with it, without the quote";
            let found = format!("{} cells", record.lone_quotes);
            self.tallies.add("csv.lone_quote", Severity::Warning, message, Some(self.row), None, &found, None);
        }
        if cells < columns {
            if self.tokens.is_cut() {
                return Err(Error::data_loss(format!(
                    "the CSV is cut: it ends in row {} after {cells} of {columns} cells and without a line end",
                    self.row + 1
                )));
            }
            self.short.count += 1;
            if self.short.examples.len() < crate::source::EXAMPLES_MAX {
                let found = format!("{cells} of {columns} cells");
                self.short.examples.push(Example { row: Some(self.row), field: None, found, taken: None });
            }
        }
        Ok(())
    }
}

/// A cell as text; `None` if the row ends before it or says nothing there.
fn text(record: &Record, at: usize) -> Result<Option<&str>> {
    let text = record.cell(at).map(std::str::from_utf8).transpose();
    text.map_err(|_| Error::internal("CSV that was checked to be UTF-8 is not"))
}

impl Rows for CsvRows<'_> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.file.layers[0].name.clone(),
            format: FORMAT.name.to_owned(),
            schema: SchemaRef::clone(&self.schema),
            raw_names: None,
            crs: None,
            encoding: SourceEncoding::Utf8 {
                transcoded_from: self.file.transcoded.as_ref().map(|transcoded| transcoded.encoding.clone()),
            },
            untyped: true,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let mut batch = TextBatch::new(&self.schema, self.rows_max);
        let mut record = Record::default();
        while batch.has_room() && self.tokens.next(&mut record)? {
            self.check(&record)?;
            batch.push((0..self.schema.fields().len()).map(|i| text(&record, i)))?;
            self.row += 1;
        }
        batch.finish()
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        let short = std::mem::take(&mut self.short);
        let blank = self.tokens.blank_lines();
        if blank > 0 {
            let message = "lines with nothing on them were passed over";
            let found = format!("{blank} lines");
            self.tallies.add("csv.blank_line", Severity::Note, message, None, None, &found, None);
        }
        let mut findings = std::mem::take(&mut self.tallies).diagnostics();
        if short.count == 0 {
            return findings;
        }
        findings.push(Diagnostic {
            rule: "csv.short_row".to_owned(),
            severity: Severity::Warning,
            message: "rows with fewer cells than the header were filled up with nulls".to_owned(),
            count: short.count,
            examples: short.examples,
        });
        findings
    }
}

#[cfg(test)]
mod tests;
