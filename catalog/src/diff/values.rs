//! The values of rows that differ, before and after, side by side.

use super::Change;
use super::earlier::{Aged, Lists, put_together, read_earlier};
use super::moves::moves;
use super::reading::{Files, Rows, Side, failed};
use crate::filter::RowFilter;
use crate::search::{Window, column_index};
use crate::segments::{Reading, SegmentCache};
use crate::successor::is_same_key;
use crate::valid::ValidFilter;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_ord::cmp::distinct;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use arrow_select::zip::zip;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use ukimet_model::{Dataset, DatasetUuid, Error, GEOMETRY_COLUMN, Result, RowQuery, Sha256, Version};

/// Changes from which on it is worth to read both sides at the same time.
const CHANGES_SHARED_MIN: usize = 256;

/// Reads changes of one difference.
pub(super) struct Values {
    cache: Arc<SegmentCache>,
    dataset: DatasetUuid,
    /// The segments that the changes' places count.
    segments: Vec<Sha256>,
    lists: Lists,
    /// Whether the later version is the one before.
    is_backward: bool,
    before: Side,
    after: Side,
    /// Names of the key's columns, where both versions have the same key.
    key: Vec<String>,
    window: Option<Window>,
    /// What was asked.
    query: RowQuery,
    schema: SchemaRef,
    /// When reading began, as the cache counts.
    reading: Reading,
}

impl Values {
    pub(super) fn try_new(
        cache: Arc<SegmentCache>,
        dataset: &Dataset,
        (from, to): (&Version, &Version),
        (segments, lists): (Vec<Sha256>, Lists),
        query: &RowQuery,
    ) -> Result<Self> {
        let key = to.key.as_ref().filter(|key| is_same_key(from.key.as_ref(), Some(key)));
        let key = key.map_or_else(Vec::new, |key| key.columns.clone());
        let (mut before, mut after) = (Side::new(dataset, from, query, &key)?, Side::new(dataset, to, query, &key)?);
        if !lists.column_sets.is_empty() {
            before.read_also(&after);
            after.read_also(&before);
        }
        if let Some(valid) = query.valid.as_ref().filter(|_| before.valid.is_none() && after.valid.is_none()) {
            ValidFilter::of(dataset, to, &after.all, valid)?;
        }
        if let Some(filter) = query.filter.as_ref().filter(|_| before.filter.is_none() && after.filter.is_none()) {
            RowFilter::bind(filter, &after.all)?;
        }
        for name in query.columns.iter().flatten() {
            if before.all.index_of(name).is_err() {
                column_index(&after.all, name)?;
            }
        }
        let schema = schema(&before, &after, &key);
        let reading = cache.reading(&dataset.uuid);
        Ok(Self {
            cache,
            reading,
            dataset: dataset.uuid.clone(),
            segments,
            lists,
            is_backward: from.number > to.number,
            before,
            after,
            key,
            window: query.bbox.as_ref().map(Window::new),
            query: query.clone(),
            schema,
        })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The changes that differ in what was asked for, as a batch.
    pub(super) fn read(&self, changes: &[Change]) -> Result<RecordBatch> {
        self.cache.check_reading(&self.dataset, self.reading)?;
        let (before, after) = self.rows(changes)?;
        let differing = self.differing(&before, &after)?;
        let mut names_differing = ListBuilder::new(StringBuilder::new());
        let mut operations = Vec::with_capacity(changes.len());
        let mut are_kept = Vec::with_capacity(changes.len());
        for i in 0..changes.len() {
            let both = before.are_there.value(i) && after.are_there.value(i);
            let names = differing.iter().filter(|(_, differs)| differs.value(i)).map(|(name, _)| name);
            let mut count = 0;
            for name in names.filter(|_| both) {
                names_differing.values().append_value(name);
                count += 1;
            }
            names_differing.append(both);
            operations.push(match (before.are_there.value(i), both) {
                (_, true) => "changed",
                (true, false) => "removed",
                (false, false) => "added",
            });
            are_kept.push(!both || count > 0);
        }
        let batch = self.batch(&before, &after, StringArray::from(operations), Arc::new(names_differing.finish()))?;
        let were_wanted = self.before.are_wanted(&before, &self.query)?;
        let are_wanted = self.after.are_wanted(&after, &self.query)?;
        // A side counts if it is inside of the box and meets the rest: not one of them before and the other after.
        let is_wanted = |i: usize| {
            (were_wanted[i] && self.is_inside(&self.before, &before, i))
                || (are_wanted[i] && self.is_inside(&self.after, &after, i))
        };
        let are_kept: BooleanArray =
            are_kept.into_iter().enumerate().map(|(i, kept)| Some(kept && is_wanted(i))).collect();
        filter_record_batch(&batch, &are_kept).map_err(failed)
    }

    /// The rows before and after, read at the same time.
    fn rows(&self, changes: &[Change]) -> Result<(Rows, Rows)> {
        let changes: Vec<Aged> = changes.iter().map(|change| Aged::new(change, self.is_backward)).collect();
        let (earlier, later) = if self.is_backward { (&self.after, &self.before) } else { (&self.before, &self.after) };
        let files = Files { cache: &self.cache, dataset: &self.dataset, segments: &self.segments };
        let read_later = || later.rows(&files, &changes.iter().map(|change| change.later).collect::<Vec<_>>());
        let read_earlier = || read_earlier(earlier, &files, &self.lists, &changes);
        let (groups, later_rows) = if changes.len() < CHANGES_SHARED_MIN {
            (read_earlier(), read_later())
        } else {
            thread::scope(|scope| {
                let later = scope.spawn(read_later);
                (read_earlier(), later.join().unwrap_or_else(|panic| resume_unwind(panic)))
            })
        };
        let later_rows = later_rows?;
        let earlier_rows = put_together(earlier, (later, &later_rows), &groups?, &changes)?;
        Ok(if self.is_backward { (later_rows, earlier_rows) } else { (earlier_rows, later_rows) })
    }

    /// For each column that was asked for whether its values differ, row by row.
    fn differing(&self, before: &Rows, after: &Rows) -> Result<Vec<(String, BooleanArray)>> {
        let mut names: Vec<&String> = self.after.fields.iter().map(|field| field.name()).collect();
        names.extend(
            self.before.fields.iter().map(|field| field.name()).filter(|name| self.after.all.index_of(name).is_err()),
        );
        let differing = names.into_iter().map(|name| {
            let differs = match (self.before.column(before, name), self.after.column(after, name)) {
                (Some(old), Some(new)) if old.data_type() == new.data_type() => differs(old, new)?,
                (Some(old), Some(new)) => (0..old.len()).map(|i| Some(old.is_valid(i) || new.is_valid(i))).collect(),
                (Some(one), None) | (None, Some(one)) => (0..one.len()).map(|i| Some(one.is_valid(i))).collect(),
                (None, None) => BooleanArray::from(vec![false; before.are_there.len()]),
            };
            Ok((name.clone(), differs))
        });
        differing.collect()
    }

    /// Whether the row lies in the window that was asked for, before or after.
    fn is_inside(&self, side: &Side, rows: &Rows, row: usize) -> bool {
        let Some(window) = &self.window else { return true };
        let column = side.column(rows, GEOMETRY_COLUMN).and_then(|column| column.as_binary_opt::<i32>());
        column.is_some_and(|column| column.is_valid(row) && window.meets(column.value(row)))
    }

    fn batch(&self, before: &Rows, after: &Rows, operations: StringArray, changed: ArrayRef) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(operations)];
        if !self.key.is_empty() {
            columns.push(self.keys(before, after)?);
        }
        columns.push(changed);
        let old = self.before.column(before, GEOMETRY_COLUMN);
        let new = self.after.column(after, GEOMETRY_COLUMN);
        if old.is_some() || new.is_some() {
            let (distances, areas) = moves(old, new, before.are_there.len());
            columns.push(Arc::new(distances));
            columns.push(Arc::new(areas));
        }
        columns.push(structure(&self.before, before));
        columns.push(structure(&self.after, after));
        match (old, new) {
            (Some(old), Some(new)) => columns.push(zip(&after.are_there, new, old).map_err(failed)?),
            (Some(one), None) | (None, Some(one)) => columns.push(Arc::clone(one)),
            (None, None) => (),
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)
    }

    /// The columns of the key, from whichever side has the row.
    fn keys(&self, before: &Rows, after: &Rows) -> Result<ArrayRef> {
        let column = |name: &String| {
            let missing = || Error::internal("a key names a column that is not there");
            let old = self.before.column(before, name).ok_or_else(missing)?;
            let new = self.after.column(after, name).ok_or_else(missing)?;
            zip(&after.are_there, new, old).map_err(failed)
        };
        let columns = self.key.iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(StructArray::new(key_fields(&self.after.all, &self.key), columns, None)))
    }
}

/// Whether values differ, row by row; null differs from every value.
pub(super) fn differs(old: &ArrayRef, new: &ArrayRef) -> Result<BooleanArray> {
    if old.data_type().is_nested() {
        // Arrow compares flat columns only; the hash of a row of one column tells the others apart.
        let hashes = |column: &ArrayRef| {
            let rows = RecordBatch::try_from_iter([("c", Arc::clone(column))]).map_err(failed)?;
            crate::rowhash::row_hashes(&rows)
        };
        return Ok(hashes(old)?.iter().zip(hashes(new)?).map(|(old, new)| Some(*old != new)).collect());
    }
    distinct(old, new).map_err(failed)
}

fn structure(side: &Side, rows: &Rows) -> ArrayRef {
    let columns = side.fields.iter().filter_map(|field| side.column(rows, field.name()).cloned()).collect();
    let nulls = Some(NullBuffer::from(rows.are_there.values().clone()));
    Arc::new(
        StructArray::try_new_with_length(side.fields.clone(), columns, nulls, rows.are_there.len())
            .expect("the fields are those of the columns"),
    )
}

fn key_fields(all: &Schema, key: &[String]) -> Fields {
    key.iter().filter_map(|name| all.field_with_name(name).ok().cloned()).collect()
}

fn schema(before: &Side, after: &Side, key: &[String]) -> SchemaRef {
    let mut fields = vec![Field::new("operation", DataType::Utf8, false)];
    if !key.is_empty() {
        fields.push(Field::new("key", DataType::Struct(key_fields(&after.all, key)), false));
    }
    fields.push(Field::new("changed", DataType::new_list(DataType::Utf8, true), true));
    let geometry = [&after.all, &before.all].into_iter().find_map(|all| all.field_with_name(GEOMETRY_COLUMN).ok());
    if geometry.is_some() {
        fields.push(Field::new("distance_m", DataType::Float64, true));
        fields.push(Field::new("area_change_m2", DataType::Float64, true));
    }
    fields.push(Field::new("before", DataType::Struct(before.fields.clone()), true));
    fields.push(Field::new("after", DataType::Struct(after.fields.clone()), true));
    fields.extend(geometry.cloned());
    Arc::new(Schema::new(fields))
}
