//! The schema of an `SQLite` file, looked at before anything opens it.
//!
//! Views, triggers, computed columns and virtual tables can call functions that reach other files or addresses. Such a
//! function has to stand in the schema by its name, which is looked for in the text of every entry, whatever surrounds it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use ukimet_model::{Error, Result};

/// Functions and modules that reach beyond the file, in lower case: of GDAL, of `SQLite` and its shell, of `SpatiaLite`,
/// whose check of an XML schema fetches it, whose procedures run any SQL, and whose virtual tables are other files.
const REACHING: &[&str] = &[
    "ogr_geocode",
    "ogr_datasource_load_layers",
    "ogr_getconfigoption",
    "ogr_setconfigoption",
    "gdal_get_",
    "load_extension",
    "fts3_tokenizer",
    "readfile",
    "writefile",
    "blobfromfile",
    "blobtofile",
    "xb_create",
    "xb_schemavalidate",
    "xb_loadxml",
    "sqlproc_",
    "storedproc_",
    "zipfile_",
    "proj_setdatabasepath",
    "virtualogr",
    "virtualtext",
    "virtualshape",
    "virtualdbf",
    "virtualxl",
    "virtualgeojson",
    "virtualxpath",
    "virtualpg",
];
/// Pages of a schema, those included where long texts go on.
const PAGES_MAX: usize = 20_000;
const HEADER_BYTES: usize = 100;
/// Types of pages of the tree that holds the schema.
const INNER: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// Refuses a schema in which a name of what reaches beyond the file stands, or one of further words (lower case), in any
/// case of letters.
///
/// # Errors
///
/// `InvalidData` naming the word, `LimitReached` for a schema beyond any use, `DataLoss` for a broken one.
pub(super) fn check_schema(path: &Path, format: &str, further: &[&str]) -> Result<()> {
    let mut pages = Pages::open(path)?;
    let mut waiting = vec![1_u32];
    while let Some(number) = waiting.pop() {
        let page = pages.read(number)?;
        let node = if number == 1 { HEADER_BYTES } else { 0 };
        let tree = Node::read(&page, node).ok_or_else(broken)?;
        waiting.extend(&tree.children);
        for at in tree.entries {
            check_text(&pages.entry(&page, at)?, format, further)?;
        }
    }
    Ok(())
}

fn broken() -> Error {
    Error::data_loss("the schema of the SQLite file is cut or broken")
}

/// Looks for the words. Texts may be in UTF-16, whose letters of ASCII have a zero byte each.
fn check_text(entry: &[u8], format: &str, further: &[&str]) -> Result<()> {
    let text: Vec<u8> = entry.iter().filter(|byte| **byte != 0).map(u8::to_ascii_lowercase).collect();
    match REACHING.iter().chain(further).find(|word| memchr::memmem::find(&text, word.as_bytes()).is_some()) {
        Some(word) => Err(Error::invalid_data(format!(
            "{format} holds plain tables and views, found {word:?} in its schema, which can reach other files or addresses"
        ))),
        None => Ok(()),
    }
}

/// The pages of a file, counted as they are read.
struct Pages {
    file: File,
    page_bytes: usize,
    /// Bytes of a page without those that are reserved at its end.
    usable_bytes: usize,
    read: usize,
}

impl Pages {
    fn open(path: &Path) -> Result<Self> {
        let mut file =
            File::open(path).map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(|_| broken())?;
        let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            bytes if bytes >= 512 => usize::from(bytes),
            _ => return Err(broken()),
        };
        let usable_bytes = page_bytes - usize::from(header[20]);
        // The least that the format allows; below it no entry has a place.
        if usable_bytes < 480 {
            return Err(broken());
        }
        Ok(Self { file, page_bytes, usable_bytes, read: 0 })
    }

    fn read(&mut self, number: u32) -> Result<Vec<u8>> {
        self.read += 1;
        if self.read > PAGES_MAX {
            return Err(Error::limit_reached(format!(
                "the schema of an SQLite file has at most {PAGES_MAX} pages, found more"
            )));
        }
        let at = u64::from(number).checked_sub(1).ok_or_else(broken)? * self.page_bytes as u64;
        let mut page = vec![0; self.page_bytes];
        self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut page)).map_err(|_| broken())?;
        Ok(page)
    }

    /// The bytes of an entry of a leaf, together with those that go on in other pages.
    fn entry(&mut self, page: &[u8], at: usize) -> Result<Vec<u8>> {
        let (size, at) = varint(page, at).ok_or_else(broken)?;
        let (_, at) = varint(page, at).ok_or_else(broken)?;
        let size = usize::try_from(size).map_err(|_| broken())?;
        let here = self.local_bytes(size);
        let mut entry = page.get(at..at + here).ok_or_else(broken)?.to_vec();
        let mut next = if here < size { number(page, at + here).ok_or_else(broken)? } else { 0 };
        while entry.len() < size {
            let page = self.read(next)?;
            let part = (size - entry.len()).min(self.usable_bytes - 4);
            entry.extend_from_slice(page.get(4..4 + part).ok_or_else(broken)?);
            next = number(&page, 0).ok_or_else(broken)?;
        }
        Ok(entry)
    }

    /// How much of an entry of this size lies in its leaf, as the format of `SQLite` files says.
    fn local_bytes(&self, size: usize) -> usize {
        let (most, least) = (self.usable_bytes - 35, (self.usable_bytes - 12) * 32 / 255 - 23);
        if size <= most {
            return size;
        }
        let fitting = least + (size - least) % (self.usable_bytes - 4);
        if fitting <= most { fitting } else { least }
    }
}

/// A node of the tree: the pages below it, or where its entries lie.
#[derive(Default)]
struct Node {
    children: Vec<u32>,
    entries: Vec<usize>,
}

impl Node {
    /// Reads a node that begins at `node`; `None` for a page that is none.
    fn read(page: &[u8], node: usize) -> Option<Self> {
        let kind = *page.get(node)?;
        let cells = usize::from(short(page, node + 3)?);
        let first = node + if kind == INNER { 12 } else { 8 };
        let places = (0..cells).map(|i| short(page, first + 2 * i).map(usize::from)).collect::<Option<Vec<_>>>()?;
        match kind {
            INNER => {
                let below = places.into_iter().chain([node + 8]).map(|at| number(page, at));
                Some(Self { children: below.collect::<Option<_>>()?, ..Self::default() })
            }
            LEAF => Some(Self { entries: places, ..Self::default() }),
            _ => None,
        }
    }
}

fn short(page: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(page.get(at..at + 2)?.try_into().ok()?))
}

fn number(page: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(page.get(at..at + 4)?.try_into().ok()?))
}

/// A number of one to nine bytes and where the next thing begins.
fn varint(page: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (i, byte) in page.get(at..)?.iter().take(9).enumerate() {
        if i == 8 {
            return Some((value << 8 | u64::from(*byte), at + 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if *byte < 0x80 {
            return Some((value, at + i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_in_utf_16_and_others_are_left_alone() {
        let check = |text: &[u8]| check_text(text, "GeoPackage", &["further"]);
        let utf_16: Vec<u8> = "select Xb_Create(a)".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for text in [&b"SELECT \"XB_CREATE\"/**/(a)"[..], &utf_16, b"a FURTHER word"] {
            assert!(check(text).expect_err("reaches out").to_string().contains("in its schema"));
        }
        check(b"CREATE VIRTUAL TABLE rtree_t_geom USING rtree(id, minx, maxx, miny, maxy)").expect("an index");
        check(b"CREATE TRIGGER t INSERT ON t BEGIN UPDATE gpkg_ogr_contents SET feature_count = 1; END")
            .expect("a count");
    }

    #[test]
    fn numbers_have_one_to_nine_bytes() {
        assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
        assert_eq!(varint(&[0, 0x81, 0x00], 1), Some((128, 3)));
        assert_eq!(varint(&[0xff; 9], 0), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0x81], 0), None);
    }
}
