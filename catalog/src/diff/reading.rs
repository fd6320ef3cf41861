//! Rows of one side of a difference: only the columns that are asked for, only the pages that hold the rows, each once.

use crate::layer::schema_of;
use crate::rows::Place;
use crate::search::read_rows;
use crate::segments::{OpenSegment, SegmentCache};
use crate::successor::by_segment;
use crate::valid::ValidFilter;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::{ArrowError, FieldRef, Fields, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use roaring::RoaringBitmap;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread;
use ukimet_model::{Dataset, DatasetUuid, Error, GEOMETRY_COLUMN, Result, RowQuery, SegmentRef, Sha256, Version};

/// Rows from which on it is worth to read on several processors.
const ROWS_SHARED_MIN: u64 = 256;

/// One of the two versions.
pub(super) struct Side {
    segments: HashMap<Sha256, SegmentRef>,
    /// All its columns.
    pub(super) all: SchemaRef,
    /// Those that are given out.
    pub(super) fields: Fields,
    /// Positions of those that are read, in order: what is given out, the key and the geometry.
    read: Vec<usize>,
    /// Which rows were so when it is asked; `None` if that is not asked, or the version has no valid time.
    pub(super) valid: Option<ValidFilter>,
}

/// The rows of some changes on one side, null where a change has none.
pub(super) struct Rows {
    /// The columns that were read, in the order of their positions.
    columns: Vec<ArrayRef>,
    pub(super) are_there: BooleanArray,
}

pub(super) fn failed(error: ArrowError) -> Error {
    Error::internal("putting rows that differ side by side failed").caused_by(error)
}

impl Side {
    pub(super) fn new(dataset: &Dataset, version: &Version, query: &RowQuery, key: &[String]) -> Result<Self> {
        let all = schema_of(&version.fields)?;
        // A version from before there was valid time has no row that was so then.
        let valid = query.valid.as_ref().filter(|_| version.valid_time.is_some());
        let valid = valid.map(|query| ValidFilter::of(dataset, version, &all, query)).transpose()?;
        let is_wanted = |field: &FieldRef| query.columns.as_ref().is_none_or(|names| names.contains(field.name()));
        let is_read =
            |field: &FieldRef| is_wanted(field) || key.contains(field.name()) || field.name() == GEOMETRY_COLUMN;
        let fields = all.fields().iter().filter(|field| is_wanted(field)).cloned().collect();
        let is_asked = |i: usize| {
            let positions = valid.as_ref().map(ValidFilter::positions);
            positions.is_some_and(|(from, to)| from == i || to == Some(i))
        };
        let mut read: Vec<_> = (0..all.fields().len()).filter(|i| is_read(&all.fields()[*i]) || is_asked(*i)).collect();
        if read.is_empty() {
            // Rows are counted by what is read of them.
            read.push(0);
        }
        let segments = version.segments.iter().map(|segment| (segment.parquet, segment.clone())).collect();
        Ok(Self { segments, all, fields, read, valid })
    }

    pub(super) fn column<'a>(&self, rows: &'a Rows, name: &str) -> Option<&'a ArrayRef> {
        self.column_at(rows, self.all.index_of(name).ok()?)
    }

    fn column_at<'a>(&self, rows: &'a Rows, position: usize) -> Option<&'a ArrayRef> {
        self.read.binary_search(&position).ok().map(|i| &rows.columns[i])
    }

    /// Which rows are there and were so when it is asked; none if that is not known.
    pub(super) fn are_valid(&self, rows: &Rows) -> Result<Vec<bool>> {
        let Some(valid) = &self.valid else { return Ok(vec![false; rows.are_there.len()]) };
        let (from, to) = valid.positions();
        let unread = || Error::internal("a column of valid time was not read");
        let begins = self.column_at(rows, from).ok_or_else(unread)?;
        let ends = to.map(|to| self.column_at(rows, to).ok_or_else(unread)).transpose()?;
        let wanted = valid.wants(begins, ends)?;
        Ok(wanted.into_iter().zip(rows.are_there.values()).map(|(is_so, is_there)| is_so && is_there).collect())
    }

    /// Reads the rows at some places, in the order of the places. `hashes` are the segments that the places count.
    pub(super) fn rows(
        &self,
        cache: &SegmentCache,
        dataset: &DatasetUuid,
        hashes: &[Sha256],
        places: impl Iterator<Item = Option<Place>> + Clone,
    ) -> Result<Rows> {
        let schema = self.all.project(&self.read).map(SchemaRef::new).map_err(failed)?;
        let (mut batches, mut numbers, mut count) = (Vec::new(), HashMap::new(), 0_u32);
        for (number, rows) in by_segment(places.clone().flatten()) {
            let missing = || Error::internal("a change list names a segment that its version has not");
            let hash = hashes.get(number as usize).ok_or_else(missing)?;
            let segment = self.segments.get(hash).ok_or_else(missing)?;
            let columns = self.columns(&cache.segment(dataset, segment)?, &rows, segment.rows)?;
            batches.push(RecordBatch::try_new(SchemaRef::clone(&schema), columns).map_err(failed)?);
            for position in &rows {
                numbers.insert(Place { segment: number, position }, count);
                count += 1;
            }
        }
        let rows = concat_batches(&schema, &batches).map_err(failed)?;
        if rows.num_rows() != count as usize {
            return Err(Error::internal("a segment has fewer rows than a change list says"));
        }
        let picks: UInt32Array = places.map(|place| place.and_then(|place| numbers.get(&place).copied())).collect();
        let columns = rows.columns().iter().map(|column| take(column, &picks, None)).collect::<Result<_, _>>();
        Ok(Rows {
            columns: columns.map_err(failed)?,
            are_there: picks.iter().map(|pick| Some(pick.is_some())).collect(),
        })
    }

    /// The columns that are read, of some rows of a segment. Many rows are decoded on two processors, about the same
    /// number of bytes on each.
    fn columns(&self, open: &OpenSegment, rows: &RoaringBitmap, rows_in_segment: u64) -> Result<Vec<ArrayRef>> {
        let read = |columns: &[usize]| read_columns(open, columns, rows, rows_in_segment);
        if rows.len() < ROWS_SHARED_MIN {
            return read(&self.read);
        }
        let [mine, theirs] = halves(&self.read, &sizes(open, self.all.fields().len()));
        let (my_columns, their_columns) = thread::scope(|scope| {
            let thread = scope.spawn(|| read(&theirs));
            (read(&mine), thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let mut columns: Vec<_> = mine.into_iter().zip(my_columns?).collect();
        columns.extend(theirs.into_iter().zip(their_columns?));
        columns.sort_by_key(|(position, _)| *position);
        Ok(columns.into_iter().map(|(_, column)| column).collect())
    }
}

/// Bytes of each of the first columns of a file.
fn sizes(open: &OpenSegment, columns: usize) -> Vec<i64> {
    let schema = open.footer.parquet_schema();
    let mut sizes = vec![0; columns];
    for group in open.footer.metadata().row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            if let Some(size) = sizes.get_mut(schema.get_column_root_idx(leaf)) {
                *size += column.compressed_size();
            }
        }
    }
    sizes
}

/// The columns in two groups of about the same size, each in order.
fn halves(columns: &[usize], sizes: &[i64]) -> [Vec<usize>; 2] {
    let mut by_size = columns.to_vec();
    by_size.sort_by_key(|column| -sizes[*column]);
    let (mut groups, mut bytes) = ([Vec::new(), Vec::new()], [0, 0]);
    for column in by_size {
        let smaller = usize::from(bytes[1] < bytes[0]);
        groups[smaller].push(column);
        bytes[smaller] += sizes[column];
    }
    for group in &mut groups {
        group.sort_unstable();
    }
    groups
}

fn read_columns(
    open: &OpenSegment,
    columns: &[usize],
    rows: &RoaringBitmap,
    rows_in_segment: u64,
) -> Result<Vec<ArrayRef>> {
    let mut batches = Vec::new();
    if !columns.is_empty() {
        for batch in read_rows(open, columns, rows, rows_in_segment)? {
            batches.push(batch?);
        }
    }
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    Ok(concat_batches(first.schema_ref(), &batches).map_err(failed)?.columns().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_shared_by_their_bytes_and_none_is_lost() {
        assert_eq!(halves(&[0, 1, 2, 4], &[5, 100, 60, 999, 30]), [vec![1], vec![0, 2, 4]]);
        assert_eq!(halves(&[3], &[5, 100, 60, 999]), [vec![3], Vec::<usize>::new()]);
        assert_eq!(halves(&[], &[]), [Vec::<usize>::new(), Vec::new()]);
    }
}
