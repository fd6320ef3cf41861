//! The schema of an `SQLite` file, looked at before anything opens it.
//!
//! Views and virtual tables can call functions that reach other files; tables of tiles need neither.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use ukimet_model::{Error, Result};

/// Words of a schema that reach beyond the file.
const REFUSED: &[&str] = &["virtual", "ogr_", "load_extension", "readfile", "gdal_"];
/// Pages of a schema.
const PAGES_MAX: usize = 1_000;
const HEADER_BYTES: usize = 100;
/// Types of pages of the tree that holds the schema.
const INNER: u8 = 0x05;
const LEAF: u8 = 0x0d;

/// Refuses a schema that reaches beyond its file.
///
/// # Errors
///
/// `InvalidData` for such a schema, `DataLoss` for a broken one.
pub(super) fn check_schema(path: &Path) -> Result<()> {
    let broken = || Error::data_loss("the schema of the SQLite file is cut or broken");
    let mut file =
        File::open(path).map_err(|error| Error::unavailable("the asset could not be read").caused_by(error))?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|_| broken())?;
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes if bytes >= 512 => u64::from(bytes),
        _ => return Err(broken()),
    };
    let mut waiting = vec![1_u32];
    let mut pages = 0;
    while let Some(number) = waiting.pop() {
        pages += 1;
        if pages > PAGES_MAX {
            return Err(Error::invalid_data(format!(
                "the schema of MBTiles has at most {PAGES_MAX} pages, found more"
            )));
        }
        let at = u64::from(number).checked_sub(1).ok_or_else(broken)? * page_bytes;
        let mut page = vec![0; page_bytes as usize];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut page)).map_err(|_| broken())?;
        check_text(&page)?;
        let node = if number == 1 { HEADER_BYTES } else { 0 };
        waiting.extend(children(&page, node).ok_or_else(broken)?);
    }
    Ok(())
}

fn check_text(page: &[u8]) -> Result<()> {
    let text = page.to_ascii_lowercase();
    match REFUSED.iter().find(|word| memchr::memmem::find(&text, word.as_bytes()).is_some()) {
        Some(word) => Err(Error::invalid_data(format!(
            "MBTiles hold plain tables and views, found {word:?} in the schema, which can reach other files"
        ))),
        None => Ok(()),
    }
}

/// The pages below a node, none below a leaf; `None` for a page that is neither, or whose texts go on elsewhere.
fn children(page: &[u8], node: usize) -> Option<Vec<u32>> {
    let number = |at: usize| Some(u32::from_be_bytes(page.get(at..at + 4)?.try_into().ok()?));
    let kind = *page.get(node)?;
    let cells = usize::from(u16::from_be_bytes(page.get(node + 3..node + 5)?.try_into().ok()?));
    let first = node + if kind == INNER { 12 } else { 8 };
    let cell = |i: usize| {
        let at = page.get(first + 2 * i..first + 2 * i + 2)?;
        Some(usize::from(u16::from_be_bytes(at.try_into().ok()?)))
    };
    match kind {
        INNER => {
            let mut pages = vec![number(node + 8)?];
            for i in 0..cells {
                pages.push(number(cell(i)?)?);
            }
            Some(pages)
        }
        // Two bytes say at most 16,383: a longer text, or one that does not fit its page, is no schema of tiles.
        LEAF => (0..cells).all(|i| cell(i).is_some_and(|at| fits(page, at))).then(Vec::new),
        _ => None,
    }
}

/// Whether a cell lies in its page whole.
fn fits(page: &[u8], at: usize) -> bool {
    let payload = match page.get(at..at + 2) {
        Some([one, _]) if *one < 0x80 => usize::from(*one),
        Some([one, two]) if *two < 0x80 => usize::from(one & 0x7f) << 7 | usize::from(*two),
        _ => return false,
    };
    payload <= page.len() - 35
}
