//! Change lists: which rows differ between two versions, sorted by key, without their values.
//!
//! A list is made by merging the key streams of two versions, and is stored with the later one. Lists of versions that
//! follow each other compose, so that a difference over a hundred versions reads what changed and nothing else.
//!
//! A file is [`MAGIC`], the number of segments as `u64`, their hashes, the number of records as `u64`, then the
//! records: key, segment and position before, segment and position after; a missing side has segment `u32::MAX`.
//! Numbers are big-endian.

use crate::objects::Object;
use crate::rows::{LiveRow, Place, RowStream};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use ukimet_model::{ChangeCounts, Error, Result, Sha256};

const MAGIC: &[u8; 8] = b"UKMCHNG1";
const RECORD_BYTES: usize = 32;
const NO_SEGMENT: u32 = u32::MAX;

/// One row that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: u128,
    /// Where it lay, `None` if it is new; segments are positions in [`ChangeList::segments`].
    pub(crate) before: Option<Place>,
    /// Where it lies, `None` if it is gone.
    pub(crate) after: Option<Place>,
}

/// The rows that differ, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeList {
    /// Hashes of the segments that hold the rows.
    pub(crate) segments: Vec<Sha256>,
    pub(crate) changes: Vec<Change>,
}

impl Change {
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
            each_change(Change { key: row.key, before: gone.map(|row| row.place), after: come.map(|row| row.place) });
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
    numbers: HashMap<Sha256, u32>,
    list: ChangeList,
    pub(crate) counts: ChangeCounts,
}

impl<'a> ChangeGatherer<'a> {
    /// `before` and `after` are the segments that the places of the changes count.
    pub(crate) fn new(before: &'a [Sha256], after: &'a [Sha256]) -> Self {
        Self { before, after, numbers: HashMap::new(), list: ChangeList::default(), counts: ChangeCounts::default() }
    }

    pub(crate) fn add(&mut self, change: Change) {
        change.count_in(&mut self.counts);
        let before = change.before.map(|place| self.renumbered(place, self.before));
        let after = change.after.map(|place| self.renumbered(place, self.after));
        self.list.changes.push(Change { key: change.key, before, after });
    }

    fn renumbered(&mut self, place: Place, segments: &[Sha256]) -> Place {
        let hash = segments[place.segment as usize];
        let segments = &mut self.list.segments;
        let number = *self.numbers.entry(hash).or_insert_with(|| {
            segments.push(hash);
            segments.len() as u32 - 1
        });
        Place { segment: number, position: place.position }
    }

    pub(crate) fn finish(self) -> ChangeList {
        self.list
    }
}

impl ChangeList {
    pub(crate) fn write(&self, to: impl Write) -> std::io::Result<()> {
        let mut to = BufWriter::new(to);
        to.write_all(MAGIC)?;
        to.write_all(&(self.segments.len() as u64).to_be_bytes())?;
        for segment in &self.segments {
            to.write_all(&segment.0)?;
        }
        to.write_all(&(self.changes.len() as u64).to_be_bytes())?;
        for change in &self.changes {
            to.write_all(&change.key.to_be_bytes())?;
            for place in [change.before, change.after] {
                let place = place.unwrap_or(Place { segment: NO_SEGMENT, position: 0 });
                to.write_all(&place.segment.to_be_bytes())?;
                to.write_all(&place.position.to_be_bytes())?;
            }
        }
        to.flush()
    }

    /// Reads a list whose bytes are known to be whole.
    ///
    /// # Errors
    ///
    /// `Internal` if it is no change list.
    pub(crate) fn read(object: &Object) -> Result<Self> {
        let bytes = object.read(0, object.size_bytes() as usize)?;
        Self::parse(&bytes).ok_or_else(|| Error::internal("a change list does not parse"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (segments_count, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
        let segments_bytes = usize::try_from(u64::from_be_bytes(*segments_count)).ok()?.checked_mul(32)?;
        let (segments, rest) = rest.split_at_checked(segments_bytes)?;
        let (count, records) = rest.split_first_chunk::<8>()?;
        let size_bytes = usize::try_from(u64::from_be_bytes(*count)).ok()?.checked_mul(RECORD_BYTES)?;
        if records.len() != size_bytes {
            return None;
        }
        let segments: Vec<Sha256> = segments.as_chunks().0.iter().map(|hash| Sha256(*hash)).collect();
        let place = |bytes: &[u8; 8]| -> Option<Option<Place>> {
            let [segment, position] =
                [&bytes[..4], &bytes[4..]].map(|half| half.iter().fold(0, |n, b| n << 8 | u32::from(*b)));
            match segment {
                NO_SEGMENT => Some(None),
                _ => ((segment as usize) < segments.len()).then_some(Some(Place { segment, position })),
            }
        };
        let changes = records.as_chunks::<RECORD_BYTES>().0.iter().map(|record| {
            let (key, places) = record.split_first_chunk::<16>()?;
            let [before, after] = places.as_chunks::<8>().0 else { return None };
            Some(Change { key: u128::from_be_bytes(*key), before: place(before)?, after: place(after)? })
        });
        let changes = changes.collect::<Option<Vec<_>>>()?;
        Some(Self { segments, changes })
    }
}

/// The list over several versions that follow each other, from the lists of each.
///
/// A row that came and went is in none of them. With a key, a row that changed there and back again stays in the list:
/// only its values tell.
pub(crate) fn compose(lists: &[ChangeList], is_keyed: bool) -> ChangeList {
    let mut composed = ChangeList::default();
    let mut numbers: HashMap<Sha256, u32> = HashMap::new();
    let mut changes: Vec<(u128, usize, Change)> = Vec::new();
    for (age, list) in lists.iter().enumerate() {
        let renumber: Vec<u32> = list
            .segments
            .iter()
            .map(|hash| {
                *numbers.entry(*hash).or_insert_with(|| {
                    composed.segments.push(*hash);
                    composed.segments.len() as u32 - 1
                })
            })
            .collect();
        let place = |place: Place| Place { segment: renumber[place.segment as usize], position: place.position };
        changes.extend(list.changes.iter().map(|change| {
            let change = Change { before: change.before.map(place), after: change.after.map(place), ..*change };
            (change.key, age, change)
        }));
    }
    // Lists are sorted and follow each other, so the sort merges runs.
    changes.sort_by_key(|(key, age, _)| (*key, *age));
    for of_key in changes.chunk_by(|a, b| a.0 == b.0) {
        if is_keyed {
            let (before, after) = (of_key[0].2.before, of_key[of_key.len() - 1].2.after);
            if before.is_some() || after.is_some() {
                composed.changes.push(Change { key: of_key[0].0, before, after });
            }
        } else {
            composed.changes.extend(net(of_key));
        }
    }
    composed
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
