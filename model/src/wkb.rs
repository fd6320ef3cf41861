//! Well-known binary, walked in place: bounds checked, nesting limited, nothing allocated by a count.
//!
//! Reads ISO WKB and EWKB of the seven simple-feature types in either byte order. The coordinates stay
//! where they are, so that a column of geometries is transformed without building geometry objects.

use std::fmt;

/// How deep collections may nest.
pub const DEPTH_MAX: usize = 8;

/// The seven types of OGC Simple Features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GeometryType {
    /// One position, perhaps empty.
    Point = 1,
    /// A path.
    LineString,
    /// A face with holes.
    Polygon,
    /// Several points.
    MultiPoint,
    /// Several paths.
    MultiLineString,
    /// Several faces.
    MultiPolygon,
    /// Anything together.
    GeometryCollection,
}

impl GeometryType {
    /// The name in OGC Simple Features.
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "Point",
            Self::LineString => "LineString",
            Self::Polygon => "Polygon",
            Self::MultiPoint => "MultiPoint",
            Self::MultiLineString => "MultiLineString",
            Self::MultiPolygon => "MultiPolygon",
            Self::GeometryCollection => "GeometryCollection",
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Point,
            2 => Self::LineString,
            3 => Self::Polygon,
            4 => Self::MultiPoint,
            5 => Self::MultiLineString,
            6 => Self::MultiPolygon,
            7 => Self::GeometryCollection,
            _ => return None,
        })
    }
}

/// Why bytes are not a geometry, with the offset where it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WkbError {
    /// A count or a coordinate reaches past the end.
    ExceedsBuffer {
        /// Byte offset of the count or coordinate.
        offset: usize,
    },
    /// A type code outside the seven (curves, surfaces, garbage).
    UnknownType {
        /// The code as read.
        code: u32,
    },
    /// Collections nest deeper than [`DEPTH_MAX`].
    Nesting,
    /// A member's type or dimensions do not fit its collection.
    Member {
        /// Byte offset of the member.
        offset: usize,
    },
    /// Bytes are left after the geometry.
    Trailing {
        /// How many.
        count: usize,
    },
    /// The byte order mark is neither 0 nor 1.
    ByteOrder {
        /// Byte offset of the mark.
        offset: usize,
    },
}

impl fmt::Display for WkbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExceedsBuffer { offset } => write!(f, "WKB count at byte {offset} exceeds buffer"),
            Self::UnknownType { code } => write!(f, "WKB type {code} is not one of the seven simple-feature types"),
            Self::Nesting => write!(f, "WKB nesting is deeper than {DEPTH_MAX}"),
            Self::Member { offset } => write!(f, "WKB member at byte {offset} does not fit its collection"),
            Self::Trailing { count } => write!(f, "WKB has {count} trailing bytes"),
            Self::ByteOrder { offset } => write!(f, "WKB byte order at byte {offset} is neither 0 nor 1"),
        }
    }
}

impl std::error::Error for WkbError {}

/// What a walk over one geometry found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "four independent facts about the bytes")]
pub struct Shape {
    /// The outermost type.
    pub kind: GeometryType,
    /// Whether positions have a height.
    pub has_z: bool,
    /// Whether positions have a measure.
    pub has_m: bool,
    /// Positions, the closing one of each ring included, those of empty points not.
    pub vertices: u64,
    /// `[min x, min y, max x, max y]`; `None` if empty.
    pub bounds: Option<[f64; 4]>,
    /// Whether every x and y is finite.
    pub is_finite: bool,
    /// Whether the bytes already are little-endian ISO WKB without an SRID.
    pub is_canonical: bool,
}

/// The place of positions that follow each other, all of them inside of the bytes.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: usize,
    /// Bytes of all positions, and of one.
    size: usize,
    position_size: usize,
    little_endian: bool,
}

/// Bytes of a position without height and measure.
const FLAT_SIZE: usize = 16;

impl Run {
    /// Every x and y.
    fn for_each(self, bytes: &[u8], mut take: impl FnMut(f64, f64)) {
        let run = &bytes[self.offset..self.offset + self.size];
        if self.little_endian && self.position_size == FLAT_SIZE {
            for position in run.as_chunks::<FLAT_SIZE>().0 {
                take(number(position, 0, true), number(position, 8, true));
            }
            return;
        }
        for position in run.chunks_exact(self.position_size) {
            take(number(position, 0, self.little_endian), number(position, 8, self.little_endian));
        }
    }

    /// Puts every x and y that `next` gives in the place of what stands there.
    fn replace(self, bytes: &mut [u8], next: &mut impl FnMut() -> (f64, f64)) {
        for position in bytes[self.offset..self.offset + self.size].chunks_exact_mut(self.position_size) {
            let (x, y) = next();
            let bytes = |value: f64| if self.little_endian { value.to_le_bytes() } else { value.to_be_bytes() };
            position[..8].copy_from_slice(&bytes(x));
            position[8..16].copy_from_slice(&bytes(y));
        }
    }
}

struct Walker<'a, F> {
    bytes: &'a [u8],
    at: usize,
    canonical: bool,
    visit: F,
}

#[derive(Clone, Copy, PartialEq)]
struct Header {
    kind: GeometryType,
    has_z: bool,
    has_m: bool,
    little_endian: bool,
}

impl<F: FnMut(Run)> Walker<'_, F> {
    fn u32(&mut self, little_endian: bool) -> Result<u32, WkbError> {
        let bytes = self
            .bytes
            .get(self.at..self.at + 4)
            .and_then(|b| b.try_into().ok())
            .ok_or(WkbError::ExceedsBuffer { offset: self.at })?;
        self.at += 4;
        Ok(if little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn header(&mut self) -> Result<Header, WkbError> {
        let little_endian = match self.bytes.get(self.at) {
            Some(0) => false,
            Some(1) => true,
            Some(_) => return Err(WkbError::ByteOrder { offset: self.at }),
            None => return Err(WkbError::ExceedsBuffer { offset: self.at }),
        };
        self.at += 1;
        let code = self.u32(little_endian)?;
        let (ewkb_z, ewkb_m, srid) = (code & 0x8000_0000 != 0, code & 0x4000_0000 != 0, code & 0x2000_0000 != 0);
        let plain = code & 0x1fff_ffff;
        if srid {
            self.u32(little_endian)?;
        }
        self.canonical &= little_endian && !(ewkb_z || ewkb_m || srid);
        let (iso_z, iso_m) = match plain / 1000 {
            0 => (false, false),
            1 => (true, false),
            2 => (false, true),
            3 => (true, true),
            _ => return Err(WkbError::UnknownType { code }),
        };
        let kind = GeometryType::from_code(plain % 1000).ok_or(WkbError::UnknownType { code })?;
        Ok(Header { kind, has_z: iso_z || ewkb_z, has_m: iso_m || ewkb_m, little_endian })
    }

    fn positions(&mut self, header: Header, count: usize) -> Result<(), WkbError> {
        let position_size = FLAT_SIZE + 8 * (usize::from(header.has_z) + usize::from(header.has_m));
        let left = self.bytes.len() - self.at;
        let size = count.checked_mul(position_size).filter(|size| *size <= left);
        let size = size.ok_or(WkbError::ExceedsBuffer { offset: self.at })?;
        (self.visit)(Run { offset: self.at, size, position_size, little_endian: header.little_endian });
        self.at += size;
        Ok(())
    }

    /// A count whose items take at least `item_size` bytes each, so that a lie shows before it is followed.
    fn count(&mut self, header: Header, item_size: usize) -> Result<usize, WkbError> {
        let offset = self.at;
        let count = self.u32(header.little_endian)? as usize;
        if count.saturating_mul(item_size) > self.bytes.len() - self.at {
            return Err(WkbError::ExceedsBuffer { offset });
        }
        Ok(count)
    }

    fn geometry(&mut self, depth: usize) -> Result<Header, WkbError> {
        if depth > DEPTH_MAX {
            return Err(WkbError::Nesting);
        }
        let header = self.header()?;
        match header.kind {
            GeometryType::Point => self.positions(header, 1)?,
            GeometryType::LineString => {
                let count = self.count(header, 16)?;
                self.positions(header, count)?;
            }
            GeometryType::Polygon => {
                for _ in 0..self.count(header, 4)? {
                    let count = self.count(header, 16)?;
                    self.positions(header, count)?;
                }
            }
            collection => {
                for _ in 0..self.count(header, 9)? {
                    let offset = self.at;
                    let member = self.geometry(depth + 1)?;
                    let fits = match collection {
                        GeometryType::MultiPoint => member.kind == GeometryType::Point,
                        GeometryType::MultiLineString => member.kind == GeometryType::LineString,
                        GeometryType::MultiPolygon => member.kind == GeometryType::Polygon,
                        _ => true,
                    };
                    if !fits || member.has_z != header.has_z || member.has_m != header.has_m {
                        return Err(WkbError::Member { offset });
                    }
                }
            }
        }
        Ok(header)
    }
}

fn number(bytes: &[u8], offset: usize, little_endian: bool) -> f64 {
    let bytes: [u8; 8] = bytes[offset..offset + 8].try_into().expect("a position was checked to lie inside");
    if little_endian { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) }
}

fn walk(bytes: &[u8], visit: impl FnMut(Run)) -> Result<(Header, bool), WkbError> {
    let mut walker = Walker { bytes, at: 0, canonical: true, visit };
    let header = walker.geometry(1)?;
    match bytes.len() - walker.at {
        0 => Ok((header, walker.canonical)),
        count => Err(WkbError::Trailing { count }),
    }
}

/// Walks one geometry and tells what it is.
///
/// # Errors
///
/// [`WkbError`] if the bytes are not exactly one geometry of the seven types.
pub fn inspect(bytes: &[u8]) -> Result<Shape, WkbError> {
    let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let (mut vertices, mut empty_positions, mut is_finite) = (0, 0_u64, true);
    let (header, is_canonical) = walk(bytes, |run| {
        run.for_each(bytes, |x, y| {
            if x.is_nan() && y.is_nan() {
                empty_positions += 1;
                return;
            }
            vertices += 1;
            is_finite &= x.is_finite() && y.is_finite();
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        });
    })?;
    // Only a point may be empty by NaN; in a path it is a damaged position.
    let points_only =
        matches!(header.kind, GeometryType::Point | GeometryType::MultiPoint | GeometryType::GeometryCollection);
    Ok(Shape {
        kind: header.kind,
        has_z: header.has_z,
        has_m: header.has_m,
        vertices,
        bounds: (vertices > 0).then_some(bounds),
        is_finite: is_finite && (empty_positions == 0 || points_only),
        is_canonical,
    })
}

/// Appends every x and y of one geometry, in the order of the bytes; empty points give NaN.
///
/// # Errors
///
/// As [`inspect`].
pub fn read_xy(bytes: &[u8], points: &mut Vec<(f64, f64)>) -> Result<(), WkbError> {
    walk(bytes, |run| {
        points.reserve(run.size / run.position_size);
        run.for_each(bytes, |x, y| points.push((x, y)));
    })?;
    Ok(())
}

/// Replaces every x and y of one geometry, in the order [`read_xy`] gave them. Heights and measures stay.
///
/// # Errors
///
/// As [`inspect`]; the bytes are then unchanged.
pub fn write_xy(bytes: &mut [u8], mut next: impl FnMut() -> (f64, f64)) -> Result<(), WkbError> {
    let mut runs = Vec::new();
    walk(bytes, |run| runs.push(run))?;
    for run in runs {
        run.replace(bytes, &mut next);
    }
    Ok(())
}

/// Rewrites one geometry as little-endian ISO WKB without an SRID, the form that is stored.
///
/// `flat` leaves out heights and measures.
///
/// # Errors
///
/// As [`inspect`].
pub fn to_canonical(bytes: &[u8], flat: bool) -> Result<Vec<u8>, WkbError> {
    copied(bytes, Kept { heights: !flat, measures: !flat })
}

/// The same without measures; heights stay.
///
/// # Errors
///
/// As [`inspect`].
pub fn without_measures(bytes: &[u8]) -> Result<Vec<u8>, WkbError> {
    copied(bytes, Kept { heights: true, measures: false })
}

/// What a copy keeps of each position beside x and y; never measures alone.
#[derive(Clone, Copy)]
struct Kept {
    heights: bool,
    measures: bool,
}

fn copied(bytes: &[u8], kept: Kept) -> Result<Vec<u8>, WkbError> {
    inspect(bytes)?;
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    copy_canonical(bytes, &mut at, kept, &mut out);
    Ok(out)
}

/// Copies the geometry at `at`, which a walk has already checked.
fn copy_canonical(bytes: &[u8], at: &mut usize, kept: Kept, out: &mut Vec<u8>) {
    let mut walker = Walker { bytes, at: *at, canonical: true, visit: |_: Run| () };
    let header = walker.header().expect("a walk has read this header");
    *at = walker.at;
    let (has_z, has_m) = (header.has_z && kept.heights, header.has_m && kept.measures);
    out.push(1);
    out.extend((header.kind as u32 + 1000 * u32::from(has_z) + 2000 * u32::from(has_m)).to_le_bytes());
    let numbers_in = 2 + usize::from(header.has_z) + usize::from(header.has_m);
    let numbers_out = 2 + usize::from(has_z) + usize::from(has_m);
    let copy_count = |at: &mut usize, out: &mut Vec<u8>| {
        let raw: [u8; 4] = bytes[*at..*at + 4].try_into().expect("a walk has read this count");
        let count = if header.little_endian { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) };
        out.extend(count.to_le_bytes());
        *at += 4;
        count
    };
    let copy_positions = |at: &mut usize, count: u32, out: &mut Vec<u8>| {
        for _ in 0..count {
            for i in 0..numbers_out {
                out.extend(number(bytes, *at + i * 8, header.little_endian).to_le_bytes());
            }
            *at += numbers_in * 8;
        }
    };
    match header.kind {
        GeometryType::Point => copy_positions(at, 1, out),
        GeometryType::LineString => {
            let count = copy_count(at, out);
            copy_positions(at, count, out);
        }
        GeometryType::Polygon => {
            for _ in 0..copy_count(at, out) {
                let count = copy_count(at, out);
                copy_positions(at, count, out);
            }
        }
        _ => {
            for _ in 0..copy_count(at, out) {
                copy_canonical(bytes, at, kept, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(little_endian: bool, code: u32, numbers: &[f64], count: u32) -> Vec<u8> {
        let mut bytes = vec![u8::from(little_endian)];
        let u32_bytes = |n: u32| if little_endian { n.to_le_bytes() } else { n.to_be_bytes() };
        bytes.extend(u32_bytes(code));
        bytes.extend(u32_bytes(count));
        for n in numbers {
            bytes.extend(if little_endian { n.to_le_bytes() } else { n.to_be_bytes() });
        }
        bytes
    }

    #[test]
    fn a_line_is_measured_in_either_byte_order() {
        for little_endian in [true, false] {
            let shape = inspect(&line(little_endian, 2, &[1.0, 2.0, -3.0, 4.0], 2)).expect("valid");
            assert_eq!((shape.kind, shape.vertices), (GeometryType::LineString, 2));
            assert_eq!(shape.bounds, Some([-3.0, 2.0, 1.0, 4.0]));
            assert_eq!(shape.is_canonical, little_endian);
        }
    }

    #[test]
    fn a_copy_without_measures_keeps_heights() {
        let both = line(true, 3002, &[1.0, 2.0, 9.0, 0.5, 3.0, 4.0, 8.0, 0.6], 2);
        assert_eq!(without_measures(&both).expect("valid"), line(true, 1002, &[1.0, 2.0, 9.0, 3.0, 4.0, 8.0], 2));
        let measures = line(true, 2002, &[1.0, 2.0, 0.5, 3.0, 4.0, 0.6], 2);
        assert_eq!(without_measures(&measures).expect("valid"), line(true, 2, &[1.0, 2.0, 3.0, 4.0], 2));
    }

    #[test]
    fn ewkb_and_iso_heights_become_the_same_canonical_bytes() {
        let iso = line(true, 1002, &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], 2);
        let ewkb = line(false, 0x8000_0002, &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0], 2);
        assert_eq!(to_canonical(&ewkb, false).expect("valid"), iso);
        assert_eq!(to_canonical(&ewkb, true).expect("valid"), line(true, 2, &[1.0, 2.0, 3.0, 4.0], 2));
    }

    #[test]
    fn coordinates_are_replaced_in_place() {
        let mut bytes = line(true, 1002, &[1.0, 2.0, 9.0, 3.0, 4.0, 8.0], 2);
        let mut points = Vec::new();
        read_xy(&bytes, &mut points).expect("valid");
        assert_eq!(points, [(1.0, 2.0), (3.0, 4.0)]);
        let mut i = 0.0;
        write_xy(&mut bytes, || {
            i += 1.0;
            (i, -i)
        })
        .expect("valid");
        assert_eq!(bytes, line(true, 1002, &[1.0, -1.0, 9.0, 2.0, -2.0, 8.0], 2));
    }

    #[test]
    fn flat_positions_are_read_as_those_with_heights_and_in_the_other_byte_order() {
        let flat = [1.0, 2.0, -0.0, 4.0, f64::NAN, 6.0, f64::NAN, f64::NAN, 7.0, f64::INFINITY];
        let high: Vec<f64> = flat.chunks(2).flat_map(|xy| [xy[0], xy[1], 9.0]).collect();
        let forms = [
            line(true, 2, &flat, 5),
            line(false, 2, &flat, 5),
            line(true, 1002, &high, 5),
            line(false, 1002, &high, 5),
        ];
        let read = |bytes: &Vec<u8>| {
            let mut points = Vec::new();
            read_xy(bytes, &mut points).expect("valid");
            let shape = inspect(bytes).expect("valid");
            let bits: Vec<[u64; 2]> = points.iter().map(|(x, y)| [x.to_bits(), y.to_bits()]).collect();
            (bits, shape.vertices, shape.bounds.map(|bounds| bounds.map(f64::to_bits)), shape.is_finite)
        };
        for other in &forms[1..] {
            assert_eq!(read(other), read(&forms[0]));
        }
        assert_eq!(read(&forms[0]).0, flat.chunks(2).map(|xy| [xy[0].to_bits(), xy[1].to_bits()]).collect::<Vec<_>>());
        for mut bytes in forms {
            let mut next = flat.chunks(2).rev().map(|xy| (xy[0], xy[1]));
            write_xy(&mut bytes, || next.next().expect("as many")).expect("valid");
            let mut points = Vec::new();
            read_xy(&bytes, &mut points).expect("valid");
            assert_eq!((points[0].0, points[4]), (7.0, (1.0, 2.0)));
        }
    }

    #[test]
    fn an_empty_point_has_no_bounds_and_a_damaged_path_is_not_finite() {
        let mut point = vec![1, 1, 0, 0, 0];
        point.extend(f64::NAN.to_le_bytes());
        point.extend(f64::NAN.to_le_bytes());
        let shape = inspect(&point).expect("valid");
        assert_eq!((shape.bounds, shape.is_finite), (None, true));
        assert!(!inspect(&line(true, 2, &[0.0, 0.0, f64::NAN, f64::NAN], 2)).expect("valid").is_finite);
        assert!(!inspect(&line(true, 2, &[0.0, 0.0, f64::INFINITY, 1.0], 2)).expect("valid").is_finite);
    }

    #[test]
    fn lies_are_found_before_they_are_followed() {
        assert!(matches!(inspect(&line(true, 2, &[1.0, 2.0], u32::MAX)), Err(WkbError::ExceedsBuffer { .. })));
        assert!(matches!(inspect(&line(true, 99, &[], 0)), Err(WkbError::UnknownType { code: 99 })));
        let mut trailing = line(true, 2, &[1.0, 2.0, 3.0, 4.0], 2);
        trailing.push(0);
        assert_eq!(inspect(&trailing), Err(WkbError::Trailing { count: 1 }));
        let mut nested = Vec::new();
        for _ in 0..10_000 {
            nested.extend([1, 7, 0, 0, 0, 1, 0, 0, 0]);
        }
        assert_eq!(inspect(&nested), Err(WkbError::Nesting));
        let mut mixed = vec![1, 5, 0, 0, 0, 1, 0, 0, 0];
        mixed.extend(line(true, 3, &[], 0));
        assert!(matches!(inspect(&mixed), Err(WkbError::Member { .. })));
        assert!(inspect(&[]).is_err());
    }
}
