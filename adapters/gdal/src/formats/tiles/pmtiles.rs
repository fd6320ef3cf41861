//! `PMTiles` version 3: a header, directories of tiles along a Hilbert curve, and the tiles.

use super::drawing::{TilePlace, ZOOM_MAX};
use crate::archive::{Budget, unpacked};
use crate::limits::ReadLimits;
use crate::protobuf::take_number;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use ukimet_model::{Error, Result};

const HEADER_BYTES: usize = 127;
/// How deep directories lie in each other: the root, and leaves of leaves.
const DEPTH_MAX: u32 = 4;

/// An open set of tiles.
#[derive(Debug)]
pub(super) struct PmTiles {
    file: File,
    size_bytes: u64,
    data: Section,
    is_packed: bool,
    /// The tiles of the highest zoom.
    entries: Vec<Entry>,
    zoom: u8,
}

/// A part of the file: where it begins and how long it is.
#[derive(Clone, Copy, Debug)]
struct Section {
    at: u64,
    bytes: u64,
}

/// Tiles that follow each other along the curve and are the same.
#[derive(Clone, Copy, Debug)]
struct Entry {
    first: u64,
    count: u64,
    place: Section,
}

impl PmTiles {
    /// Reads the header and every directory.
    ///
    /// # Errors
    ///
    /// `InvalidData` for another version or other tiles than vector tiles, `DataLoss` for a cut file, `LimitReached`.
    pub(super) fn open(path: &Path, limits: &ReadLimits) -> Result<Self> {
        let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
        let mut file = File::open(path).map_err(gone)?;
        let size_bytes = file.metadata().map_err(gone)?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(|_| cut())?;
        let section = |at: usize| Section { at: long(&header, at), bytes: long(&header, at + 8) };
        let (root, leaves, data) = (section(8), section(40), section(56));
        check_kind(header[7], header[99])?;
        let is_packed = is_gzip(header[98])?;
        let mut set = Self { file, size_bytes, data, is_packed, entries: Vec::new(), zoom: 0 };
        let mut directories = Directories {
            leaves,
            is_packed: is_gzip(header[97])?,
            limits,
            budget: Budget::of(size_bytes),
            bytes_max: root.bytes.saturating_add(leaves.bytes),
            tiles: 0,
            entries: Vec::new(),
        };
        directories.read(&mut set, root, 0)?;
        set.entries = directories.entries;
        set.keep_highest();
        Ok(set)
    }

    /// Keeps the tiles of the highest zoom.
    fn keep_highest(&mut self) {
        let last = self.entries.iter().map(|entry| entry.first + entry.count - 1).max().unwrap_or(0);
        self.zoom = zoom_of(last);
        let begin = first_of(self.zoom);
        self.entries.retain(|entry| entry.first + entry.count > begin);
        for entry in &mut self.entries {
            let before = begin.saturating_sub(entry.first);
            entry.first += before;
            entry.count -= before;
        }
    }

    pub(super) fn zoom(&self) -> u8 {
        self.zoom
    }

    /// The tiles of the highest zoom, unpacked.
    pub(super) fn tiles(&self, limits: ReadLimits) -> impl Iterator<Item = Result<(TilePlace, Vec<u8>)>> + '_ {
        let mut budget = Budget::of(self.size_bytes);
        self.entries.iter().flat_map(move |entry| {
            let tile = self.tile(entry.place, &limits, &mut budget);
            let places = entry.first..entry.first + entry.count;
            let mut tiles: Box<dyn Iterator<Item = Result<(TilePlace, Vec<u8>)>>> = Box::new(std::iter::empty());
            match tile {
                Ok(tile) => {
                    let zoom = self.zoom;
                    tiles = Box::new(places.filter_map(move |id| Some(Ok((place(zoom, id)?, tile.clone())))));
                }
                Err(error) => tiles = Box::new(tiles.chain(std::iter::once(Err(error)))),
            }
            tiles
        })
    }

    fn tile(&self, place: Section, limits: &ReadLimits, budget: &mut Budget) -> Result<Vec<u8>> {
        let bytes = self.bytes(within(self.data, place)?)?;
        if self.is_packed { unpacked(&bytes, limits, budget) } else { Ok(bytes) }
    }

    fn bytes(&self, section: Section) -> Result<Vec<u8>> {
        if section.at.checked_add(section.bytes).is_none_or(|end| end > self.size_bytes) {
            return Err(cut());
        }
        let mut bytes = vec![0; section.bytes as usize];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(section.at)).and_then(|_| file.read_exact(&mut bytes)).map_err(|_| cut())?;
        Ok(bytes)
    }
}

/// Directories on their way to entries.
struct Directories<'a> {
    leaves: Section,
    is_packed: bool,
    limits: &'a ReadLimits,
    budget: Budget,
    /// Bytes that are left to be read: each directory is read once.
    bytes_max: u64,
    tiles: u64,
    entries: Vec<Entry>,
}

impl Directories<'_> {
    fn read(&mut self, set: &mut PmTiles, section: Section, depth: u32) -> Result<()> {
        if depth >= DEPTH_MAX {
            return Err(Error::invalid_data(format!(
                "directories of PMTiles lie at most {DEPTH_MAX} deep, found more"
            )));
        }
        self.bytes_max = self.bytes_max.checked_sub(section.bytes).ok_or_else(|| {
            Error::invalid_data("directories of PMTiles lie beside each other, found some that are entered twice")
        })?;
        let bytes = set.bytes(section)?;
        let bytes = if self.is_packed { unpacked(&bytes, self.limits, &mut self.budget)? } else { bytes };
        for entry in entries(&bytes).ok_or_else(|| Error::data_loss("a directory of the PMTiles is cut or broken"))? {
            if entry.count == 0 {
                self.read(set, within(self.leaves, entry.place)?, depth + 1)?;
                continue;
            }
            self.tiles = self.tiles.saturating_add(entry.count);
            if self.tiles > self.limits.rows_max {
                let max = self.limits.rows_max;
                return Err(Error::limit_reached(format!("a set of tiles has at most {max} tiles, found more")));
            }
            if entry.first.checked_add(entry.count).is_none_or(|end| end > first_of(ZOOM_MAX + 1)) {
                return Err(Error::invalid_data(format!("tiles lie at zoom {ZOOM_MAX} or above, found a deeper one")));
            }
            self.entries.push(entry);
        }
        Ok(())
    }
}

/// The entries of a directory: numbers, counts, lengths and places, each kind together.
fn entries(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let count = usize::try_from(take_number(&mut bytes)?).ok()?;
    // Each entry takes four bytes at least.
    if count > bytes.len() / 4 {
        return None;
    }
    let column = |bytes: &mut &[u8]| (0..count).map(|_| take_number(bytes)).collect::<Option<Vec<u64>>>();
    let (steps, counts) = (column(&mut bytes)?, column(&mut bytes)?);
    let (lengths, places) = (column(&mut bytes)?, column(&mut bytes)?);
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let mut first = 0_u64;
    for i in 0..count {
        first = first.checked_add(steps[i])?;
        let at = match (places[i], entries.last()) {
            // Zero means right after the one before.
            (0, before) => before?.place.at.checked_add(before?.place.bytes)?,
            (place, _) => place - 1,
        };
        entries.push(Entry { first, count: counts[i], place: Section { at, bytes: lengths[i] } });
    }
    Some(entries)
}

/// A place in a section as a place in the file.
fn within(section: Section, place: Section) -> Result<Section> {
    let end = place.at.checked_add(place.bytes).filter(|end| *end <= section.bytes);
    let at = end.and_then(|_| section.at.checked_add(place.at)).ok_or_else(cut)?;
    Ok(Section { at, bytes: place.bytes })
}

fn cut() -> Error {
    Error::data_loss("the PMTiles file is cut: a part lies behind its end")
}

fn check_kind(version: u8, kind: u8) -> Result<()> {
    if version != 3 {
        return Err(Error::invalid_data(format!("PMTiles of version 3 were expected, found {version}")));
    }
    let found = match kind {
        1 => return Ok(()),
        2 => "PNG images",
        3 => "JPEG images",
        4 => "WebP images",
        5 => "AVIF images",
        _ => "unknown ones",
    };
    Err(Error::invalid_data(format!("PMTiles of vector tiles (MVT) were expected, found {found}")))
}

/// Whether something is packed by gzip.
fn is_gzip(compression: u8) -> Result<bool> {
    let found = match compression {
        1 => return Ok(false),
        2 => return Ok(true),
        3 => "Brotli",
        4 => "Zstandard",
        _ => "an unknown method",
    };
    Err(Error::invalid_data(format!("PMTiles packed by gzip or not at all were expected, found {found}")))
}

fn long(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// The number of the first tile of a zoom: one more than all tiles of the zooms above.
fn first_of(zoom: u8) -> u64 {
    ((1_u64 << (2 * u32::from(zoom))) - 1) / 3
}

fn zoom_of(id: u64) -> u8 {
    (0..=ZOOM_MAX).rev().find(|zoom| first_of(*zoom) <= id).unwrap_or(0)
}

/// The place of a tile by its number, along the Hilbert curve of its zoom.
fn place(zoom: u8, id: u64) -> Option<TilePlace> {
    let mut rest = id.checked_sub(first_of(zoom))?;
    let (mut x, mut y) = (0_u64, 0_u64);
    for level in 0..zoom {
        let side = 1_u64 << level;
        let right = 1 & (rest / 2);
        let down = 1 & (rest ^ right);
        if down == 0 {
            if right == 1 {
                (x, y) = (side - 1 - x, side - 1 - y);
            }
            (x, y) = (y, x);
        }
        x += side * right;
        y += side * down;
        rest /= 4;
    }
    TilePlace::new(u64::from(zoom), x, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_tiles_are_those_of_the_specification() {
        for (id, zoom, x, y) in [
            (0, 0, 0, 0),
            (1, 1, 0, 0),
            (2, 1, 0, 1),
            (3, 1, 1, 1),
            (4, 1, 1, 0),
            (5, 2, 0, 0),
            (19_078_479, 12, 3_423, 1_763),
        ] {
            assert_eq!((zoom_of(id), place(zoom, id)), (zoom, TilePlace::new(u64::from(zoom), x, y)), "{id}");
        }
    }

    #[test]
    fn a_directory_that_promises_too_much_is_none() {
        assert!(entries(&[0xff, 0xff, 0xff, 0x7f, 1, 1, 1, 1]).is_none());
        assert!(entries(&[1, 5, 1, 9, 0]).is_none(), "nothing stands before the first");
        assert_eq!(entries(&[1, 5, 1, 9, 4]).expect("one")[0].place.at, 3);
    }
}
