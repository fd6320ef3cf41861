//! Key files: which rows a segment holds, sorted by key, so that comparing versions is merging two streams.
//!
//! A file is [`MAGIC`], the number of rows as `u64`, then a [`KeyRecord`] a row, sorted; numbers are big-endian.
//! Without a declared key, a row's key hash is its row hash.

use crate::objects::{Object, ObjectReader};
use arrow_schema::Schema;
use sha2::{Digest, Sha256 as Hasher};
use std::io::{BufWriter, Read, Write};
use ukimet_model::{Error, Result, Sha256};

const MAGIC: &[u8; 8] = b"UKMKEYS1";
const HEADER_BYTES: u64 = 16;
const RECORD_BYTES: usize = 36;
/// Records read at once.
const PAGE: usize = 1024;

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
    let mut reader = KeyReader::open(object)?;
    let mut records = Vec::with_capacity(reader.left as usize);
    while let Some(record) = reader.next()? {
        records.push(record);
    }
    Ok(records)
}

/// Reads a key file record by record.
pub(crate) struct KeyReader {
    reader: ObjectReader,
    left: u64,
    page: Vec<u8>,
    at: usize,
}

impl KeyReader {
    /// # Errors
    ///
    /// `Internal` if the object is not a key file.
    pub(crate) fn open(object: &Object) -> Result<Self> {
        let damaged = || Error::internal("a key file does not have the size that its header tells");
        let header = object.read(0, HEADER_BYTES as usize)?;
        let count = header.strip_prefix(MAGIC).and_then(|count| count.try_into().ok()).map(u64::from_be_bytes);
        let left = count.ok_or_else(damaged)?;
        let size_bytes = left.checked_mul(RECORD_BYTES as u64).and_then(|size| size.checked_add(HEADER_BYTES));
        if size_bytes != Some(object.size_bytes()) {
            return Err(damaged());
        }
        Ok(Self { reader: object.reader(HEADER_BYTES), left, page: Vec::new(), at: 0 })
    }

    pub(crate) fn next(&mut self) -> Result<Option<KeyRecord>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.at == self.page.len() {
            self.page.resize(PAGE.min(self.left as usize) * RECORD_BYTES, 0);
            self.at = 0;
            let read = self.reader.read_exact(&mut self.page);
            read.map_err(|e| Error::internal("reading a key file failed").caused_by(e))?;
        }
        let found = record(&self.page[self.at..self.at + RECORD_BYTES]);
        self.at += RECORD_BYTES;
        self.left -= 1;
        Ok(Some(found))
    }
}

fn record(bytes: &[u8]) -> KeyRecord {
    let number = |at: usize| u128::from_be_bytes(bytes[at..at + 16].try_into().expect("the slice has 16 bytes"));
    let position = u32::from_be_bytes(bytes[32..36].try_into().expect("the slice has 4 bytes"));
    KeyRecord { key: number(0), row: number(16), position }
}

/// The hash of a whole version: its schema's names and types, then key and row hash of every row, sorted.
///
/// Source names, roles and units describe the columns and are no part of it, as titles are none.
/// It does not depend on the order of the rows.
pub(crate) struct RootHasher {
    hasher: Hasher,
    page: Vec<u8>,
}

impl RootHasher {
    pub(crate) fn new(schema: &Schema) -> Self {
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
        Self { hasher, page: Vec::with_capacity(PAGE * 32) }
    }

    /// Takes the next row, in the order of keys and then row hashes.
    pub(crate) fn add(&mut self, key: u128, row: u128) {
        self.page.extend_from_slice(&key.to_be_bytes());
        self.page.extend_from_slice(&row.to_be_bytes());
        if self.page.len() == PAGE * 32 {
            self.hasher.update(&self.page);
            self.page.clear();
        }
    }

    pub(crate) fn finish(mut self) -> Sha256 {
        self.hasher.update(&self.page);
        Sha256(self.hasher.finalize().into())
    }
}
