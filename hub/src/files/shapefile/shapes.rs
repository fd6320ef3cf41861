//! The shapes and their index: one kind of geometry a file.
//!
//! Outer rings go clockwise and holes against it, as the format has it.

use super::super::place::Place;
use super::super::scratch::{Scratch, ScratchFile};
use super::{FILE_BYTES_MAX, reread, too_large};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use ukimet_model::wkb::GeometryType;
use ukimet_model::{Error, Result};

/// What the format calls a geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Point = 1,
    Line = 3,
    Polygon = 5,
    MultiPoint = 8,
}

/// What one file has: a class of geometries, with heights and measures or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Layer {
    class: Class,
    has_z: bool,
    has_m: bool,
}

impl Layer {
    /// The layer that a geometry belongs to.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` for a collection, which the format has no place for.
    pub(super) fn of(place: &Place) -> Result<Self> {
        let class = match place.kind {
            GeometryType::Point => Class::Point,
            GeometryType::MultiPoint => Class::MultiPoint,
            GeometryType::LineString | GeometryType::MultiLineString => Class::Line,
            GeometryType::Polygon | GeometryType::MultiPolygon => Class::Polygon,
            GeometryType::GeometryCollection => {
                return Err(Error::invalid_request(
                    "a Shapefile has no place for geometry collections; take .gpkg, .fgb or .parquet",
                ));
            }
        };
        Ok(Self { class, has_z: place.has_z, has_m: place.has_m })
    }

    /// What the name of its files ends in, beside other layers.
    pub(super) fn suffix(self) -> String {
        let class = match self.class {
            Class::Point => "points",
            Class::Line => "lines",
            Class::Polygon => "polygons",
            Class::MultiPoint => "multipoints",
        };
        let dimensions = match (self.has_z, self.has_m) {
            (false, false) => "",
            (true, false) => "_z",
            (false, true) => "_m",
            (true, true) => "_zm",
        };
        format!("_{class}{dimensions}")
    }

    /// The number of the format.
    fn code(self) -> i32 {
        let dimensions = match (self.has_z, self.has_m) {
            (true, _) => 10,
            (false, true) => 20,
            (false, false) => 0,
        };
        self.class as i32 + dimensions
    }
}

/// A row without a geometry.
const NULL_SHAPE: i32 = 0;
/// Stands for a measure that is not there.
const NO_MEASURE: f64 = -1e39;
/// Bytes of the header of both files.
const HEADER_BYTES: u64 = 100;

/// From the smallest to the largest; `None` of nothing.
fn range(numbers: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    numbers.fold(None, |range, number| {
        let (least, most) = range.unwrap_or((number, number));
        Some((least.min(number), most.max(number)))
    })
}

fn corners(xy: &[f64]) -> [f64; 4] {
    let (west, east) = range(xy.iter().step_by(2).copied()).unwrap_or_default();
    let (south, north) = range(xy.iter().skip(1).step_by(2).copied()).unwrap_or_default();
    [west, south, east, north]
}

/// Puts the members of faces behind each other, each ring in its direction.
fn rings(place: Place) -> Place {
    let mut faces =
        Place { xy: Vec::new(), z: Vec::new(), m: Vec::new(), ends: Vec::new(), members: Vec::new(), ..place };
    let members = if place.members.is_empty() {
        vec![Place { xy: place.xy, z: place.z, m: place.m, ends: place.ends, members: Vec::new(), ..faces }]
    } else {
        place.members
    };
    for member in members {
        let mut from = 0;
        for (number, end) in member.ends.iter().map(|end| *end as usize).enumerate() {
            let is_outer = number == 0;
            let is_turned = (area(&member.xy[2 * from..2 * end]) > 0.0) == is_outer;
            let take = |at: usize| if is_turned { end - 1 - (at - from) } else { at };
            for at in (from..end).map(take) {
                faces.xy.extend(&member.xy[2 * at..2 * at + 2]);
                faces.z.extend(member.z.get(at));
                faces.m.extend(member.m.get(at));
            }
            faces.ends.push((faces.xy.len() / 2) as u32);
            from = end;
        }
    }
    faces
}

/// Twice the area of a ring; positive against the clock.
fn area(xy: &[f64]) -> f64 {
    let (x0, y0) = (xy.first().copied().unwrap_or_default(), xy.get(1).copied().unwrap_or_default());
    // Relative to the first position, so that small rings far from the origin keep their sign.
    let positions = xy.chunks_exact(2).map(|position| (position[0] - x0, position[1] - y0));
    positions.clone().zip(positions.skip(1)).map(|((ax, ay), (bx, by))| ax * by - bx * ay).sum()
}

/// Shapes being written.
pub(super) struct ShapeFile {
    layer: Layer,
    shapes: BufWriter<ScratchFile>,
    index: BufWriter<ScratchFile>,
    records: i32,
    bytes: u64,
    /// Around all: west, south, east, north.
    bounds: Option<[f64; 4]>,
    z: Option<(f64, f64)>,
    m: Option<(f64, f64)>,
    scratch: Scratch,
}

fn join(a: Option<(f64, f64)>, b: Option<(f64, f64)>) -> Option<(f64, f64)> {
    range(a.into_iter().chain(b).flat_map(|(least, most)| [least, most]))
}

impl ShapeFile {
    pub(super) fn begin(layer: Layer, scratch: &Scratch) -> Result<Self> {
        let file = || -> Result<_> {
            let mut file = BufWriter::new(scratch.file()?);
            file.write_all(&[0; HEADER_BYTES as usize]).map_err(|error| scratch.told(error))?;
            Ok(file)
        };
        let (shapes, index) = (file()?, file()?);
        let scratch = scratch.clone();
        Ok(Self { layer, shapes, index, records: 0, bytes: HEADER_BYTES, bounds: None, z: None, m: None, scratch })
    }

    /// Adds a geometry of this layer, or none.
    pub(super) fn add(&mut self, place: Option<Place>) -> Result<()> {
        let content = match place {
            None => NULL_SHAPE.to_le_bytes().to_vec(),
            Some(place) => self.content(place),
        };
        self.records += 1;
        let begins = self.bytes;
        self.bytes += 8 + content.len() as u64;
        if self.bytes > FILE_BYTES_MAX {
            return Err(too_large("the file of shapes"));
        }
        // Lengths and places are counted in words of two bytes.
        let (words, at) = ((content.len() / 2) as i32, (begins / 2) as i32);
        let mut put = || {
            self.shapes.write_all(&self.records.to_be_bytes())?;
            self.shapes.write_all(&words.to_be_bytes())?;
            self.shapes.write_all(&content)?;
            self.index.write_all(&at.to_be_bytes())?;
            self.index.write_all(&words.to_be_bytes())
        };
        put().map_err(|error| self.scratch.told(error))
    }

    fn content(&mut self, place: Place) -> Vec<u8> {
        let mut place = if self.layer.class == Class::Polygon { rings(place) } else { place };
        if place.ends.is_empty() {
            place.ends.push((place.xy.len() / 2) as u32);
        }
        let corners = corners(&place.xy);
        let (z, m) = (range(place.z.iter().copied()), range(place.m.iter().copied()));
        let [west, south, east, north] = self.bounds.unwrap_or(corners);
        self.bounds = Some([west.min(corners[0]), south.min(corners[1]), east.max(corners[2]), north.max(corners[3])]);
        (self.z, self.m) = (join(self.z, z), join(self.m, m));
        let mut content = Content(self.layer.code().to_le_bytes().to_vec());
        match self.layer.class {
            Class::Point => content.point(&place, self.layer),
            class => content.positions(&place, class, corners, [z, m]),
        }
        content.0
    }

    fn header(&self, bytes: u64) -> Vec<u8> {
        let mut header = 9994_i32.to_be_bytes().to_vec();
        header.extend([0; 20]);
        header.extend(((bytes / 2) as i32).to_be_bytes());
        header.extend(1000_i32.to_le_bytes());
        header.extend(self.layer.code().to_le_bytes());
        let ((low, high), (least, most)) = (self.z.unwrap_or_default(), self.m.unwrap_or_default());
        let bounds = self.bounds.unwrap_or_default();
        let numbers = bounds.into_iter().chain([low, high, least, most]);
        header.extend(numbers.flat_map(f64::to_le_bytes));
        header
    }

    /// Shapes and index, read from their beginnings.
    pub(super) fn finish(mut self) -> Result<(BufReader<File>, BufReader<File>)> {
        let (of_shapes, of_index) = (self.header(self.bytes), self.header(HEADER_BYTES + 8 * self.records as u64));
        let mut end = || {
            self.shapes.seek(SeekFrom::Start(0))?;
            self.shapes.write_all(&of_shapes)?;
            self.index.seek(SeekFrom::Start(0))?;
            self.index.write_all(&of_index)
        };
        end().map_err(|error| self.scratch.told(error))?;
        Ok((reread(self.shapes, &self.scratch)?, reread(self.index, &self.scratch)?))
    }
}

/// The bytes of one shape behind its number.
struct Content(Vec<u8>);

impl Content {
    fn numbers(&mut self, numbers: &[f64]) {
        self.0.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn point(&mut self, place: &Place, layer: Layer) {
        self.numbers(&place.xy);
        self.numbers(&place.z);
        match layer {
            Layer { has_m: true, .. } => self.numbers(&place.m),
            Layer { has_z: true, .. } => self.numbers(&[NO_MEASURE]),
            _ => (),
        }
    }

    fn positions(&mut self, place: &Place, class: Class, corners: [f64; 4], ranges: [Option<(f64, f64)>; 2]) {
        self.numbers(&corners);
        if class != Class::MultiPoint {
            self.0.extend((place.ends.len() as i32).to_le_bytes());
        }
        self.0.extend(((place.xy.len() / 2) as i32).to_le_bytes());
        if class != Class::MultiPoint {
            let begins = [0].into_iter().chain(place.ends.iter().copied()).take(place.ends.len());
            self.0.extend(begins.flat_map(u32::to_le_bytes));
        }
        self.numbers(&place.xy);
        for (range, numbers) in ranges.into_iter().zip([&place.z, &place.m]) {
            if let Some((least, most)) = range {
                self.numbers(&[least, most]);
                self.numbers(numbers);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::place::tests::wkb;
    use super::*;

    fn place(wkt: &str) -> Place {
        Place::read(&wkb(wkt)).expect(wkt)
    }

    #[test]
    fn outer_rings_go_clockwise_and_holes_against_it() {
        let against = "POLYGON((76 43,77 43,77 44,76 43),(76.1 43,76.2 43.1,76.2 43,76.1 43))";
        let with = "POLYGON((76 43,77 44,77 43,76 43),(76.1 43,76.2 43,76.2 43.1,76.1 43))";
        assert_eq!(rings(place(against)).xy, place(with).xy);
        assert_eq!(rings(place(with)), place(with));
        let several = rings(place("MULTIPOLYGON(((0 0,4 0,4 4,0 0)),((8 8,9 8,9 9,8 8)))"));
        assert_eq!((several.ends.clone(), several.xy.len(), several.members.len()), (vec![4, 8], 16, 0));
    }

    #[test]
    fn each_kind_of_geometry_has_its_layer() {
        for (wkt, suffix, code) in [
            ("POINT(1 2)", "_points", 1),
            ("POINT Z(1 2 3)", "_points_z", 11),
            ("MULTIPOINT(1 2)", "_multipoints", 8),
            ("LINESTRING(1 2,3 4)", "_lines", 3),
            ("MULTIPOLYGON(((0 0,4 0,4 4,0 0)))", "_polygons", 5),
        ] {
            let layer = Layer::of(&place(wkt)).expect(wkt);
            assert_eq!((layer.suffix().as_str(), layer.code()), (suffix, code));
        }
        let error = Layer::of(&place("GEOMETRYCOLLECTION(POINT(1 2))")).expect_err("no place");
        assert!(error.message().contains("collections"), "{error}");
    }

    #[test]
    fn a_file_has_at_most_two_gigabytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let scratch = Scratch::new(folder.path().to_owned(), u64::MAX);
        let point = place("POINT(1 2)");
        let mut file = ShapeFile::begin(Layer::of(&point).expect("a layer"), &scratch).expect("begins");
        file.add(Some(point.clone())).expect("has room");
        file.bytes = FILE_BYTES_MAX - 20;
        let error = file.add(Some(point)).expect_err("full");
        assert!(error.message().contains("2147483647 bytes"), "{error}");
    }
}
