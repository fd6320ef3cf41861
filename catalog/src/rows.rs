//! The rows of a version by their keys: as a stream in order, or all at hand.

use crate::keys::KeyReader;
use crate::paths;
use crate::segments::SegmentCache;
use roaring::RoaringBitmap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::sync::Arc;
use ukimet_model::{DatasetUuid, Result, SegmentRef};

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Position of the segment in a list that goes with it.
    pub(crate) segment: u32,
    /// The row's number in the segment.
    pub(crate) position: u32,
}

/// A row that a version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LiveRow {
    pub(crate) key: u128,
    pub(crate) row: u128,
    pub(crate) place: Place,
}

/// One segment's rows in order, without the deleted ones.
pub(crate) struct SegmentStream {
    segment: u32,
    reader: KeyReader,
    deletes: Option<Arc<RoaringBitmap>>,
}

impl SegmentStream {
    fn next(&mut self) -> Result<Option<LiveRow>> {
        while let Some(record) = self.reader.next()? {
            if self.deletes.as_ref().is_none_or(|deletes| !deletes.contains(record.position)) {
                let place = Place { segment: self.segment, position: record.position };
                return Ok(Some(LiveRow { key: record.key, row: record.row, place }));
            }
        }
        Ok(None)
    }
}

/// The rows of a version in the order of their keys.
pub(crate) enum RowStream {
    /// From the key files of its segments.
    Merged {
        segments: Vec<SegmentStream>,
        /// The next row of each segment that has one.
        heads: BinaryHeap<Reverse<LiveRow>>,
    },
    /// From memory.
    Sorted(std::vec::IntoIter<LiveRow>),
}

impl RowStream {
    /// Opens the key files, each checked against its hash.
    pub(crate) fn open(cache: &SegmentCache, dataset: &DatasetUuid, segments: &[SegmentRef]) -> Result<Self> {
        let mut streams = Vec::with_capacity(segments.len());
        let mut heads = BinaryHeap::with_capacity(segments.len());
        for (segment, number) in segments.iter().zip(0..) {
            let object = cache.open(&paths::keys(dataset, &segment.keys), &segment.keys)?;
            let deletes = cache.deletes(dataset, segment)?;
            let mut stream = SegmentStream { segment: number, reader: KeyReader::open(&object)?, deletes };
            heads.extend(stream.next()?.map(Reverse));
            streams.push(stream);
        }
        Ok(Self::Merged { segments: streams, heads })
    }

    pub(crate) fn next(&mut self) -> Result<Option<LiveRow>> {
        let (segments, heads) = match self {
            Self::Sorted(rows) => return Ok(rows.next()),
            Self::Merged { segments, heads } => (segments, heads),
        };
        let Some(mut head) = heads.peek_mut() else { return Ok(None) };
        let row = head.0;
        match segments[row.place.segment as usize].next()? {
            Some(next) => head.0 = next,
            None => drop(PeekMut::pop(head)),
        }
        Ok(Some(row))
    }
}

/// All rows of a version in memory, 48 bytes each, to be found by key.
pub(crate) struct LiveRows {
    rows: Vec<LiveRow>,
    /// Where the rows begin whose key begins with a number; one more entry than there are numbers.
    buckets: Vec<u32>,
    /// Bits of a key that the buckets leave out.
    shift: u32,
}

/// Rows in one bucket, on average.
const BUCKET_ROWS: usize = 4;

impl LiveRows {
    pub(crate) fn load(cache: &SegmentCache, dataset: &DatasetUuid, segments: &[SegmentRef]) -> Result<Self> {
        let mut stream = RowStream::open(cache, dataset, segments)?;
        let mut rows = Vec::with_capacity(segments.iter().map(|segment| segment.live_rows() as usize).sum());
        while let Some(row) = stream.next()? {
            rows.push(row);
        }
        Ok(Self::of_sorted(rows))
    }

    fn of_sorted(rows: Vec<LiveRow>) -> Self {
        let bits = (rows.len() / BUCKET_ROWS).max(1).ilog2();
        let shift = u128::BITS - bits;
        let mut buckets = Vec::with_capacity((1 << bits) + 1);
        for (i, row) in (0..).zip(&rows) {
            let bucket = bucket(row.key, shift);
            while buckets.len() <= bucket {
                buckets.push(i);
            }
        }
        buckets.resize((1 << bits) + 1, rows.len() as u32);
        Self { rows, buckets, shift }
    }

    /// The rows in the order of their row hashes, which are their keys then.
    pub(crate) fn into_whole_rows(self) -> RowStream {
        let mut rows: Vec<LiveRow> = self.rows.into_iter().map(|row| LiveRow { key: row.row, ..row }).collect();
        rows.sort_unstable();
        RowStream::Sorted(rows.into_iter())
    }

    pub(crate) fn rows(&self) -> &[LiveRow] {
        &self.rows
    }

    /// The rows with a key, as positions among [`LiveRows::rows`].
    pub(crate) fn find(&self, key: u128) -> Range<usize> {
        let bucket = bucket(key, self.shift);
        let mut from = self.buckets[bucket] as usize;
        let end = self.buckets[bucket + 1] as usize;
        while from < end && self.rows[from].key < key {
            from += 1;
        }
        let mut to = from;
        while to < end && self.rows[to].key == key {
            to += 1;
        }
        from..to
    }
}

fn bucket(key: u128, shift: u32) -> usize {
    key.checked_shr(shift).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_is_found_by_its_key_and_no_other(keys in proptest::collection::vec(any::<u128>(), 0..100), repeats in 1..3_usize) {
            let mut rows: Vec<LiveRow> = (0..repeats as u32)
                .flat_map(|segment| keys.iter().zip(0..).map(move |(key, position)| LiveRow { key: *key, row: *key, place: Place { segment, position } }))
                .collect();
            rows.sort_unstable();
            let live = LiveRows::of_sorted(rows);
            for key in &keys {
                let found = live.find(*key);
                prop_assert_eq!(found.len(), keys.iter().filter(|other| *other == key).count() * repeats);
                prop_assert!(found.into_iter().all(|i| live.rows()[i].key == *key));
            }
            for absent in [0, 1, u128::MAX, 1 << 127] {
                prop_assert!(keys.contains(&absent) || live.find(absent).is_empty());
            }
        }
    }
}
