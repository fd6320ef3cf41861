//! Files of rows that leave the hub: one format a module, over anything that takes bytes, for the command line and the
//! server alike.
//!
//! The same rows in the same batches give the same bytes: nothing in a file tells when or where it was made.

mod cells;
mod csv;
mod features;
mod flatgeobuf;
mod formats;
mod geopackage;
mod ipc;
mod losses;
mod parquet;
mod place;
mod plain;
mod scratch;
mod shapefile;
#[cfg(test)]
mod tests;
mod text;
mod xlsx;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
pub use formats::FileFormat;
pub use losses::Losses;
use plain::Plain;
pub use scratch::Scratch;
use std::fs::File;
use std::io::Write;
pub(crate) use text::wkt;
use ukimet_model::{Error, Result};

/// Where the bytes of a file go.
pub type Sink = Box<dyn Write + Send>;

/// Raised whenever the same rows give other bytes than before: it is part of every entity tag.
pub const WRITER_VERSION: u32 = 1;

/// What a file is made of beside its rows.
pub struct FileSubject {
    /// What its layer or table is called: ASCII, lower case.
    pub name: String,
    /// Columns as the rows have them; the geometry is WKB in OGC:CRS84, longitude first.
    pub schema: SchemaRef,
    /// When what it shows was published; `None` if that is not known. Seconds since 1970, UTC.
    pub published_s: Option<i64>,
    /// Where formats that need it put what they have written so far.
    pub scratch: Scratch,
    /// What the reader chose.
    pub options: FileOptions,
}

/// What a reader may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// CSV: text that a spreadsheet would calculate stays as it is.
    pub is_raw: bool,
    /// CSV: the file begins with a byte order mark.
    pub has_bom: bool,
}

/// Writes rows as they come.
trait RowWriter: Send {
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Writes rows into files of its own, of which the last is given out: formats that say at their beginning what is known at
/// the end.
trait StagedWriter: Send {
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;
    /// The file, read from its beginning, and what it has no place for.
    fn finish(self: Box<Self>) -> Result<(File, Losses)>;
}

/// Rows that are given another form at once: what is made of them is held in memory.
const ROWS_AT_ONCE: usize = 8192;
/// Rows of an Arrow batch at most.
const ARROW_ROWS: usize = 16_384;

/// Rows in runs of at most so many.
fn runs(rows: &RecordBatch, rows_max: usize) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..rows.num_rows()).step_by(rows_max).map(move |at| rows.slice(at, rows_max.min(rows.num_rows() - at)))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable("writing the file").caused_by(error)
}

/// A file that rows are written into.
pub struct RowFile {
    plain: Plain,
    /// Rows that are written at once.
    rows_max: usize,
    writer: Writer,
}

enum Writer {
    Streamed(Box<dyn RowWriter>),
    Staged(Box<dyn StagedWriter>, Sink),
}

impl RowFile {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the format has no place for a column, naming formats that have; `LimitReached` if there are
    /// more columns than it has place for.
    pub fn begin(format: FileFormat, sink: Sink, subject: &FileSubject) -> Result<Self> {
        let (plain, subject) = plain::subject(subject, format == FileFormat::ArrowStream);
        let writer = match format {
            FileFormat::Arrow => Writer::Streamed(ipc::file(sink, &subject)?),
            FileFormat::ArrowStream => Writer::Streamed(ipc::stream(sink, &subject)?),
            FileFormat::Parquet => Writer::Streamed(parquet::writer(sink, &subject)?),
            FileFormat::Csv => Writer::Streamed(csv::writer(sink, &subject)?),
            FileFormat::GeoJson => Writer::Streamed(features::collection(sink)?),
            FileFormat::NdJson => Writer::Streamed(features::lines(sink)),
            _ => Writer::Staged(staged(format, &subject)?, sink),
        };
        let rows_max = match format {
            FileFormat::Parquet => usize::MAX,
            FileFormat::Arrow | FileFormat::ArrowStream => ARROW_ROWS,
            _ => ROWS_AT_ONCE,
        };
        Ok(Self { plain, rows_max, writer })
    }

    /// Writes further rows.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for a value that the format has no place for, `LimitReached` for more than it takes,
    /// `Unavailable` if the bytes cannot be written.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.plain.rows(rows)?;
        runs(&rows, self.rows_max).try_for_each(|rows| match &mut self.writer {
            Writer::Streamed(writer) => writer.write(&rows),
            Writer::Staged(writer, _) => writer.write(&rows),
        })
    }

    /// Completes the file; what it has no place for. Errors as [`RowFile::write`].
    pub fn finish(self) -> Result<Losses> {
        match self.writer {
            Writer::Streamed(writer) => writer.finish().map(|()| Losses::default()),
            Writer::Staged(writer, mut sink) => {
                let (mut file, losses) = writer.finish()?;
                std::io::copy(&mut file, &mut sink).map_err(failed)?;
                sink.flush().map_err(failed)?;
                Ok(losses)
            }
        }
    }
}

/// A file that is complete before the first of its bytes is known.
pub struct StagedFile {
    plain: Plain,
    writer: Box<dyn StagedWriter>,
}

impl StagedFile {
    /// Begins a file of a format that [`FileFormat::is_staged`]. Errors as [`RowFile::begin`].
    pub fn begin(format: FileFormat, subject: &FileSubject) -> Result<Self> {
        let (plain, subject) = plain::subject(subject, false);
        Ok(Self { plain, writer: staged(format, &subject)? })
    }

    /// Writes further rows. Errors as [`RowFile::write`].
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.plain.rows(rows)?;
        runs(&rows, ROWS_AT_ONCE).try_for_each(|rows| self.writer.write(&rows))
    }

    /// The file, which has no name and is read from its beginning, and what it has no place for.
    pub fn finish(self) -> Result<(File, Losses)> {
        self.writer.finish()
    }
}

fn staged(format: FileFormat, subject: &FileSubject) -> Result<Box<dyn StagedWriter>> {
    match format {
        FileFormat::FlatGeobuf => flatgeobuf::writer(subject),
        FileFormat::GeoPackage => geopackage::writer(subject),
        FileFormat::Shapefile => shapefile::writer(subject),
        FileFormat::Xlsx => xlsx::writer(subject),
        streamed => Err(Error::internal(format!("{} is written as it goes", streamed.name()))),
    }
}
