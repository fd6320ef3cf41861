//! What differs between two versions of a dataset, row by row.
//!
//! Which rows differ comes from the change lists that are stored with the versions, or where one is missing from their
//! key files; only rows that differ are read.

mod checking;
mod describing;
mod earlier;
mod moves;
mod reading;
mod values;

use crate::changes::{Change, ChangeGatherer, ChangeList, compare, compose};
use crate::paths;
use crate::rows::{LiveRows, RowStream};
use crate::segments::SegmentCache;
use crate::snapshot::Pin;
use crate::successor::{fits, is_same_key};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
pub(crate) use checking::check_list;
pub(crate) use describing::{Describing, describe};
pub(crate) use earlier::copy_values;
use earlier::{Lists, StoredValues};
use std::collections::HashSet;
use std::sync::Arc;
use ukimet_model::{ChangeCounts, Dataset, DatasetUuid, Result, RowQuery, SegmentRef, Sha256, Version};
use values::Values;

/// Rows that differ which are read at once, at most.
const ROWS_AT_ONCE_MAX: u64 = 16_384;
/// Bytes in the files of the rows that are read at once on one side, about.
const BYTES_AT_ONCE: u64 = 32 << 20;

/// The rows that differ between two versions, as record batches. Blocks on reads.
///
/// Columns: `operation` (`added`, `removed`, `changed`), `key` (the columns of the key, where both versions have the
/// same), `changed` (names of the columns whose values differ), for layers with places `distance_m` (metres along the
/// ellipsoid between the centroids) and `area_change_m2` (square metres on the ellipsoid, after less before), then
/// `before` and `after` (the row's columns, null where it is missing), and `geometry`, the one after, else the one before.
///
/// Removed and changed rows come first, in the stored order of the earlier version, then added ones in that of the later.
pub struct Diff {
    values: Values,
    /// Changes that are left, the next one last.
    changes: Vec<Change>,
    counts: ChangeCounts,
    rows_left: u64,
    rows_at_once: usize,
    /// Keeps what is read.
    _pin: Option<Pin>,
}

impl Diff {
    /// # Errors
    ///
    /// `InvalidRequest` listing the columns if one is named that neither version has.
    pub(crate) fn try_new(
        cache: Arc<SegmentCache>,
        dataset: &Dataset,
        (from, to): (&Version, &Version),
        between: &[Version],
        query: &RowQuery,
    ) -> Result<Self> {
        let (mut list, values) = list_between(&cache, &dataset.uuid, from, to, between)?;
        let mut counts = ChangeCounts::default();
        list.changes.iter().for_each(|change| change.count_in(&mut counts));
        list.sort();
        let mut changes = list.changes;
        changes.reverse();
        let lists = Lists { column_sets: list.column_sets, values };
        let values = Values::try_new(cache, dataset, (from, to), (list.segments, lists), query)?;
        let (rows_left, rows_at_once) =
            (query.limit.unwrap_or(u64::MAX), rows_at_once(from.segments.iter().chain(&to.segments)));
        Ok(Self { values, changes, counts, rows_left, rows_at_once, _pin: None })
    }

    /// The same difference, keeping what is read.
    pub(crate) fn pinning(self, pin: Pin) -> Self {
        Self { _pin: Some(pin), ..self }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.values.schema()
    }

    /// How many rows differ at most: a row that changed there and back again is counted, and filters are not asked.
    pub fn rows_max(&self) -> u64 {
        self.counts.rows()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.rows_left > 0 && !self.changes.is_empty() {
            let rest = self.changes.split_off(self.changes.len().saturating_sub(self.rows_at_once));
            let changes: Vec<Change> = rest.into_iter().rev().collect();
            let batch = self.values.read(&changes)?;
            let rows = self.rows_left.min(batch.num_rows() as u64);
            if rows > 0 {
                self.rows_left -= rows;
                return Ok(Some(batch.slice(0, rows as usize)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Diff {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            // After an error there are no more rows.
            self.rows_left = 0;
        }
        next.transpose()
    }
}

/// As many rows of these segments as go into memory: fewer where rows are large.
fn rows_at_once<'a>(segments: impl Iterator<Item = &'a SegmentRef>) -> usize {
    let row_bytes = segments.map(|segment| segment.size_bytes / segment.rows.max(1)).max().unwrap_or(0).max(1);
    (BYTES_AT_ONCE / row_bytes).clamp(1, ROWS_AT_ONCE_MAX) as usize
}

/// The changes from one version to another, and the values that are stored with the lists that they come from.
type Listed = (ChangeList, Vec<Option<StoredValues>>);

/// The changes from one version to another; `between` are those after the earlier up to the later, newest first.
fn list_between(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    from: &Version,
    to: &Version,
    between: &[Version],
) -> Result<Listed> {
    if from.number > to.number {
        let (mut list, values) = list_between(cache, dataset, to, from, between)?;
        list.changes.iter_mut().for_each(|change| std::mem::swap(&mut change.before, &mut change.after));
        return Ok((list, values));
    }
    if from.root_hash == to.root_hash && is_same_key(from.key.as_ref(), to.key.as_ref()) {
        return Ok(Listed::default());
    }
    match stored_list(cache, dataset, from, to, between)? {
        Some(listed) => Ok(listed),
        None => Ok((compared_list(cache, dataset, from, to)?, Vec::new())),
    }
}

/// The list that the lists of the versions add up to; `None` if one is missing, or rows moved into other files since.
fn stored_list(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    from: &Version,
    to: &Version,
    between: &[Version],
) -> Result<Option<Listed>> {
    let schema = crate::layer::schema_of(&from.fields)?;
    let (mut lists, mut values) = (Vec::with_capacity(between.len()), Vec::with_capacity(between.len()));
    for version in between.iter().rev() {
        let Some(changes) = version.changes.filter(|_| fits(version, &schema, from.key.as_ref())) else {
            return Ok(None);
        };
        let object = cache.open(&paths::changes(dataset, &changes.sha256), &changes.sha256)?;
        let (list, stored) = ChangeList::read(&object)?;
        lists.push(list);
        values.push(stored.map(StoredValues::open).transpose()?);
    }
    if lists.len() as u64 != to.number.0 - from.number.0 {
        return Ok(None);
    }
    let list = compose(&lists, from.key.is_some());
    let segments = |version: &Version| version.segments.iter().map(|segment| segment.parquet).collect::<HashSet<_>>();
    let (old, new) = (segments(from), segments(to));
    let lies_in = |place: Option<crate::rows::Place>, segments: &HashSet<Sha256>| {
        place.is_none_or(|place| segments.contains(&list.segments[place.segment as usize]))
    };
    let is_there = list.changes.iter().all(|change| lies_in(change.before, &old) && lies_in(change.after, &new));
    Ok(is_there.then_some((list, values)))
}

/// The list as the key files of both versions tell it.
fn compared_list(cache: &SegmentCache, dataset: &DatasetUuid, from: &Version, to: &Version) -> Result<ChangeList> {
    let hashes = |segments: &[SegmentRef]| segments.iter().map(|segment| segment.parquet).collect::<Vec<_>>();
    let (old, new) = (hashes(&from.segments), hashes(&to.segments));
    let mut gatherer = ChangeGatherer::new(&old, &new);
    let has_same_key = is_same_key(from.key.as_ref(), to.key.as_ref());
    let stream = |version: &Version| {
        if has_same_key {
            return RowStream::open(cache, dataset, &version.segments);
        }
        Ok(LiveRows::load(cache, dataset, &version.segments)?.into_whole_rows())
    };
    compare(Some(stream(from)?), stream(to)?, |_| Ok(()), |change| gatherer.add(change))?;
    Ok(gatherer.finish())
}
