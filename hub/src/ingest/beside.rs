//! Rows that come beside those that are there: what they are read as, and which of them say that a row goes.

use crate::staging::PushHeader;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_catalog::Snapshot;
use ukimet_model::batch::{attribute_field, geometry_index, source_name};
use ukimet_model::error::quoted;
use ukimet_model::{COLUMNS_KEY, DatasetId, Error, ErrorKind, LayerSelection, NAMED_COLUMNS_KEY, PushMode, Result};
use ukimet_proto::ipc;

/// Published name of the column that marks deleted rows, while it is read; no dataset has a column of this name.
const MARK: &str = "ukimet_deleted";

/// The schema that rows have to fit that come beside others, with what the receipt of those says of their columns; `None` if they are the first or the full new state.
///
/// # Errors
///
/// `InvalidRequest` if all layers of a file are meant, each of which would have a schema of its own.
pub(super) fn expected_schema(snapshot: &Snapshot, header: &PushHeader) -> Result<Option<Bytes>> {
    if header.mode == PushMode::Replace {
        return Ok(None);
    }
    if header.layers == LayerSelection::All {
        return Err(Error::invalid_request("upsert and append take one layer, found all layers; name the layer"));
    }
    let Some(known) = Known::of(snapshot, &header.dataset)? else { return Ok(None) };
    let schema = &known.schema;
    let mut fields = schema.fields().to_vec();
    if let Some(column) = &header.delete_column {
        let at = geometry_index(schema).unwrap_or(fields.len());
        fields.insert(at, attribute_field(MARK, column, DataType::Utf8));
    }
    ipc::encode_schema(&Arc::new(Schema::new(fields).with_metadata(known.decisions()))).map(Some)
}

/// What is known of a dataset's columns.
pub(super) struct Known {
    pub(super) schema: SchemaRef,
    decided: Option<String>,
}

impl Known {
    /// Of the newest version; `None` if there is no such dataset.
    ///
    /// # Errors
    ///
    /// As for any read of a snapshot.
    pub(super) fn of(snapshot: &Snapshot, dataset: &DatasetId) -> Result<Option<Self>> {
        let version = match snapshot.dataset(dataset) {
            Ok((_, version)) => version,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let receipt = snapshot.receipt(&version)?;
        let types = receipt.steps.iter().find(|step| step.step == "types");
        let decided = types.and_then(|step| step.parameters.get(COLUMNS_KEY)).cloned();
        Ok(Some(Self { schema: snapshot.schema(&version)?, decided }))
    }

    /// What decided the columns, as the metadata of a schema that the rows of another file have to fit.
    pub(super) fn decisions(&self) -> HashMap<String, String> {
        self.decided.iter().map(|text| (NAMED_COLUMNS_KEY.to_owned(), text.clone())).collect()
    }
}

/// The column of a layer that marks deleted rows.
pub(super) struct DeleteMark {
    position: usize,
}

impl DeleteMark {
    /// Finds the column that a publisher named.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if there is none of this name.
    pub(super) fn find(name: &str, schema: &Schema) -> Result<Self> {
        let fields = schema.fields();
        let is_named = |wanted: &str| fields.iter().position(|field| field.name() == wanted);
        let position = is_named(MARK).or_else(|| fields.iter().position(|field| source_name(field) == name));
        position.or_else(|| is_named(name)).map(|position| Self { position }).ok_or_else(|| {
            let names: Vec<_> = fields.iter().map(|field| source_name(field)).collect();
            let message =
                format!("no column {} says which rows are deleted, the columns are {}", quoted(name), names.join(", "));
            Error::invalid_request(message)
        })
    }

    /// The schema without the mark.
    pub(super) fn without(&self, schema: &Schema) -> SchemaRef {
        let mut fields = schema.fields().to_vec();
        fields.remove(self.position);
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }

    /// The rows that stay, and those that go, without the mark.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming a mark that says neither.
    pub(super) fn split(&self, rows: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
        let failed = |e| Error::internal("parting deleted rows from the others failed").caused_by(e);
        let go = marks(rows.column(self.position))?;
        let others: Vec<usize> = (0..rows.num_columns()).filter(|i| *i != self.position).collect();
        let rows = rows.project(&others).map_err(failed)?;
        let stay: BooleanArray = go.iter().map(|goes| goes.map(|goes| !goes)).collect();
        Ok((filter_record_batch(&rows, &stay).map_err(failed)?, filter_record_batch(&rows, &go).map_err(failed)?))
    }
}

fn marks(column: &ArrayRef) -> Result<BooleanArray> {
    if let Some(marks) = column.as_boolean_opt() {
        return Ok(marks.iter().map(|mark| Some(mark == Some(true))).collect());
    }
    let texts = arrow_cast::cast(column, &DataType::Utf8).map_err(|e| {
        Error::invalid_data("the column of deletion marks is no text, number or truth value").caused_by(e)
    })?;
    let mark = |text: Option<&str>| match text.map(|text| text.trim().to_lowercase()).as_deref() {
        None | Some("" | "false" | "0" | "i" | "u" | "insert" | "update" | "upsert") => Ok(Some(false)),
        Some("true" | "1" | "d" | "delete" | "deleted") => Ok(Some(true)),
        Some(other) => Err(Error::invalid_data(format!(
            "a deletion mark is true, 1, d, delete or deleted, or nothing, false, 0, insert, update or upsert, found {}",
            quoted(other)
        ))),
    };
    texts.as_string::<i32>().iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};

    #[test]
    fn marks_part_rows_and_foreign_ones_are_refused() {
        let rows = |marks: Vec<Option<&str>>| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..marks.len() as i64));
            let marks: ArrayRef = Arc::new(StringArray::from(marks));
            RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("gone", marks, true)]).expect("fits")
        };
        let batch = rows(vec![Some("Deleted"), None, Some(" 0"), Some("D"), Some("u")]);
        let mark = DeleteMark::find("gone", &batch.schema()).expect("there");
        let (stay, go) = mark.split(&batch).expect("known marks");
        assert_eq!((stay.num_rows(), go.num_rows(), stay.num_columns()), (3, 2, 1));
        let error = mark.split(&rows(vec![Some("maybe")])).expect_err("neither");
        assert!(error.message().contains("found \"maybe\""), "{error}");
        assert!(DeleteMark::find("weg", &batch.schema()).is_err());
    }
}
