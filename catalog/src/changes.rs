//! Change lists: which rows differ between two versions, sorted by key, without their values.
//!
//! A list is made by merging the key streams of two versions, and is stored with the later one. Lists of versions that
//! follow each other compose, so that a difference over a hundred versions reads what changed and nothing else.
//!
//! A list may also say which columns of each changed row differ, so that no others are read of the earlier version, and
//! hold the values that differ as they were before, so that none is read there at all.

mod file;

use crate::rows::{LiveRow, Place, RowStream};
pub(crate) use file::{ListWriter, ValuesWriter};
use std::cmp::Ordering;
use std::collections::HashMap;
use ukimet_model::{ChangeCounts, Result, Sha256};

/// Positions of columns in the schema of both versions, sorted.
pub(crate) type ColumnSet = Vec<u32>;

/// One row that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: u128,
    /// Where it lay, `None` if it is new; segments are positions in [`ChangeList::segments`].
    pub(crate) before: Option<Place>,
    /// Where it lies, `None` if it is gone.
    pub(crate) after: Option<Place>,
    /// Which columns differ, as a position in [`ChangeList::column_sets`]; `None` if nobody looked, or a side is missing.
    pub(crate) columns: Option<u32>,
    /// Where the values before lie that differ, or all of them if it is gone: a row of those stored with a list, which
    /// takes the place of the segment. `None` if they are not stored.
    pub(crate) values: Option<Place>,
}

/// The rows that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeList {
    /// Hashes of the segments that hold the rows.
    pub(crate) segments: Vec<Sha256>,
    /// Sets of columns that differ, each once.
    pub(crate) column_sets: Vec<ColumnSet>,
    pub(crate) changes: Vec<Change>,
}

impl Change {
    /// A row of which no more is known than where it lies.
    pub(crate) fn new(key: u128, before: Option<Place>, after: Option<Place>) -> Self {
        Self { key, before, after, columns: None, values: None }
    }

    /// Counts it as what it is.
    pub(crate) fn count_in(&self, counts: &mut ChangeCounts) {
        match (self.before, self.after) {
            (Some(_), Some(_)) => counts.changed += 1,
            (None, _) => counts.added += 1,
            (_, None) => counts.removed += 1,
        }
    }
}

/// Walks two versions at once. `after` sees every row of the second one, `change` every row that differs; a change's
/// segments are still those of the streams.
///
/// Without a key, equal rows may repeat, and only their numbers count.
pub(crate) fn compare(
    before: Option<RowStream>,
    mut after: RowStream,
    mut each_after: impl FnMut(&LiveRow) -> Result<()>,
    mut each_change: impl FnMut(Change),
) -> Result<()> {
    let mut before = before;
    let mut pull = || before.as_mut().map_or(Ok(None), RowStream::next);
    let (mut old, mut new) = (pull()?, after.next()?);
    loop {
        let order = match (old, new) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.key.cmp(&new.key),
        };
        let (gone, come) = (old.filter(|_| order.is_le()), new.filter(|_| order.is_ge()));
        if let Some(row) = &come {
            each_after(row)?;
        }
        let is_same = gone.zip(come).is_some_and(|(gone, come)| gone.row == come.row);
        if let Some(row) = gone.or(come).filter(|_| !is_same) {
            each_change(Change::new(row.key, gone.map(|row| row.place), come.map(|row| row.place)));
        }
        if gone.is_some() {
            old = pull()?;
        }
        if come.is_some() {
            new = after.next()?;
        }
    }
}

/// Gathers changes between two lists of segments.
pub(crate) struct ChangeGatherer<'a> {
    before: &'a [Sha256],
    after: &'a [Sha256],
    segments: Numbers,
    changes: Vec<Change>,
    pub(crate) counts: ChangeCounts,
}

impl<'a> ChangeGatherer<'a> {
    /// `before` and `after` are the segments that the places of the changes count.
    pub(crate) fn new(before: &'a [Sha256], after: &'a [Sha256]) -> Self {
        Self { before, after, segments: Numbers::default(), changes: Vec::new(), counts: ChangeCounts::default() }
    }

    pub(crate) fn add(&mut self, change: Change) {
        change.count_in(&mut self.counts);
        let mut renumbered = |place: Place, hashes: &[Sha256]| Place {
            segment: self.segments.number(hashes[place.segment as usize]),
            ..place
        };
        let before = change.before.map(|place| renumbered(place, self.before));
        let after = change.after.map(|place| renumbered(place, self.after));
        self.changes.push(Change::new(change.key, before, after));
    }

    pub(crate) fn finish(self) -> ChangeList {
        ChangeList { segments: self.segments.hashes, column_sets: Vec::new(), changes: self.changes }
    }
}

/// Sets of columns, each with its number.
#[derive(Default)]
pub(crate) struct ColumnSets {
    numbers: HashMap<ColumnSet, u32>,
    sets: Vec<ColumnSet>,
}

impl ColumnSets {
    /// The number of a set, the same whenever it comes.
    pub(crate) fn number(&mut self, set: &[u32]) -> u32 {
        if let Some(number) = self.numbers.get(set) {
            return *number;
        }
        let number = self.sets.len() as u32;
        self.sets.push(set.to_vec());
        self.numbers.insert(set.to_vec(), number);
        number
    }

    /// The set of all columns that are in some of these.
    fn union(&mut self, sets: impl Iterator<Item = u32>) -> u32 {
        let mut sets = sets.fuse();
        let Some(first) = sets.next() else { return self.number(&[]) };
        let mut all: Option<ColumnSet> = None;
        for set in sets.filter(|set| *set != first) {
            all.get_or_insert_with(|| self.sets[first as usize].clone()).extend(&self.sets[set as usize]);
        }
        let Some(mut all) = all else { return first };
        all.sort_unstable();
        all.dedup();
        self.number(&all)
    }

    pub(crate) fn into_sets(self) -> Vec<ColumnSet> {
        self.sets
    }
}

/// The list over several versions that follow each other, from the lists of each. The values before that a list is
/// stored with have its number.
///
/// A row that came and went is in none of them. With a key, a row that changed there and back again stays in the list:
/// only its values tell.
pub(crate) fn compose(lists: &[ChangeList], is_keyed: bool) -> ChangeList {
    let (mut segments, mut sets) = (Numbers::default(), ColumnSets::default());
    let mut changes: Vec<(u128, usize, Change)> = Vec::new();
    for (age, list) in lists.iter().enumerate() {
        let segments: Vec<u32> = list.segments.iter().map(|hash| segments.number(*hash)).collect();
        let sets: Vec<u32> = list.column_sets.iter().map(|set| sets.number(set)).collect();
        let place = |place: Place| Place { segment: segments[place.segment as usize], ..place };
        changes.extend(list.changes.iter().map(|change| {
            let change = Change {
                key: change.key,
                before: change.before.map(place),
                after: change.after.map(place),
                columns: change.columns.map(|set| sets[set as usize]),
                values: change.values.map(|place| Place { segment: age as u32, ..place }),
            };
            (change.key, age, change)
        }));
    }
    // Lists follow each other, so the sort merges runs.
    changes.sort_by_key(|(key, age, _)| (*key, *age));
    let mut composed = Vec::with_capacity(changes.len());
    for of_key in changes.chunk_by(|a, b| a.0 == b.0) {
        if is_keyed {
            composed.extend(from_first_to_last(of_key, &mut sets));
        } else {
            composed.extend(net(of_key));
        }
    }
    ChangeList { segments: segments.hashes, column_sets: sets.into_sets(), changes: composed }
}

/// Hashes of segments, each with its number.
#[derive(Default)]
struct Numbers {
    numbers: HashMap<Sha256, u32>,
    hashes: Vec<Sha256>,
}

impl Numbers {
    fn number(&mut self, hash: Sha256) -> u32 {
        *self.numbers.entry(hash).or_insert_with(|| {
            self.hashes.push(hash);
            self.hashes.len() as u32 - 1
        })
    }
}

/// What became of the one row that has a key; `None` if it came and went.
fn from_first_to_last(of_key: &[(u128, usize, Change)], sets: &mut ColumnSets) -> Option<Change> {
    let [(key, _, first), later @ ..] = of_key else { return None };
    let after = later.last().map_or(first.after, |(_, _, last)| last.after);
    if first.before.is_none() && after.is_none() {
        return None;
    }
    let known: Option<Vec<u32>> = of_key.iter().map(|(_, _, change)| change.columns).collect();
    let columns = known.map(|known| sets.union(known.into_iter()));
    // What the first list holds of the row is enough if it is all of it, or nothing else changed later.
    let is_enough = first.after.is_none() || (columns.is_some() && columns == first.columns);
    Some(Change { key: *key, before: first.before, after, columns, values: first.values.filter(|_| is_enough) })
}

/// What is left of the coming and going of equal rows.
fn net(of_key: &[(u128, usize, Change)]) -> Vec<Change> {
    let mut left: Vec<Change> = Vec::new();
    for (_, _, change) in of_key {
        let undone = left.iter().rposition(|other| other.before.is_some() != change.before.is_some());
        match undone {
            Some(undone) => drop(left.remove(undone)),
            None => left.push(*change),
        }
    }
    left
}

#[cfg(test)]
mod tests;
