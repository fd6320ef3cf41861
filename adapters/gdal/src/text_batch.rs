//! A raw batch of text columns, filled row by row.

use crate::source::BATCH_BYTES;
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use std::sync::Arc;
use ukimet_model::{Error, Result};

/// Rows of text on their way into a batch.
pub(crate) struct TextBatch {
    schema: SchemaRef,
    columns: Vec<StringBuilder>,
    rows: usize,
    bytes: usize,
    rows_max: usize,
}

impl TextBatch {
    /// A batch of at most `rows_max` rows; every field of the schema is nullable text.
    pub(crate) fn new(schema: &SchemaRef, rows_max: usize) -> Self {
        let columns = schema.fields().iter().map(|_| StringBuilder::new()).collect();
        Self { schema: SchemaRef::clone(schema), columns, rows: 0, bytes: 0, rows_max }
    }

    /// Whether another row may come.
    pub(crate) fn has_room(&self) -> bool {
        self.rows < self.rows_max && self.bytes < BATCH_BYTES
    }

    /// Adds a row: a cell for every column.
    ///
    /// # Errors
    ///
    /// That of the first cell that cannot be read; the batch is of no more use then.
    pub(crate) fn push<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = Result<Option<T>>>) -> Result<()> {
        for (column, text) in self.columns.iter_mut().zip(cells) {
            let text = text?;
            self.bytes += text.as_ref().map_or(0, |text| text.as_ref().len());
            column.append_option(text);
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows; `None` if none came.
    ///
    /// # Errors
    ///
    /// `Internal` if a row had fewer cells than there are columns.
    pub(crate) fn finish(mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        RecordBatch::try_new(self.schema, columns)
            .map(Some)
            .map_err(|error| Error::internal("columns do not fit their schema").caused_by(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{DataType, Field, Schema};

    #[test]
    fn a_batch_takes_rows_up_to_its_limits_and_is_none_without_any() {
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Utf8, true));
        let schema = SchemaRef::new(Schema::new(fields.to_vec()));
        assert!(TextBatch::new(&schema, 1).finish().expect("nothing").is_none());
        let mut batch = TextBatch::new(&schema, 2);
        batch.push([Ok(Some("x")), Ok(None)]).expect("a row");
        assert!(batch.has_room());
        batch.push([Ok(None), Ok(Some("y"))]).expect("a row");
        assert!(!batch.has_room(), "of two rows");
        let rows = batch.finish().expect("fits").expect("rows");
        assert_eq!((rows.num_rows(), rows.column(0).null_count(), rows.column(1).null_count()), (2, 1, 1));
        let mut large = TextBatch::new(&schema, 2);
        large.push([Ok(Some("x".repeat(BATCH_BYTES))), Ok(None)]).expect("a row");
        assert!(!large.has_room(), "of that many bytes");
        let mut short = TextBatch::new(&schema, 2);
        short.push([Ok(Some("x"))]).expect("a row");
        assert!(short.finish().is_err());
    }
}
