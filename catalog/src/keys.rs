//! Key files: which rows a segment holds, sorted by key, so that comparing versions is merging two lists.
//!
//! A file is [`MAGIC`], the number of rows as `u64`, then a [`KeyRecord`] a row, sorted; numbers are big-endian.
//! Without a declared key, a row's key hash is its row hash.

use crate::objects::{Object, Objects};
use crate::paths;
use arrow_schema::Schema;
use sha2::{Digest, Sha256 as Hasher};
use std::cmp::Ordering;
use std::io::{BufWriter, Read, Write};
use ukimet_model::{DatasetUuid, Error, Result, SegmentRef, Sha256};

const MAGIC: &[u8; 8] = b"UKMKEYS1";
const HEADER_BYTES: u64 = 16;
const RECORD_BYTES: usize = 36;
/// Records read at once.
const PAGE: usize = 8192;

/// One row of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyRecord {
    pub(crate) key: u128,
    pub(crate) row: u128,
    /// The row's number in its segment.
    pub(crate) position: u32,
}

/// Sorts the records and writes them as a file.
pub(crate) fn write_keys(to: impl Write, mut records: Vec<KeyRecord>) -> std::io::Result<()> {
    records.sort_unstable();
    let mut to = BufWriter::new(to);
    to.write_all(MAGIC)?;
    to.write_all(&(records.len() as u64).to_be_bytes())?;
    for record in records {
        to.write_all(&record.key.to_be_bytes())?;
        to.write_all(&record.row.to_be_bytes())?;
        to.write_all(&record.position.to_be_bytes())?;
    }
    to.flush()
}

/// Reads a key file's records in their order.
///
/// # Errors
///
/// `Internal` if the file is not a key file.
pub(crate) fn read_keys(object: &Object) -> Result<Vec<KeyRecord>> {
    let damaged = || Error::internal("a key file does not have the size that its header tells");
    let header = object.read(0, HEADER_BYTES as usize)?;
    let count = header.strip_prefix(MAGIC).and_then(|count| count.try_into().ok()).map(u64::from_be_bytes);
    let count = count.ok_or_else(damaged)?;
    if count.checked_mul(RECORD_BYTES as u64).and_then(|size| size.checked_add(HEADER_BYTES))
        != Some(object.size_bytes())
    {
        return Err(damaged());
    }
    let mut reader = object.reader(HEADER_BYTES);
    let mut records = Vec::with_capacity(count as usize);
    let mut page = vec![0; PAGE * RECORD_BYTES];
    while (records.len() as u64) < count {
        let rows = PAGE.min(count as usize - records.len());
        let bytes = &mut page[..rows * RECORD_BYTES];
        reader.read_exact(bytes).map_err(|e| Error::internal("reading a key file failed").caused_by(e))?;
        records.extend(bytes.chunks_exact(RECORD_BYTES).map(record));
    }
    Ok(records)
}

fn record(bytes: &[u8]) -> KeyRecord {
    let number = |at: usize| u128::from_be_bytes(bytes[at..at + 16].try_into().expect("the slice has 16 bytes"));
    let position = u32::from_be_bytes(bytes[32..36].try_into().expect("the slice has 4 bytes"));
    KeyRecord { key: number(0), row: number(16), position }
}

/// The row hashes of a version, sorted; each file is checked against its hash.
pub(crate) fn rows_of(objects: &Objects, dataset: &DatasetUuid, segments: &[SegmentRef]) -> Result<Vec<u128>> {
    let mut rows = Vec::new();
    for segment in segments {
        let object = objects.open(&paths::keys(dataset, &segment.keys))?;
        object.check(&segment.keys)?;
        rows.extend(read_keys(&object)?.into_iter().map(|record| record.row));
    }
    rows.sort_unstable();
    Ok(rows)
}

/// How many rows only the second of two sorted lists has, and how many only the first.
pub(crate) fn added_and_removed(before: &[u128], after: &[u128]) -> (u64, u64) {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < before.len() && j < after.len() {
        match before[i].cmp(&after[j]) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
            }
        }
    }
    ((after.len() - common) as u64, (before.len() - common) as u64)
}

/// The hash of a whole version: its schema's names and types, then key and row hash of every row, sorted.
///
/// Source names, roles and units describe the columns and are no part of it, as titles are none.
/// It does not depend on the order of the rows. `rows` are sorted row hashes, which are the keys too.
pub(crate) fn root_hash(schema: &Schema, rows: &[u128]) -> Sha256 {
    let mut hasher = Hasher::new();
    let mut text = |text: &str| {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    };
    for field in schema.fields() {
        text(field.name());
        text(&field.data_type().to_string());
    }
    hasher.update(u64::MAX.to_be_bytes());
    for page in rows.chunks(PAGE) {
        let bytes: Vec<u8> = page.iter().flat_map(|row| [row.to_be_bytes(), row.to_be_bytes()]).flatten().collect();
        hasher.update(&bytes);
    }
    Sha256(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_as_multisets() {
        assert_eq!(added_and_removed(&[], &[1, 2]), (2, 0));
        assert_eq!(added_and_removed(&[1, 1, 2], &[1, 2, 3]), (1, 1));
        assert_eq!(added_and_removed(&[1, 2, 3], &[1, 2, 3]), (0, 0));
    }
}
