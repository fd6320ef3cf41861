//! The rows of a difference for formats that have no place for structures, or for geometries inside of them.

use crate::files::wkt;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};
use std::sync::Arc;
use ukimet_model::batch::is_geometry;
use ukimet_model::{Error, Result};

fn failed(error: ArrowError) -> Error {
    Error::internal("giving a difference another form failed").caused_by(error)
}

fn table(columns: Vec<(FieldRef, ArrayRef)>) -> Result<RecordBatch> {
    let (fields, columns): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}

fn columns(batch: &RecordBatch) -> impl Iterator<Item = (FieldRef, ArrayRef)> {
    batch.schema_ref().fields().iter().cloned().zip(batch.columns().iter().cloned())
}

/// Geometries as WKT.
fn text_place(field: &FieldRef, column: &ArrayRef) -> Result<(FieldRef, ArrayRef)> {
    let Some(shapes) = column.as_binary_opt::<i32>().filter(|_| is_geometry(field)) else {
        return Ok((Arc::clone(field), Arc::clone(column)));
    };
    let texts: StringArray = shapes.iter().map(|shape| shape.map(wkt).transpose()).collect::<Result<_>>()?;
    Ok((Arc::new(Field::new(field.name(), DataType::Utf8, true)), Arc::new(texts)))
}

/// The columns of a structure, null where the structure is.
fn parts(structure: &StructArray) -> Result<Vec<(FieldRef, ArrayRef)>> {
    let (fields, columns) = (structure.fields(), structure.columns());
    let parts = fields.iter().zip(columns).map(|(field, column)| {
        let absent = structure.nulls().map(|nulls| BooleanArray::from(!nulls.inner()));
        let column = match absent {
            Some(absent) => arrow_select::nullif::nullif(column, &absent).map_err(failed)?,
            None => Arc::clone(column),
        };
        let field = field.as_ref().clone().with_nullable(true);
        text_place(&Arc::new(field), &column)
    });
    parts.collect()
}

/// The rows with the geometries inside `before` and `after` as WKT.
pub(super) fn with_text_places(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = columns(batch).map(|(field, column)| {
        let Some(structure) = column.as_struct_opt() else { return Ok((field, column)) };
        let (fields, parts): (Vec<FieldRef>, Vec<ArrayRef>) = parts(structure)?.into_iter().unzip();
        let nulls = structure.nulls().cloned();
        let structure = StructArray::try_new_with_length(fields.into(), parts, nulls, column.len()).map_err(failed)?;
        let field = Field::new(field.name(), structure.data_type().clone(), true);
        Ok((Arc::new(field), Arc::new(structure) as ArrayRef))
    });
    table(columns.collect::<Result<_>>()?)
}

/// The rows with a column for each part of a structure, such as `before.name`.
pub(super) fn flat(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut spread = Vec::new();
    for (field, column) in columns(batch) {
        let Some(structure) = column.as_struct_opt() else {
            spread.push((field, column));
            continue;
        };
        for (part, column) in parts(structure)? {
            let name = format!("{}.{}", field.name(), part.name());
            spread.push((Arc::new(part.as_ref().clone().with_name(name)), column));
        }
    }
    table(spread)
}

/// The rows without structures that have no columns, which Parquet cannot hold.
pub(super) fn without_empty(batch: &RecordBatch) -> Result<RecordBatch> {
    let is_empty = |column: &ArrayRef| column.as_struct_opt().is_some_and(|structure| structure.num_columns() == 0);
    table(columns(batch).filter(|(_, column)| !is_empty(column)).collect())
}
