//! Rows of one side of a difference: only the columns that are asked for, only the pages that hold the rows, each once.

use crate::filter::RowFilter;
use crate::layer::schema_of;
use crate::rows::Place;
use crate::search::read_rows;
use crate::segments::{OpenSegment, SegmentCache};
use crate::valid::ValidFilter;
use arrow_array::{ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow_schema::{ArrowError, FieldRef, Fields, SchemaRef};
use arrow_select::concat::{concat, concat_batches};
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
    /// Which rows meet the filter; `None` if there is none, or it does not fit the version's columns.
    pub(super) filter: Option<RowFilter>,
}

/// The rows of some changes on one side, null where a change has none.
pub(super) struct Rows {
    /// The columns that were read, in the order of their positions.
    pub(super) columns: Vec<ArrayRef>,
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
        let filter = query.filter.as_ref().and_then(|filter| RowFilter::bind(filter, &all).ok());
        let is_wanted = |field: &FieldRef| query.columns.as_ref().is_none_or(|names| names.contains(field.name()));
        let is_read =
            |field: &FieldRef| is_wanted(field) || key.contains(field.name()) || field.name() == GEOMETRY_COLUMN;
        let fields = all.fields().iter().filter(|field| is_wanted(field)).cloned().collect();
        let is_asked = |i: usize| {
            let positions = valid.as_ref().map(ValidFilter::positions);
            positions.is_some_and(|(from, to)| from == i || to == Some(i))
                || filter.as_ref().is_some_and(|filter| filter.columns().any(|column| column == i))
        };
        let mut read: Vec<_> = (0..all.fields().len()).filter(|i| is_read(&all.fields()[*i]) || is_asked(*i)).collect();
        if read.is_empty() {
            // Rows are counted by what is read of them.
            read.push(0);
        }
        let segments = version.segments.iter().map(|segment| (segment.parquet, segment.clone())).collect();
        Ok(Self { segments, all, fields, read, valid, filter })
    }

    pub(super) fn column<'a>(&self, rows: &'a Rows, name: &str) -> Option<&'a ArrayRef> {
        self.column_at(rows, self.all.index_of(name).ok()?)
    }

    pub(super) fn column_at<'a>(&self, rows: &'a Rows, position: usize) -> Option<&'a ArrayRef> {
        self.read.binary_search(&position).ok().map(|i| &rows.columns[i])
    }

    /// Which rows are there, were so when it is asked, and meet the filter; none where that is not known.
    pub(super) fn are_wanted(&self, rows: &Rows, query: &RowQuery) -> Result<Vec<bool>> {
        let mut are_wanted: Vec<bool> = rows.are_there.values().iter().collect();
        let mut narrow = |wants: Vec<bool>| are_wanted.iter_mut().zip(wants).for_each(|(is, wants)| *is &= wants);
        let column = |position| self.column_at(rows, position).ok_or_else(|| Error::internal("a column was not read"));
        let none = || vec![false; rows.are_there.len()];
        if query.valid.is_some() {
            let wants = |valid: &ValidFilter| {
                let (from, to) = valid.positions();
                valid.wants(column(from)?, to.map(column).transpose()?)
            };
            narrow(self.valid.as_ref().map_or_else(|| Ok(none()), wants)?);
        }
        if query.filter.is_some() {
            let takes = |filter: &RowFilter| filter.takes(rows.are_there.len(), &column);
            narrow(self.filter.as_ref().map_or_else(|| Ok(none()), takes)?);
        }
        Ok(are_wanted)
    }

    /// All columns of the rows that some segments hold.
    pub(super) fn whole(all: &SchemaRef, segments: &[SegmentRef]) -> Self {
        Self {
            segments: segments.iter().map(|segment| (segment.parquet, segment.clone())).collect(),
            all: SchemaRef::clone(all),
            fields: all.fields().clone(),
            read: (0..all.fields().len()).collect(),
            valid: None,
            filter: None,
        }
    }

    /// Reads what another side of the same columns reads, too.
    pub(super) fn read_also(&mut self, other: &Self) {
        self.read.extend(&other.read);
        self.read.sort_unstable();
        self.read.dedup();
    }

    /// Positions of the columns that are read, in order.
    pub(super) fn read(&self) -> &[usize] {
        &self.read
    }

    /// Reads the rows at some places, in the order of the places.
    pub(super) fn rows(&self, files: &Files<'_>, places: &[Option<Place>]) -> Result<Rows> {
        let are_there: BooleanArray = places.iter().map(|place| Some(place.is_some())).collect();
        let columns = match self.gather(files, &self.read, places)? {
            Some(found) => found.in_order()?,
            None => self.read.iter().map(|i| new_null_array(self.all.field(*i).data_type(), places.len())).collect(),
        };
        Ok(Rows { columns, are_there })
    }

    /// Reads some columns of the rows at some places; `None` if there is no place.
    pub(super) fn gather(
        &self,
        files: &Files<'_>,
        columns: &[usize],
        places: &[Option<Place>],
    ) -> Result<Option<Found>> {
        gather(places, columns.len(), |number, rows| {
            let missing = || Error::internal("a change list names a segment that its version has not");
            let hash = files.segments.get(number as usize).ok_or_else(missing)?;
            let segment = self.segments.get(hash).ok_or_else(missing)?;
            let open = files.cache.segment(files.dataset, segment)?;
            read_shared(&open, columns, rows, segment.rows)
        })
    }
}

/// Where rows of a dataset are read.
pub(super) struct Files<'a> {
    pub(super) cache: &'a SegmentCache,
    pub(super) dataset: &'a DatasetUuid,
    /// The segments that places count.
    pub(super) segments: &'a [Sha256],
}

/// Rows that were read, each once, and which of them each place has.
pub(super) struct Found {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) picks: Vec<Option<u32>>,
}

impl Found {
    /// The columns in the order of the places.
    fn in_order(&self) -> Result<Vec<ArrayRef>> {
        let is_as_read = (0..).zip(&self.picks).all(|(i, pick)| *pick == Some(i));
        if is_as_read && self.columns.iter().all(|column| column.len() == self.picks.len()) {
            return Ok(self.columns.clone());
        }
        let picks: UInt32Array = self.picks.iter().copied().collect();
        self.columns.iter().map(|column| take(column, &picks, None)).collect::<Result<_, _>>().map_err(failed)
    }
}

/// Reads rows by `read`, which is given the number of a file and rows of it; `None` if there is no place.
pub(super) fn gather(
    places: &[Option<Place>],
    columns: usize,
    mut read: impl FnMut(u32, &RoaringBitmap) -> Result<Vec<ArrayRef>>,
) -> Result<Option<Found>> {
    let mut wanted: Vec<Place> = places.iter().flatten().copied().collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); columns];
    for of_file in wanted.chunk_by(|a, b| a.segment == b.segment) {
        let rows: RoaringBitmap = of_file.iter().map(|place| place.position).collect();
        let found = read(of_file[0].segment, &rows)?;
        if found.len() != columns || found.iter().any(|column| column.len() != of_file.len()) {
            return Err(Error::internal("a file has fewer rows or columns than a change list says"));
        }
        parts.iter_mut().zip(found).for_each(|(parts, column)| parts.push(column));
    }
    let columns = parts.iter().map(|parts| concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()));
    let columns = columns.collect::<Result<_, _>>().map_err(failed)?;
    let pick = |place: &Option<Place>| place.and_then(|place| wanted.binary_search(&place).ok()).map(|i| i as u32);
    Ok(Some(Found { columns, picks: places.iter().map(pick).collect() }))
}

/// Columns of some rows of a segment, in order. Many rows are decoded on two processors, about the same number of bytes on
/// each.
fn read_shared(
    open: &OpenSegment,
    columns: &[usize],
    rows: &RoaringBitmap,
    rows_in_segment: u64,
) -> Result<Vec<ArrayRef>> {
    let read = |columns: &[usize]| read_columns(open, columns, rows, rows_in_segment);
    if rows.len() < ROWS_SHARED_MIN || columns.len() < 2 {
        return read(columns);
    }
    let [mine, theirs] = halves(columns, &sizes(open));
    let (my_columns, their_columns) = thread::scope(|scope| {
        let thread = scope.spawn(|| read(&theirs));
        (read(&mine), thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let mut columns: Vec<_> = mine.into_iter().zip(my_columns?).collect();
    columns.extend(theirs.into_iter().zip(their_columns?));
    columns.sort_by_key(|(position, _)| *position);
    Ok(columns.into_iter().map(|(_, column)| column).collect())
}

/// Bytes of each column of a file.
fn sizes(open: &OpenSegment) -> Vec<i64> {
    let schema = open.footer.parquet_schema();
    let mut sizes = vec![0; schema.root_schema().get_fields().len()];
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

/// Columns of some rows of a file, in order.
pub(super) fn read_columns(
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
