//! Differences between two versions as people and programs outside read them: files, a page with a map, words.
//!
//! What differs is found by the catalog; here a stream of its batches gets a form. The schema is that of
//! [`ukimet_catalog::Diff`].

mod flat;
mod heading;
mod page;
mod shapes;
mod words;

use crate::files::{FileFormat, FileOptions, FileSubject, RowFile, Scratch};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::SchemaRef;
use clap::{Args, ValueEnum};
use flat::{flat, with_text_places, without_empty};
use std::fs::File;
use std::io::BufWriter;
use ukimet_model::error::quoted;
use ukimet_model::{ChangeCounts, Error, Result};

pub use heading::{ColumnChange, DiffHeading, Reread};
pub use page::{Page, PageOptions, policy};
pub use words::{CellChange, Operation, RowWords, shown_value, words};

/// A form of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// `GeoJSON`: a feature a row; geometries inside `before` and `after` are WKT.
    Json,
    /// `GeoJSON`, a feature a line.
    Ndjson,
    /// Arrow IPC.
    Arrow,
    /// `GeoParquet`.
    Parquet,
    /// A line a row, `before` and `after` spread over columns such as `before.name`; geometries are WKT.
    Csv,
    /// One page with a map and a table.
    Html,
}

impl DiffFormat {
    /// The media type of a file.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/geo+json",
            Self::Ndjson => "application/x-ndjson",
            Self::Arrow => "application/vnd.apache.arrow.file",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// Its name, which is the ending of its files too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }

    /// Reads its name.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the known ones.
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_str(text, false).map_err(|_| {
            let known = "json, ndjson, arrow, parquet, csv or html";
            Error::invalid_request(format!("a format of a difference is {known}, found {}", quoted(text)))
        })
    }
}

/// How much of a difference a page shows.
#[derive(Args, Clone, Copy, Debug)]
pub struct PageLimits {
    /// Rows that the page of a difference lists and draws; the others are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 2_000)]
    pub diff_rows_max: usize,
    /// Positions that the map of a difference draws, before and after together; further rows are listed only.
    #[arg(long, value_name = "COUNT", default_value_t = 200_000)]
    pub diff_positions_max: usize,
}

/// Counts the rows of a batch of a difference.
///
/// # Errors
///
/// `InvalidData` if it is none of a difference.
pub fn count_rows(counts: &mut ChangeCounts, batch: &RecordBatch) -> Result<()> {
    let operations = batch.column_by_name("operation").and_then(|column| column.as_string_opt::<i32>());
    let foreign = || Error::invalid_data("a batch of a difference has no column operation");
    for operation in operations.ok_or_else(foreign)?.iter().flatten() {
        match operation.parse()? {
            Operation::Added => counts.added += 1,
            Operation::Removed => counts.removed += 1,
            Operation::Changed => counts.changed += 1,
        }
    }
    Ok(())
}

/// A file that a difference is written into.
pub enum DiffFile {
    /// Rows.
    Rows(RowFile, DiffFormat),
    /// A page.
    Page(Box<Page>, File),
}

impl DiffFile {
    /// Begins a file. A page is written at the end, everything else as it comes.
    ///
    /// # Errors
    ///
    /// `Internal` if the format has no place for a column.
    pub fn create(
        format: DiffFormat,
        file: File,
        schema: &SchemaRef,
        heading: DiffHeading,
        options: PageOptions,
    ) -> Result<Self> {
        if format == DiffFormat::Html {
            return Ok(Self::Page(Box::new(Page::new(heading, options)), file));
        }
        let schema = shaped(format, &RecordBatch::new_empty(schema.clone()))?.schema();
        let subject = FileSubject {
            name: "difference".to_owned(),
            schema,
            published_s: None,
            scratch: Scratch::new(std::env::temp_dir(), u64::MAX),
            // What differs is compared with what a source says.
            options: FileOptions { is_raw: true, has_bom: false },
        };
        let written = FileFormat::of_file(&format!("rows.{}", format.name()))?;
        let rows = RowFile::begin(written, Box::new(BufWriter::new(file)), &subject)?;
        Ok(Self::Rows(rows, format))
    }

    /// Writes further rows.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the format has no place for a value, naming formats that have.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Rows(rows, format) => rows.write(&shaped(*format, batch)?),
            Self::Page(page, _) => page.add(batch),
        }
    }

    /// Completes the file.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it cannot be written.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Rows(rows, _) => rows.finish().map(drop),
            Self::Page(page, file) => page.write(file),
        }
    }
}

/// The rows as a format has them.
fn shaped(format: DiffFormat, batch: &RecordBatch) -> Result<RecordBatch> {
    match format {
        DiffFormat::Json | DiffFormat::Ndjson => with_text_places(batch),
        DiffFormat::Csv => flat(batch),
        DiffFormat::Parquet => without_empty(batch),
        DiffFormat::Arrow | DiffFormat::Html => Ok(batch.clone()),
    }
}

#[cfg(test)]
mod tests;
