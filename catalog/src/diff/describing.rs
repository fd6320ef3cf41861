//! What a list of changes tells beyond which rows differ: in which columns, and what was there before.

use super::reading::{Files, Rows, Side, failed};
use super::rows_at_once;
use super::values::differs;
use crate::changes::{Change, ChangeList, ColumnSets, ValuesWriter};
use crate::options::DescribedChanges;
use crate::rows::Place;
use crate::segments::SegmentCache;
use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use std::panic::resume_unwind;
use std::thread;
use ukimet_model::{ChangeCounts, DatasetUuid, Result, SegmentRef};

/// Rows of the pages that are read for each row that is wanted, from which on the wanted ones are strewn.
const STREWN_ROWS_MIN: u64 = 16;

impl DescribedChanges {
    /// Whether the columns are noted that differ; `rows` has the version before.
    pub(crate) fn describes(&self, counts: ChangeCounts, rows: u64) -> bool {
        let had_row = counts.changed + counts.removed;
        had_row > 0 && had_row.saturating_mul(100) <= rows.saturating_mul(self.percent_max)
    }

    /// Whether the rows of a sorted list lie so far from each other that their values are stored.
    pub(crate) fn is_strewn(&self, list: &ChangeList, page_rows: usize) -> bool {
        let page_rows = u32::try_from(page_rows).unwrap_or(u32::MAX).max(1);
        let places: Vec<Place> = list.changes.iter().filter_map(|change| change.before).collect();
        let page = |place: &Place| (place.segment, place.position / page_rows);
        let pages = places.chunk_by(|a, b| page(a) == page(b)).count() as u64;
        pages >= self.pages_min && pages * u64::from(page_rows) >= places.len() as u64 * STREWN_ROWS_MIN
    }
}

/// The rows of two versions with the same columns.
pub(crate) struct Describing<'a> {
    pub(crate) cache: &'a SegmentCache,
    pub(crate) dataset: &'a DatasetUuid,
    pub(crate) schema: &'a SchemaRef,
    pub(crate) before: &'a [SegmentRef],
    pub(crate) after: &'a [SegmentRef],
}

/// Notes for each row of a sorted list that changed which columns differ, and stores its values before that do, and those
/// of the rows that are gone, if `values` are given.
pub(crate) fn describe(
    versions: &Describing<'_>,
    list: &mut ChangeList,
    mut values: Option<ValuesWriter<'_>>,
) -> Result<()> {
    let Describing { cache, dataset, schema, before, after } = *versions;
    let files = Files { cache, dataset, segments: &list.segments };
    let (old_side, new_side) = (Side::whole(schema, before), Side::whole(schema, after));
    let (mut sets, mut stored, has_values) = (ColumnSets::default(), 0, values.is_some());
    let had_row = list.changes.partition_point(|change| change.before.is_some());
    for changes in list.changes[..had_row].chunks_mut(rows_at_once(before.iter().chain(after))) {
        let wanted = changes.iter_mut().filter(|change| has_values || change.after.is_some());
        let mut wanted: Vec<&mut Change> = wanted.collect();
        let places: Vec<_> = wanted.iter().map(|change| (change.before, change.after)).collect();
        let (old, new) = rows(&files, (&old_side, &new_side), &places)?;
        let differing = old.columns.iter().zip(&new.columns).map(|(old, new)| differs(old, new));
        let differing = differing.collect::<Result<Vec<_>>>()?;
        for (i, change) in wanted.iter_mut().enumerate() {
            let set: Vec<u32> = (0..).zip(&differing).filter(|(_, d)| d.value(i)).map(|(c, _)| c).collect();
            change.columns = change.after.map(|_| sets.number(&set));
            change.values = has_values.then_some(Place { segment: 0, position: stored + i as u32 });
        }
        stored += wanted.len() as u32;
        if let Some(values) = &mut values {
            values.write(differing_values(&old, &new, &differing)?)?;
        }
    }
    list.column_sets = sets.into_sets();
    values.map_or(Ok(()), ValuesWriter::finish)
}

/// Where a row lay before, and where it lies.
pub(super) type Places = (Option<Place>, Option<Place>);

/// Both sides of some changes, read at the same time.
pub(super) fn rows(files: &Files<'_>, (old, new): (&Side, &Side), places: &[Places]) -> Result<(Rows, Rows)> {
    let (before, after): (Vec<_>, Vec<_>) = places.iter().copied().unzip();
    let (old, new) = thread::scope(|scope| {
        let new = scope.spawn(|| new.rows(files, &after));
        (old.rows(files, &before), new.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    Ok((old?, new?))
}

/// The values before that differ, and all of rows that are gone; null where they do not.
pub(super) fn differing_values(old: &Rows, new: &Rows, differing: &[BooleanArray]) -> Result<Vec<ArrayRef>> {
    let columns = old.columns.iter().zip(differing).map(|(column, differs)| {
        let is_wanted = |i: &u32| !new.are_there.value(*i as usize) || differs.value(*i as usize);
        let picks: UInt32Array = (0..column.len() as u32).map(|i| Some(i).filter(is_wanted)).collect();
        take(column, &picks, None).map_err(failed)
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(changed: u64, removed: u64) -> ChangeCounts {
        ChangeCounts { added: 1000, changed, removed }
    }

    #[test]
    fn changes_are_described_up_to_a_share_of_the_rows() {
        let limits = DescribedChanges { percent_max: 10, pages_min: 1 };
        assert!(limits.describes(counts(60, 40), 1000));
        assert!(!limits.describes(counts(61, 40), 1000));
        assert!(!limits.describes(counts(0, 0), 1000), "there is nothing to describe");
        assert!(!DescribedChanges { percent_max: 0, ..limits }.describes(counts(1, 0), 1000));
    }

    #[test]
    fn rows_are_strewn_that_lie_in_many_pages_and_far_from_each_other() {
        let limits = DescribedChanges { percent_max: 100, pages_min: 4 };
        let list = |positions: &[u32]| ChangeList {
            changes: positions
                .iter()
                .map(|position| Change::new(1, Some(Place { segment: 0, position: *position }), None))
                .collect(),
            ..ChangeList::default()
        };
        assert!(limits.is_strewn(&list(&[0, 20, 40, 60]), 20));
        assert!(!limits.is_strewn(&list(&[0, 20, 40, 59]), 20), "three pages");
        assert!(!limits.is_strewn(&list(&[0, 1, 20, 21, 40, 60]), 20), "80 rows of pages for six");
    }
}
