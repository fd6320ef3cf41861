//! The rows of a decoder that gives record batches.

use super::cells::GeometryCells;
use super::{Columns, guarded};
use crate::source::Rows;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use ukimet_model::{Diagnostic, Error, Result};
use ukimet_normalize::{GEOMETRY_KEY, SourceEncoding, SourceLayer};

/// Rows of a decoder that gives record batches.
pub(crate) struct BatchRows<I> {
    name: String,
    format: &'static str,
    columns: Columns,
    batches: I,
    rows_read: u64,
    rest: Option<RecordBatch>,
    rows_max: usize,
    cells: GeometryCells,
}

impl<I> BatchRows<I> {
    /// Rows of these batches.
    pub(crate) fn new(name: &str, format: &'static str, columns: &Columns, batches: I, rows_max: usize) -> Self {
        let (name, columns, cells) = (name.to_owned(), columns.clone(), GeometryCells::default());
        Self { name, format, columns, batches, rows_read: 0, rest: None, rows_max, cells }
    }

    /// A raw batch whose geometries are geometries.
    fn checked(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        let schema = rows.schema();
        let Some(at) = schema.fields().iter().position(|field| field.metadata().contains_key(GEOMETRY_KEY)) else {
            return Ok(rows);
        };
        let mut columns = rows.columns().to_vec();
        let crs = self.columns.crs.as_ref();
        columns[at] = self.cells.checked(&columns[at], crs, self.columns.is_crs_declared)?;
        RecordBatch::try_new(schema, columns)
            .map_err(|error| Error::internal("checked columns do not fit their schema").caused_by(error))
    }

    /// At most `rows_max` rows of a batch; the others wait.
    fn part(&mut self, rows: RecordBatch) -> RecordBatch {
        if rows.num_rows() <= self.rows_max {
            return rows;
        }
        self.rest = Some(rows.slice(self.rows_max, rows.num_rows() - self.rows_max));
        rows.slice(0, self.rows_max)
    }
}

impl<I: Iterator<Item = Result<RecordBatch, ArrowError>>> Rows for BatchRows<I> {
    fn layer(&self) -> SourceLayer {
        SourceLayer {
            name: self.name.clone(),
            format: self.format.to_owned(),
            schema: SchemaRef::clone(&self.columns.schema),
            raw_names: None,
            crs: self.columns.crs.clone(),
            encoding: SourceEncoding::Utf8 { transcoded_from: None },
            untyped: false,
        }
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let rows = match self.rest.take() {
                Some(rows) => rows,
                None => match guarded(self.format, || self.batches.next())? {
                    None => return Ok(None),
                    Some(Ok(rows)) => rows,
                    Some(Err(error)) => {
                        return Err(Error::data_loss(format!(
                            "the {} ends with an error after {} rows",
                            self.format, self.rows_read
                        ))
                        .caused_by(error));
                    }
                },
            };
            if rows.num_rows() > 0 {
                let rows = self.part(rows);
                self.rows_read += rows.num_rows() as u64;
                let rows = guarded(self.format, || self.columns.take(&rows))??;
                return self.checked(rows).map(Some);
            }
        }
    }

    fn findings(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.cells.tallies).diagnostics()
    }
}
