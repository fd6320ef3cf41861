//! Grids for datum shifts that the operator supplies: which are known, whether they are whole, when one is used.
//!
//! A grid is preferred to every parametric operation where it covers the data. Its SHA-256 goes into the receipt, so
//! that the same rows can be had again only with the same grid.

use super::definition::Resolved;
use super::guarded;
use super::operation::Operation;
use proj::Proj;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// A grid that the register names, and the operation it serves.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    file: &'static str,
    /// Name of the datum that it starts from, as PROJ has it.
    source_datum: &'static str,
    /// The whole way to WGS 84.
    operation: &'static str,
    /// The accuracies of its steps together.
    accuracy_cm: u32,
}

/// EPSG:10964 has 0.1 m, EPSG:10965 after it 1 m.
const KNOWN: [Known; 1] = [Known {
    file: "qazgrid_kz.gsb",
    source_datum: "Pulkovo 1942",
    operation: "Pulkovo 1942 to QazTRF-23 (1), EPSG:10964, NTv2 + QazTRF-23 to WGS 84 (1), EPSG:10965, null",
    accuracy_cm: 110,
}];

/// Largest grid that is read, bytes.
const SIZE_MAX: u64 = 1 << 30;

/// The operator's grids, whole and known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grids(Vec<Grid>);

/// One file in the form `NTv2`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    known: &'static Known,
    path: PathBuf,
    /// SHA-256 of the file.
    pub(super) sha256: ukimet_model::Sha256,
    /// What its parts cover: west, south, east, north in degrees.
    extents: Vec<[f64; 4]>,
}

impl Eq for Grid {}

impl Grids {
    /// Opens every grid of a folder, by names that the register knows: `qazgrid_kz.gsb`.
    ///
    /// Reads the files whole, to hash them; call it once at the start.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` naming the file that is no whole `NTv2` grid, one with a name that no operation knows (it would
    /// silently do nothing), or a folder that PROJ cannot be told of; `Unavailable` if the folder cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            Error::unavailable(format!("the folder of grids {} cannot be read", quoted(&dir.to_string_lossy())))
                .caused_by(error)
        };
        let dir = dir.canonicalize().map_err(unreadable)?;
        let is_plain = |text: &str| !text.contains(|c: char| c.is_whitespace() || ",\"'".contains(c));
        if !dir.to_str().is_some_and(is_plain) {
            return Err(Error::invalid_request(format!(
                "the path of the folder of grids has no spaces, commas or quotes, found {}",
                quoted(&dir.to_string_lossy())
            )));
        }
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        paths.iter().map(|path| Grid::open(path)).collect::<Result<_>>().map(Self)
    }

    /// The operation by a grid in place of the parametric one, if there is a grid for the source's datum that covers
    /// every position: x (east) before y (north) in the source's units.
    pub(super) fn prefer(
        &self,
        source: &Resolved,
        parametric: &Operation,
        positions: &[(f64, f64)],
    ) -> Option<Operation> {
        let grid = self.0.iter().find(|grid| Some(grid.known.source_datum) == source.datum())?;
        let mut places = positions.to_vec();
        if let Some(pipeline) = &parametric.pipeline {
            let convert = || {
                let proj = Proj::new(pipeline).map_err(|error| error.to_string())?;
                proj.convert_array(&mut places).map(|_| ()).map_err(|error| error.to_string())
            };
            guarded(convert).ok()?;
        }
        if !places.iter().all(|place| grid.covers(*place)) {
            return None;
        }
        grid.operation(parametric.pipeline.as_deref()?)
    }
}

impl Grid {
    fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let refuse = |why: String| Error::invalid_request(format!("the grid {} cannot be used: {why}", quoted(&name)));
        let names = || KNOWN.iter().map(|known| known.file).collect::<Vec<_>>().join(", ");
        let known = KNOWN
            .iter()
            .find(|known| known.file == name)
            .ok_or_else(|| refuse(format!("no operation is known for it, expected one of {}", names())))?;
        let size = path.metadata().map_err(|error| refuse(error.to_string()))?.len();
        if size > SIZE_MAX {
            return Err(refuse(format!("it has {size} bytes, the limit is {SIZE_MAX}")));
        }
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        let extents = parts(&bytes).map_err(refuse)?;
        let sha256 = ukimet_model::Sha256(Sha256::digest(&bytes).into());
        let grid = Self { known, path: path.to_owned(), sha256, extents };
        grid.check().map_err(refuse)?;
        Ok(grid)
    }

    /// Asks PROJ to shift the middle of the first part.
    fn check(&self) -> Result<(), String> {
        let [west, south, east, north] = self.extents[0];
        let pipeline = format!(
            "proj=pipeline step proj=unitconvert xy_in=deg xy_out=rad step proj=hgridshift grids={} step proj=unitconvert xy_in=rad xy_out=deg",
            self.path.display()
        );
        guarded(|| {
            let proj = Proj::new(&pipeline).map_err(|error| error.to_string())?;
            proj.convert((west.midpoint(east), south.midpoint(north))).map(|_| ()).map_err(|error| error.to_string())
        })
    }

    fn covers(&self, (lon, lat): (f64, f64)) -> bool {
        let inside =
            |[west, south, east, north]: &[f64; 4]| (*west..=*east).contains(&lon) && (*south..=*north).contains(&lat);
        self.extents.iter().any(inside)
    }

    /// The parametric pipeline with the grid in place of the shift between the ellipsoids.
    fn operation(&self, parametric: &str) -> Option<Operation> {
        const BEGIN: &str = "step proj=push v_3";
        const END: &str = "step proj=pop v_3";
        let (begin, end) = (parametric.find(BEGIN)?, parametric.find(END)? + END.len());
        let shift = format!("step proj=hgridshift grids={}", self.known.file);
        Some(Operation {
            name: self.known.operation.to_owned(),
            accuracy_m: Some(f64::from(self.known.accuracy_cm) / 100.0),
            pipeline: Some([&parametric[..begin], &shift, &parametric[end..]].concat()),
            grid: Some(Box::new(self.clone())),
        })
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        self.known.file
    }

    /// A pipeline of the receipt as this machine runs it: with the file's whole path.
    pub(super) fn located(&self, pipeline: &str) -> String {
        let name = format!("grids={}", self.known.file);
        pipeline.replace(&name, &format!("grids={}", self.path.display()))
    }
}

/// What every part of an `NTv2` file covers, west, south, east, north in degrees; the error says what is wrong.
///
/// The file is a record of 11 lines of 16 bytes, then for each part such a record and 16 bytes a node.
fn parts(bytes: &[u8]) -> Result<Vec<[f64; 4]>, String> {
    const RECORD_SIZE: usize = 11 * 16;
    const NODE_SIZE: usize = 16;
    let cut = |at: usize| format!("it ends at byte {}, expected more after byte {at}", bytes.len());
    let head = bytes.get(..RECORD_SIZE).ok_or_else(|| cut(0))?;
    if !head.starts_with(b"NUM_OREC") {
        return Err("it does not begin as an NTv2 file".to_owned());
    }
    let is_little = head[8] == 11;
    let mut extents = Vec::new();
    let mut at = RECORD_SIZE;
    for _ in 0..whole(head, 2, is_little) {
        let part = bytes.get(at..at + RECORD_SIZE).ok_or_else(|| cut(at))?;
        if !part.starts_with(b"SUB_NAME") {
            return Err(format!("expected a part at byte {at}, found something else"));
        }
        let degrees = |line: usize| real(part, line, is_little) / 3600.0;
        // South, north, east, west; longitudes count to the west.
        extents.push([-degrees(7), degrees(4), -degrees(6), degrees(5)]);
        let nodes = whole(part, 10, is_little) as usize;
        at = nodes.saturating_mul(NODE_SIZE).saturating_add(at + RECORD_SIZE);
        if at > bytes.len() {
            return Err(cut(at));
        }
    }
    if extents.is_empty() { Err("it has no part".to_owned()) } else { Ok(extents) }
}

/// The whole number of a line of a record.
fn whole(record: &[u8], line: usize, is_little: bool) -> u32 {
    let bytes: [u8; 4] = record[line * 16 + 8..line * 16 + 12].try_into().expect("four bytes of a whole record");
    if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
}

/// The real number of a line of a record.
fn real(record: &[u8], line: usize, is_little: bool) -> f64 {
    let bytes: [u8; 8] = record[line * 16 + 8..line * 16 + 16].try_into().expect("eight bytes of a whole record");
    if is_little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An `NTv2` file over Kazakhstan that shifts every place by so many seconds to the north and to the east.
    pub(in crate::crs) fn ntv2(north_seconds: f32, east_seconds: f32) -> Vec<u8> {
        let (columns, rows) = (43_u32, 17_u32);
        let text = |key: &str, value: &str| format!("{key:<8}{value:<8}").into_bytes();
        let int = |key: &str, value: u32| [format!("{key:<8}").as_bytes(), &value.to_le_bytes(), &[0; 4]].concat();
        let number = |key: &str, value: f64| [format!("{key:<8}").as_bytes(), &value.to_le_bytes()].concat();
        let seconds = |degrees: f64| degrees * 3600.0;
        let mut bytes = [
            int("NUM_OREC", 11),
            int("NUM_SREC", 11),
            int("NUM_FILE", 1),
            text("GS_TYPE", "SECONDS"),
            text("VERSION", "1"),
            text("SYSTEM_F", "SK-42"),
            text("SYSTEM_T", "QAZTRF23"),
            number("MAJOR_F", 6_378_245.0),
            number("MINOR_F", 6_356_863.018_8),
            number("MAJOR_T", 6_378_137.0),
            number("MINOR_T", 6_356_752.314_1),
            text("SUB_NAME", "KZ"),
            text("PARENT", "NONE"),
            text("CREATED", ""),
            text("UPDATED", ""),
            number("S_LAT", seconds(40.0)),
            number("N_LAT", seconds(56.0)),
            number("E_LONG", seconds(-88.0)),
            number("W_LONG", seconds(-46.0)),
            number("LAT_INC", seconds(1.0)),
            number("LONG_INC", seconds(1.0)),
            int("GS_COUNT", columns * rows),
        ]
        .concat();
        for _ in 0..columns * rows {
            bytes.extend([north_seconds, -east_seconds, 0.0, 0.0].map(f32::to_le_bytes).concat());
        }
        bytes.extend(text("END", ""));
        bytes
    }

    #[test]
    fn a_grid_that_is_broken_or_unknown_is_refused_at_the_start() {
        let whole = ntv2(1.0, 2.0);
        for (name, bytes, words) in [
            ("qazgrid_kz.gsb", &whole[..100], "it ends at byte 100"),
            ("qazgrid_kz.gsb", &whole[..whole.len() - 600], "expected more"),
            ("qazgrid_kz.gsb", b"<html>not found</html>".repeat(20).as_slice(), "does not begin as an NTv2 file"),
            ("another.gsb", whole.as_slice(), "expected one of qazgrid_kz.gsb"),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            std::fs::write(dir.path().join(name), bytes).expect("written");
            let error = Grids::open(dir.path()).expect_err(words);
            assert_eq!(error.kind(), ukimet_model::ErrorKind::InvalidRequest);
            assert!(error.message().contains(words) && error.message().contains(name), "{error}");
        }
        assert!(Grids::open(Path::new("/no such folder")).is_err());
        assert_eq!(Grids::open(tempfile::tempdir().expect("a folder").path()).expect("empty"), Grids::default());
    }

    #[test]
    fn a_part_covers_what_its_record_says() {
        assert_eq!(parts(&ntv2(0.0, 0.0)).expect("whole"), [[46.0, 40.0, 88.0, 56.0]]);
    }
}
