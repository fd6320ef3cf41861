//! Columns without dictionaries: a transport may send texts as codes, most files say the values.

use super::{FileSubject, failed};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_model::Result;

/// The columns as a file has them.
pub(super) struct Plain {
    schema: SchemaRef,
    has_codes: bool,
}

/// A subject without dictionaries, unless the format has them.
pub(super) fn subject(subject: &FileSubject, has_dictionaries: bool) -> (Plain, FileSubject) {
    let is_code = |field: &&Arc<Field>| matches!(field.data_type(), DataType::Dictionary(..));
    let has_codes = !has_dictionaries && subject.schema.fields().iter().any(|field| is_code(&field));
    let fields = subject.schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, value) if has_codes => {
            let plain = Field::new(field.name(), value.as_ref().clone(), field.is_nullable());
            Arc::new(plain.with_metadata(field.metadata().clone()))
        }
        _ => Arc::clone(field),
    });
    let fields: Vec<_> = fields.collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, subject.schema.metadata().clone()));
    let plain = FileSubject {
        name: subject.name.clone(),
        schema: Arc::clone(&schema),
        published_s: subject.published_s,
        scratch: subject.scratch.clone(),
        options: subject.options,
    };
    (Plain { schema, has_codes }, plain)
}

impl Plain {
    /// Rows with values in place of codes.
    pub(super) fn rows(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        if !self.has_codes {
            return Ok(rows.clone());
        }
        let columns = rows.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| arrow_cast::cast(column, field.data_type()).map_err(failed));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(failed)
    }
}
