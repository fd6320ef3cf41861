//! What the pages of a Parquet file say that they unpack to, looked at before the decoder believes it.

use crate::columnar::guarded;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use std::fs::File;
use std::os::unix::fs::FileExt;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Bytes that are read at once to find a header; most headers are a fraction of it.
const WINDOW_BYTES: usize = 1 << 10;
/// Bytes that a header may have: statistics of long values stand in it.
const HEADER_BYTES_MAX: usize = 16 << 20;
/// Structures inside each other in a header; the standard has three.
const NESTING_MAX: u32 = 8;
/// What an item of a list takes when it is decoded although its page has no byte for it: level and offset.
const LIST_ITEM_BYTES: u64 = 8;

/// Checks that the pages which are unpacked at the same time have room: of each column of a row group the largest one and
/// the dictionary.
///
/// # Errors
///
/// `LimitReached` naming the limit and what was declared, `InvalidData` if a header is none or its sizes cannot be, or if
/// the pages are packed as nobody here reads.
pub(super) fn check(file: &File, metadata: &ParquetMetaData, pages_bytes_max: u64) -> Result<()> {
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    metadata.row_groups().iter().try_for_each(|group| check_group(file, size_bytes, group, pages_bytes_max))
}

fn check_group(file: &File, size_bytes: u64, group: &RowGroupMetaData, pages_bytes_max: u64) -> Result<()> {
    let mut needed_bytes = 0_u64;
    for column in group.columns() {
        let name = quoted(&column.column_path().string());
        if column.compression() == Compression::LZO {
            return Err(Error::invalid_data(format!("column {name} is packed with LZO, which is not read here")));
        }
        let (start, length) = guarded(super::FORMAT.name, || column.byte_range())?;
        let end = start.checked_add(length).filter(|end| *end <= size_bytes).ok_or_else(|| {
            Error::data_loss(format!("column {name} lies at {start} with {length} bytes, the file has {size_bytes}"))
        })?;
        let chunk = Chunk { file, column, start, end };
        needed_bytes =
            needed_bytes.saturating_add(chunk.needed_bytes().map_err(|error| error.context(format!("column {name}")))?);
        if needed_bytes > pages_bytes_max {
            return Err(Error::limit_reached(format!(
                "pages that are unpacked at the same time have at most {pages_bytes_max} bytes, those up to column {name} declare {needed_bytes}"
            )));
        }
    }
    Ok(())
}

/// The bytes of a column in a row group.
struct Chunk<'a> {
    file: &'a File,
    column: &'a ColumnChunkMetaData,
    start: u64,
    end: u64,
}

impl Chunk<'_> {
    /// What the largest page and the dictionary unpack to.
    fn needed_bytes(&self) -> Result<u64> {
        let has_lists = self.column.column_descr().max_rep_level() > 0;
        let (mut largest, mut dictionaries, mut values, mut at) = (0, 0_u64, 0_u64, self.start);
        let values_declared = u64::try_from(self.column.num_values()).unwrap_or(0);
        while at < self.end {
            let Some(page) = self.page(at)? else {
                // Behind the last value may be anything.
                if values > 0 && values >= values_declared {
                    break;
                }
                return Err(Error::invalid_data(format!("no page is at byte {at}, or its header is cut")));
            };
            if page.is_dictionary {
                dictionaries = dictionaries.saturating_add(page.unpacked_bytes);
            } else {
                let items = if has_lists { page.values.saturating_mul(LIST_ITEM_BYTES) } else { 0 };
                largest = largest.max(page.unpacked_bytes.saturating_add(items));
                values = values.saturating_add(page.values);
            }
            at = page.end;
        }
        Ok(dictionaries.saturating_add(largest))
    }

    /// The page that begins here; `None` if nothing here is a header.
    fn page(&self, at: u64) -> Result<Option<Page>> {
        let left = usize::try_from(self.end - at).unwrap_or(usize::MAX).min(HEADER_BYTES_MAX);
        let mut window = vec![0; left.min(WINDOW_BYTES)];
        loop {
            self.file.read_exact_at(&mut window, at).map_err(unreadable)?;
            let mut thrift = Thrift { bytes: &window, at: 0 };
            if let Some(header) = thrift.page_header() {
                let page = header.page(at + thrift.at as u64).filter(|page| page.end <= self.end);
                let unfit = || Error::invalid_data(format!("the page at byte {at} declares {header}"));
                return page.map(Some).ok_or_else(unfit);
            }
            if window.len() == left {
                return Ok(None);
            }
            window.resize(left.min(window.len() * 16), 0);
        }
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::unavailable("the asset could not be read").caused_by(error)
}

/// A page as its header has it.
struct Page {
    end: u64,
    unpacked_bytes: u64,
    values: u64,
    is_dictionary: bool,
}

/// The fields of a page header that say sizes, as they stand there.
#[derive(Debug, Default, PartialEq, Eq)]
struct PageHeader {
    kind: i64,
    unpacked_bytes: i64,
    packed_bytes: i64,
    values: i64,
}

/// The kind of a dictionary page.
const DICTIONARY_PAGE: i64 = 2;

impl PageHeader {
    /// The page behind a header that ends here; `None` if its sizes cannot be.
    fn page(&self, header_end: u64) -> Option<Page> {
        let size = |value: i64| i32::try_from(value).ok().and_then(|value| u64::try_from(value).ok());
        let is_dictionary = self.kind == DICTIONARY_PAGE;
        let end = header_end + size(self.packed_bytes)?;
        Some(Page { end, unpacked_bytes: size(self.unpacked_bytes)?, values: size(self.values)?, is_dictionary })
    }
}

impl std::fmt::Display for PageHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unpacked_bytes, packed_bytes, values, .. } = self;
        write!(f, "{packed_bytes} bytes that unpack to {unpacked_bytes} with {values} values")
    }
}

/// Thrift's compact protocol, as far as a page header needs it. Everything is `None` where the bytes end or are none.
struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Thrift<'_> {
    fn page_header(&mut self) -> Option<PageHeader> {
        const MISSING: i64 = i64::MIN;
        let mut header = PageHeader { unpacked_bytes: MISSING, packed_bytes: MISSING, ..PageHeader::default() };
        let mut id = 0;
        loop {
            let kind = self.field(&mut id)?;
            match (id, kind) {
                (_, STOP) => {
                    return Some(header).filter(|found| found.unpacked_bytes.min(found.packed_bytes) != MISSING);
                }
                (1, INTEGER_32) => header.kind = self.integer()?,
                (2, INTEGER_32) => header.unpacked_bytes = self.integer()?,
                (3, INTEGER_32) => header.packed_bytes = self.integer()?,
                // The headers of a data page, a dictionary and a data page of version 2 begin with the number of values.
                (5 | 7 | 8, STRUCTURE) => header.values = self.first_integer()?,
                _ => self.skip(kind, NESTING_MAX)?,
            }
        }
    }

    /// The integer in the first field of a structure, 0 if there is none.
    fn first_integer(&mut self) -> Option<i64> {
        let (mut id, mut value) = (0, 0);
        loop {
            match (self.field(&mut id)?, id) {
                (STOP, _) => return Some(value),
                (INTEGER_32, 1) => value = self.integer()?,
                (kind, _) => self.skip(kind, NESTING_MAX)?,
            }
        }
    }

    /// The type of the next field, and its id; [`STOP`] at the end of the structure.
    fn field(&mut self, id: &mut i64) -> Option<u8> {
        let byte = self.byte()?;
        if byte == STOP {
            return Some(STOP);
        }
        let step = i64::from(byte >> 4);
        *id = if step == 0 { self.integer()? } else { id.checked_add(step)? };
        Some(byte & 0x0f).filter(|kind| *kind != STOP)
    }

    fn skip(&mut self, kind: u8, nesting_max: u32) -> Option<()> {
        let nesting_max = nesting_max.checked_sub(1)?;
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.pass(1),
            INTEGER_16 | INTEGER_32 | INTEGER_64 => self.number().map(drop),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = self.number()?;
                self.pass(length)
            }
            LIST | SET => {
                let head = self.byte()?;
                let items = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                (0..items).try_for_each(|_| self.skip_item(head & 0x0f, nesting_max))
            }
            STRUCTURE => {
                let mut id = 0;
                loop {
                    match self.field(&mut id)? {
                        STOP => return Some(()),
                        kind => self.skip(kind, nesting_max)?,
                    }
                }
            }
            // No page header has a map.
            _ => None,
        }
    }

    /// In a list a truth value takes a byte; in a structure it stands in the field's type.
    fn skip_item(&mut self, kind: u8, nesting_max: u32) -> Option<()> {
        if matches!(kind, TRUE | FALSE) { self.pass(1) } else { self.skip(kind, nesting_max) }
    }

    fn integer(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(count).ok()?).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }
}

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const INTEGER_16: u8 = 4;
const INTEGER_32: u8 = 5;
const INTEGER_64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const STRUCTURE: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// The first data page of the seed: 9 bytes, packed to 11, of 2 values, with statistics.
    const HEADER: &[u8] = b"\x15\x00\x15\x12\x15\x16\x2c\x15\x04\x15\x10\x15\x06\x15\x06\x1c\x36\x02\x28\x02ab\x18\x02ab\x11\x11\x00\x00\x00";

    #[test]
    fn a_header_says_sizes_and_values_wherever_its_fields_stand() {
        let read = |bytes: &[u8]| Thrift { bytes, at: 0 }.page_header();
        let expected = PageHeader { kind: 0, unpacked_bytes: 9, packed_bytes: 11, values: 2 };
        assert_eq!(read(HEADER), Some(expected));
        for cut in 0..HEADER.len() {
            assert_eq!(read(&HEADER[..cut]), None, "cut at {cut}");
        }
        // A list of two truth values and a field with a long id before the sizes.
        let other = b"\x09\x14\x21\x01\x02\x05\x04\x12\x15\x16\x00";
        assert_eq!(read(other), Some(PageHeader { unpacked_bytes: 9, packed_bytes: 11, ..PageHeader::default() }));
        assert_eq!(read(b"\x15\x00\x15\x12\x00"), None, "no size");
        assert_eq!(read(&[0x1c; 64]), None, "structures without end");
    }

    #[test]
    fn sizes_that_cannot_be_are_no_page() {
        let sound = PageHeader { kind: 2, unpacked_bytes: 9, packed_bytes: 11, values: 2 };
        assert!(sound.page(5).is_some_and(|page| page.end == 16 && page.is_dictionary));
        for wrong in [-1, 1 << 31] {
            assert!(PageHeader { unpacked_bytes: wrong, ..PageHeader::default() }.page(0).is_none());
            assert!(PageHeader { packed_bytes: wrong, ..PageHeader::default() }.page(0).is_none());
            assert!(PageHeader { values: wrong, ..PageHeader::default() }.page(0).is_none());
        }
    }
}
