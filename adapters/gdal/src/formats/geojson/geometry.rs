//! Geometry objects as WKB.

use super::cursor::{Broken, Items, Members};
use ukimet_model::wkb::{DEPTH_MAX, GeometryType};

/// A geometry and what it lost on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Positions with more than three numbers, of which three are kept.
    pub(super) numbers_dropped: u64,
    /// Positions without a height among others that have one, which became 0.
    pub(super) heights_missing: u64,
}

/// Why there is no geometry.
pub(super) type Damage = String;

const TYPES: [(&str, GeometryType); 7] = [
    ("Point", GeometryType::Point),
    ("LineString", GeometryType::LineString),
    ("Polygon", GeometryType::Polygon),
    ("MultiPoint", GeometryType::MultiPoint),
    ("MultiLineString", GeometryType::MultiLineString),
    ("MultiPolygon", GeometryType::MultiPolygon),
    ("GeometryCollection", GeometryType::GeometryCollection),
];

/// The type of a geometry object that has this `type`, quotes included.
pub(super) fn geometry_type(text: &[u8]) -> Option<GeometryType> {
    let name = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, kind)| *kind)
}

/// Reads a geometry object as little-endian ISO WKB, with heights if any position has one.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn to_wkb(object: &[u8]) -> Result<(Vec<u8>, Loss), Damage> {
    let mut writer =
        Writer { bytes: Vec::with_capacity(object.len()), has_z: false, found_z: false, loss: Loss::default() };
    writer.geometry(object, 0)?;
    if writer.found_z {
        // The kind of the first position does not bind the others, so what has heights is written again.
        writer = Writer { bytes: Vec::with_capacity(object.len()), has_z: true, found_z: false, loss: Loss::default() };
        writer.geometry(object, 0)?;
    }
    Ok((writer.bytes, writer.loss))
}

struct Writer {
    bytes: Vec<u8>,
    has_z: bool,
    found_z: bool,
    loss: Loss,
}

impl Writer {
    fn geometry(&mut self, object: &[u8], depth: usize) -> Result<(), Damage> {
        if depth >= DEPTH_MAX {
            return Err(format!("collections nest deeper than {DEPTH_MAX}"));
        }
        if object.first() != Some(&b'{') {
            return Err("a geometry is an object".to_owned());
        }
        let (mut kind, mut coordinates, mut geometries) = (None, None, None);
        for member in Members::of(object) {
            match member.map_err(damage)? {
                (b"\"type\"", value) => kind = Some(value),
                (b"\"coordinates\"", value) => coordinates = Some(value),
                (b"\"geometries\"", value) => geometries = Some(value),
                _ => (),
            }
        }
        let kind = kind.ok_or("it has no type")?;
        let kind = geometry_type(kind)
            .ok_or_else(|| format!("its type is {}", String::from_utf8_lossy(&kind[..kind.len().min(40)])))?;
        let inside = if kind == GeometryType::GeometryCollection { geometries } else { coordinates };
        let inside = inside.filter(|value| value.first() == Some(&b'[')).ok_or("it has no list of coordinates")?;
        match kind {
            GeometryType::GeometryCollection => {
                self.header(kind);
                self.counted(inside, |writer, item| writer.geometry(item, depth + 1))
            }
            kind => self.shape(kind, inside),
        }
    }

    fn shape(&mut self, kind: GeometryType, coordinates: &[u8]) -> Result<(), Damage> {
        self.header(kind);
        let member = match kind {
            GeometryType::Point => return self.point(coordinates),
            GeometryType::MultiPoint => GeometryType::Point,
            GeometryType::MultiLineString => GeometryType::LineString,
            GeometryType::MultiPolygon => GeometryType::Polygon,
            GeometryType::LineString => return self.counted(coordinates, Self::position),
            _ => return self.counted(coordinates, |writer, ring| writer.counted(ring, Self::position)),
        };
        self.counted(coordinates, |writer, item| writer.shape(member, item))
    }

    /// An empty list is an empty point.
    fn point(&mut self, coordinates: &[u8]) -> Result<(), Damage> {
        if coordinates.first() == Some(&b'[') && Items::of(coordinates).next().is_none() {
            for _ in 0..if self.has_z { 3 } else { 2 } {
                self.bytes.extend(f64::NAN.to_le_bytes());
            }
            return Ok(());
        }
        self.position(coordinates)
    }

    fn header(&mut self, kind: GeometryType) {
        self.bytes.push(1);
        self.bytes.extend((kind as u32 + if self.has_z { 1000 } else { 0 }).to_le_bytes());
    }

    /// The items of a list after their number.
    fn counted(&mut self, list: &[u8], write: impl Fn(&mut Self, &[u8]) -> Result<(), Damage>) -> Result<(), Damage> {
        if list.first() != Some(&b'[') {
            return Err("a list of positions was expected".to_owned());
        }
        let at = self.bytes.len();
        self.bytes.extend([0; 4]);
        let mut count = 0_u32;
        for item in Items::of(list) {
            write(self, item.map_err(damage)?)?;
            count += 1;
        }
        self.bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        Ok(())
    }

    fn position(&mut self, position: &[u8]) -> Result<(), Damage> {
        if position.first() != Some(&b'[') {
            return Err("a position is a list of numbers".to_owned());
        }
        let mut values = [0.0; 3];
        let mut count = 0;
        for item in Items::of(position) {
            let item = item.map_err(damage)?;
            let value = coordinate(item)
                .ok_or_else(|| format!("a coordinate is {}", String::from_utf8_lossy(&item[..item.len().min(40)])))?;
            if let Some(slot) = values.get_mut(count) {
                *slot = value;
            }
            count += 1;
        }
        if count < 2 {
            return Err(format!("a position has {count} numbers"));
        }
        self.found_z |= count > 2 && !self.has_z;
        self.loss.numbers_dropped += u64::from(count > 3);
        self.loss.heights_missing += u64::from(self.has_z && count < 3);
        for value in &values[..if self.has_z { 3 } else { 2 }] {
            self.bytes.extend(value.to_le_bytes());
        }
        Ok(())
    }
}

/// A finite number in JSON's notation.
fn coordinate(text: &[u8]) -> Option<f64> {
    if !matches!(text.first()?, b'-' | b'0'..=b'9') {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

fn damage(broken: Broken) -> Damage {
    match broken {
        Broken::Incomplete => "it ends inside a value".to_owned(),
        Broken::Expected(what, at) => format!("{what} was expected at its byte {at}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::wkb::inspect;

    #[test]
    fn every_type_is_wkb() {
        for (text, kind) in [
            (r#"{"type":"Point","coordinates":[76,43]}"#, GeometryType::Point),
            (r#"{"type":"Point","coordinates":[]}"#, GeometryType::Point),
            (r#"{"coordinates":[[76,43],[77,44,5]],"type":"LineString"}"#, GeometryType::LineString),
            (r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]],[]]}"#, GeometryType::Polygon),
            (r#"{"type":"MultiPoint","coordinates":[[1,2,3],[4,5,6]]}"#, GeometryType::MultiPoint),
            (r#"{"type":"MultiLineString","coordinates":[]}"#, GeometryType::MultiLineString),
            (r#"{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]]]}"#, GeometryType::MultiPolygon),
            (
                r#"{"type":"GeometryCollection","geometries":[{"type":"Point","coordinates":[1,2]}]}"#,
                GeometryType::GeometryCollection,
            ),
        ] {
            let (wkb, _) = to_wkb(text.as_bytes()).expect(text);
            assert_eq!(inspect(&wkb).expect(text).kind, kind, "{text}");
        }
        let (_, loss) = to_wkb(br#"{"type":"LineString","coordinates":[[76,43],[77,44,5,6]]}"#).expect("a line");
        assert_eq!(loss, Loss { numbers_dropped: 1, heights_missing: 1 });
    }

    #[test]
    fn what_is_no_geometry_says_why() {
        for (text, why) in [
            (r#"{"type":"Circle","coordinates":[1,2]}"#, "its type is \"Circle\""),
            (r#"{"type":"Point","coordinates":[1]}"#, "a position has 1 numbers"),
            (r#"{"type":"Point","coordinates":[1,NaN]}"#, "a coordinate is NaN"),
            (r#"{"type":"Point","coordinates":[1e400,1]}"#, "a coordinate is 1e400"),
            (r#"{"type":"Point","coordinates":["76","43"]}"#, "a coordinate is \"76\""),
            (r#"{"type":"Point","coordinates":null}"#, "no list of coordinates"),
            (r#"{"type":"LineString","coordinates":[1,2]}"#, "a position is a list"),
            ("[1]", "a geometry is an object"),
        ] {
            let error = to_wkb(text.as_bytes()).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        let deep = format!("{}{}", r#"{"type":"GeometryCollection","geometries":["#.repeat(2_000), "]}".repeat(2_000));
        assert!(to_wkb(deep.as_bytes()).expect_err("deep").contains("deeper"));
    }
}
