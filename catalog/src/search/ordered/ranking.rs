//! Rows by the bytes of what they are ordered by.

use std::ops::Range;

/// Where a row is; in the order in which rows are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which of the files that are read.
    pub(super) segment: u32,
    /// Which row of it.
    pub(super) row: u32,
}

/// Bytes of a place behind a key.
const PLACE_BYTES: usize = 8;

impl Place {
    fn to_bytes(self) -> [u8; PLACE_BYTES] {
        (u64::from(self.segment) << 32 | u64::from(self.row)).to_be_bytes()
    }

    fn of_bytes(bytes: [u8; PLACE_BYTES]) -> Self {
        let number = u64::from_be_bytes(bytes);
        Self { segment: (number >> 32) as u32, row: number as u32 }
    }
}

/// Rows by the bytes of what they are ordered by, where only so many of the first may be wanted.
pub(super) struct Ranking {
    /// Keys one after the other, each with its row's place at its end: no two are equal, and equal values come as stored.
    keys: Vec<u8>,
    /// Where in them each key is: its begin and how long it is.
    entries: Vec<(usize, u32)>,
    wanted: usize,
    /// The last key that is wanted of those seen so far, once more were seen than are wanted.
    last: Option<Box<[u8]>>,
}

impl Ranking {
    /// Of no rows yet.
    pub(super) fn new(wanted: u64) -> Self {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        Self { keys: Vec::new(), entries: Vec::new(), wanted, last: None }
    }

    /// Memory that it holds, bytes.
    pub(super) fn bytes(&self) -> u64 {
        (self.keys.len() + size_of_val(self.entries.as_slice())) as u64
    }

    /// Takes rows; none of the keys is the beginning of another.
    pub(super) fn add<'a>(&mut self, rows: impl Iterator<Item = (&'a [u8], Place)>) {
        for (key, place) in rows {
            let start = self.keys.len();
            let length = key.len() + PLACE_BYTES;
            grow(&mut self.keys, length);
            self.keys.extend_from_slice(key);
            self.keys.extend(place.to_bytes());
            if self.last.as_deref().is_some_and(|last| &self.keys[start..] > last) {
                self.keys.truncate(start);
                continue;
            }
            grow(&mut self.entries, 1);
            self.entries.push((start, length as u32));
        }
        if self.entries.len() / 2 > self.wanted {
            self.forget_unwanted();
        }
    }

    /// Lets go of rows that others come before, as many as are wanted.
    pub(super) fn forget_unwanted(&mut self) {
        if self.wanted == 0 || self.entries.len() <= self.wanted {
            return;
        }
        let keys = &self.keys;
        let (_, last, _) =
            self.entries.select_nth_unstable_by(self.wanted - 1, |a, b| keys[range(*a)].cmp(&keys[range(*b)]));
        self.last = Some(keys[range(*last)].into());
        self.entries.truncate(self.wanted);
        self.entries.sort_unstable();
        let mut end = 0;
        for entry in &mut self.entries {
            self.keys.copy_within(range(*entry), end);
            entry.0 = end;
            end += entry.1 as usize;
        }
        self.keys.truncate(end);
    }

    /// The places of the rows that are wanted, in their order.
    pub(super) fn finish(mut self) -> Vec<Place> {
        let keys = &self.keys;
        self.entries.sort_unstable_by(|a, b| keys[range(*a)].cmp(&keys[range(*b)]));
        self.entries.truncate(self.wanted);
        let place = |entry: &(usize, u32)| keys[range(*entry)].last_chunk().map(|bytes| Place::of_bytes(*bytes));
        self.entries.iter().filter_map(place).collect()
    }
}

fn range((start, length): (usize, u32)) -> Range<usize> {
    start..start + length as usize
}

/// Makes room for more, by a quarter at a time: twice as much would be more than what is counted.
fn grow<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more.max(items.len() / 4).max(1024));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a ranking of keys of one byte, in batches of three.
    fn ranked(keys: &[u8], wanted: u64) -> Vec<u32> {
        let mut ranking = Ranking::new(wanted);
        let rows: Vec<_> = keys.iter().zip(0..).map(|(key, row)| ([*key], Place { segment: 1, row })).collect();
        for batch in rows.chunks(3) {
            ranking.add(batch.iter().map(|(key, place)| (&key[..], *place)));
        }
        ranking.finish().into_iter().map(|place| place.row).collect()
    }

    #[test]
    fn the_first_of_many_are_those_of_all() {
        let keys: Vec<u8> = (0..200_u32).map(|i| (i * 37 % 50) as u8).collect();
        let mut rows: Vec<u32> = (0..200).collect();
        rows.sort_by_key(|row| keys[*row as usize]);
        for wanted in [0, 1, 2, 5, 49, 199, 200, 201, u64::MAX] {
            let expected = &rows[..rows.len().min(usize::try_from(wanted).unwrap_or(usize::MAX))];
            assert_eq!(ranked(&keys, wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn no_more_is_held_than_twice_what_is_wanted() {
        let mut ranking = Ranking::new(10);
        for row in 0..10_000 {
            let key = (u32::MAX - row).to_be_bytes();
            ranking.add(std::iter::once((&key[..], Place { segment: 0, row })));
            assert!(ranking.bytes() <= 22 * (4 + 8 + 16), "{} bytes", ranking.bytes());
        }
        assert_eq!(ranking.finish()[0], Place { segment: 0, row: 9_999 });
    }
}
