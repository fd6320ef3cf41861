//! Whether a stored list of changes tells what the rows of both versions do.

use super::describing::{differing_values, rows};
use super::earlier::StoredValues;
use super::reading::{Files, Rows, Side, failed, gather};
use super::values::differs;
use super::{compared_list, rows_at_once};
use crate::changes::{Change, ChangeList};
use crate::layer::schema_of;
use crate::objects::Object;
use crate::segments::SegmentCache;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow_select::take::take;
use ukimet_model::{Dataset, Error, Result, Version};

/// Compares a list of changes, and the values that are stored with it, with the rows of the two versions that it is between.
/// Both have the same columns and the same key.
///
/// # Errors
///
/// `Internal` saying what was expected and what was found, or that a file cannot be read.
pub(crate) fn check_list(
    cache: &SegmentCache,
    dataset: &Dataset,
    (before, after): (&Version, &Version),
    (list, values): (ChangeList, Option<Object>),
) -> Result<()> {
    let schema = schema_of(&before.fields)?;
    let values = values.map(StoredValues::open).transpose()?;
    let stored = list.changes.iter().filter(|change| change.values.is_some()).count() as u64;
    let rows_of_values = values.as_ref().map_or(0, StoredValues::rows);
    if rows_of_values != stored {
        return Err(Error::internal(format!("expected values before of {stored} rows, found {rows_of_values}")));
    }
    let (segments, changes) = placed(compared_list(cache, &dataset.uuid, before, after)?, &list.changes)?;
    let check = Check {
        files: Files { cache, dataset: &dataset.uuid, segments: &segments },
        before: Side::whole(&schema, &before.segments),
        after: Side::whole(&schema, &after.segments),
        list: &list,
        values: values.as_ref(),
    };
    let told: Vec<Change> =
        changes.into_iter().filter(|change| change.columns.or(values_at(change)).is_some()).collect();
    let at_once = rows_at_once(before.segments.iter().chain(&after.segments));
    told.chunks(at_once).try_for_each(|changes| check.rows(changes))
}

fn values_at(change: &Change) -> Option<u32> {
    change.values.map(|place| place.position)
}

/// The changes of a list with the places where their rows lie now, and the segments that these count.
fn placed(mut found: ChangeList, stored: &[Change]) -> Result<(Vec<ukimet_model::Sha256>, Vec<Change>)> {
    let kind = |change: &Change| (change.key, change.before.is_some(), change.after.is_some());
    let mut order: Vec<usize> = (0..stored.len()).collect();
    order.sort_by_key(|i| kind(&stored[*i]));
    found.changes.sort_by_key(kind);
    let (told, differ) = (stored.len(), found.changes.len());
    if told != differ {
        return Err(Error::internal(format!("the list tells of {told} rows that differ, {differ} do")));
    }
    let mut changes = stored.to_vec();
    for (i, now) in order.into_iter().zip(&found.changes) {
        if kind(&stored[i]) != kind(now) {
            return Err(Error::internal("the list tells of a row that does not differ so"));
        }
        (changes[i].before, changes[i].after) = (now.before, now.after);
    }
    Ok((found.segments, changes))
}

/// What a list is compared with.
struct Check<'a> {
    files: Files<'a>,
    before: Side,
    after: Side,
    list: &'a ChangeList,
    values: Option<&'a StoredValues>,
}

impl Check<'_> {
    fn rows(&self, changes: &[Change]) -> Result<()> {
        let places: Vec<_> = changes.iter().map(|change| (change.before, change.after)).collect();
        let (old, new) = rows(&self.files, (&self.before, &self.after), &places)?;
        let differing = old.columns.iter().zip(&new.columns).map(|(old, new)| differs(old, new));
        let differing = differing.collect::<Result<Vec<BooleanArray>>>()?;
        for (i, change) in changes.iter().enumerate() {
            let Some(set) = change.columns else { continue };
            let differ = (0..).zip(&differing).filter(|(_, differ)| differ.value(i)).map(|(column, _)| column);
            if !differ.eq(self.list.column_sets[set as usize].iter().copied()) {
                return Err(Error::internal("the list tells of other columns than differ"));
            }
        }
        self.values(changes, &old, &differing_values(&old, &new, &differing)?)
    }

    /// Compares the values that are stored of some changes with those that the rows have.
    fn values(&self, changes: &[Change], old: &Rows, expected: &[ArrayRef]) -> Result<()> {
        let places: Vec<_> = changes.iter().map(|change| change.values).collect();
        let columns: Vec<usize> = (0..old.columns.len()).collect();
        let found = gather(&places, columns.len(), |_, rows| {
            let missing = || Error::internal("a change has values in a list that has none");
            self.values.ok_or_else(missing)?.read(&self.before.all, &columns, rows)
        })?;
        let Some(found) = found else { return Ok(()) };
        let (stored, of_change): (Vec<u32>, Vec<u32>) =
            found.picks.iter().zip(0..).filter_map(|(pick, i)| pick.map(|pick| (pick, i))).unzip();
        let (stored, of_change) = (UInt32Array::from(stored), UInt32Array::from(of_change));
        for (column, (expected, found)) in expected.iter().zip(&found.columns).enumerate() {
            let expected = take(expected, &of_change, None).map_err(failed)?;
            let found = take(found, &stored, None).map_err(failed)?;
            let wrong = differs(&expected, &found)?.true_count();
            if wrong > 0 {
                let name = self.before.all.field(column).name();
                let rows = expected.len();
                return Err(Error::internal(format!(
                    "of the {rows} values before that are stored of column {name}, {wrong} are not those of the version before"
                )));
            }
        }
        Ok(())
    }
}
