//! Geometries taken apart: runs of positions, for formats that are not made of WKB.

use super::failed;
use ukimet_model::wkb::{GeometryType, inspect};
use ukimet_model::{Error, Result};

/// A geometry, or a member of one that has members of several runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) kind: GeometryType,
    pub(super) has_z: bool,
    pub(super) has_m: bool,
    /// x and y of each position, one behind the other: of a path, of all rings, paths or points.
    pub(super) xy: Vec<f64>,
    /// The height of each position, if there are heights.
    pub(super) z: Vec<f64>,
    /// The measure of each position, if there are measures.
    pub(super) m: Vec<f64>,
    /// Of rings and paths, how many positions there are up to the end of each.
    pub(super) ends: Vec<u32>,
    /// Faces of several, and members of a collection.
    pub(super) members: Vec<Place>,
}

impl Place {
    /// Takes canonical WKB apart. The position of an empty point is left out.
    ///
    /// # Errors
    ///
    /// `Unavailable` if it is none.
    pub(super) fn read(wkb: &[u8]) -> Result<Self> {
        // After this every count and position lies inside, and the nesting is limited.
        inspect(wkb).map_err(failed)?;
        Reader { bytes: wkb }.geometry()
    }

    /// Whether it has no position.
    pub(super) fn is_empty(&self) -> bool {
        self.xy.is_empty() && self.members.iter().all(Self::is_empty)
    }

    fn new(kind: GeometryType, has_z: bool, has_m: bool) -> Self {
        let (xy, z, m) = (Vec::new(), Vec::new(), Vec::new());
        Self { kind, has_z, has_m, xy, z, m, ends: Vec::new(), members: Vec::new() }
    }

    /// Takes over the positions of a member of the same dimensions.
    fn append(&mut self, member: Self) {
        self.xy.extend(member.xy);
        self.z.extend(member.z);
        self.m.extend(member.m);
    }

    fn end_run(&mut self) {
        self.ends.push((self.xy.len() / 2) as u32);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let short = || Error::internal("a geometry is shorter than it was found to be");
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn count(&mut self) -> Result<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn number(&mut self) -> Result<f64> {
        self.take().map(f64::from_le_bytes)
    }

    fn geometry(&mut self) -> Result<Place> {
        let [_order] = self.take()?;
        let code = self.count()?;
        let (has_z, has_m) = (matches!(code / 1000, 1 | 3), matches!(code / 1000, 2 | 3));
        let kind = kind_of(code % 1000)?;
        let mut place = Place::new(kind, has_z, has_m);
        match kind {
            GeometryType::Point => self.positions(&mut place, 1)?,
            GeometryType::LineString => {
                let count = self.count()?;
                self.positions(&mut place, count)?;
            }
            GeometryType::Polygon => {
                for _ in 0..self.count()? {
                    let count = self.count()?;
                    self.positions(&mut place, count)?;
                    place.end_run();
                }
            }
            _ => self.members(&mut place)?,
        }
        Ok(place)
    }

    fn members(&mut self, place: &mut Place) -> Result<()> {
        for _ in 0..self.count()? {
            let member = self.geometry()?;
            match place.kind {
                GeometryType::MultiPoint => place.append(member),
                GeometryType::MultiLineString => {
                    place.append(member);
                    place.end_run();
                }
                _ => place.members.push(member),
            }
        }
        Ok(())
    }

    fn positions(&mut self, place: &mut Place, count: u32) -> Result<()> {
        for _ in 0..count {
            let (x, y) = (self.number()?, self.number()?);
            let z = if place.has_z { Some(self.number()?) } else { None };
            let m = if place.has_m { Some(self.number()?) } else { None };
            // An empty point is written with positions that are no numbers.
            if x.is_nan() && y.is_nan() {
                continue;
            }
            place.xy.extend([x, y]);
            place.z.extend(z);
            place.m.extend(m);
        }
        Ok(())
    }
}

fn kind_of(code: u32) -> Result<GeometryType> {
    Ok(match code {
        1 => GeometryType::Point,
        2 => GeometryType::LineString,
        3 => GeometryType::Polygon,
        4 => GeometryType::MultiPoint,
        5 => GeometryType::MultiLineString,
        6 => GeometryType::MultiPolygon,
        7 => GeometryType::GeometryCollection,
        other => return Err(Error::internal(format!("a geometry of type {other} was found to be a simple one"))),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use geozero::{CoordDimensions, ToWkb};

    pub(in crate::files) fn wkb(wkt: &str) -> Vec<u8> {
        let dimensions = CoordDimensions { z: wkt.contains('Z'), ..CoordDimensions::default() };
        geozero::wkt::Wkt(wkt).to_wkb(dimensions).expect("WKT")
    }

    fn read(wkt: &str) -> Place {
        Place::read(&wkb(wkt)).expect(wkt)
    }

    #[test]
    fn geometries_are_taken_apart_into_runs() {
        let face = read("POLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))");
        assert_eq!((face.xy.len(), &face.ends[..]), (16, &[4, 8][..]));
        let paths = read("MULTILINESTRING((0 0,1 1),(2 2,3 3,4 4))");
        assert_eq!((paths.xy.len(), &paths.ends[..]), (10, &[2, 5][..]));
        let points = read("MULTIPOINT(0 0,1 1)");
        assert_eq!((points.xy, points.ends), (vec![0.0, 0.0, 1.0, 1.0], vec![]));
        let faces = read("MULTIPOLYGON(((0 0,4 0,4 4,0 0)),((8 8,9 8,9 9,8 8)))");
        assert_eq!((faces.members.len(), faces.members[1].xy[0]), (2, 8.0));
        let high = read("POINT Z(1 2 3)");
        assert_eq!((high.xy, high.z), (vec![1.0, 2.0], vec![3.0]));
        assert!(Place::read(&wkb("POLYGON((0 0,4 0,4 4,0 0))")[..20]).is_err());
    }

    #[test]
    fn an_empty_geometry_has_no_position() {
        let nan = f64::NAN.to_le_bytes();
        let point = [&[1, 1, 0, 0, 0][..], &nan, &nan].concat();
        assert!(Place::read(&point).expect("a point").is_empty());
        assert!(read("GEOMETRYCOLLECTION EMPTY").is_empty() && !read("POINT(0 0)").is_empty());
    }
}
