//! What a geometry is made of, and geometries made of something else.

use super::arguments::{Arguments, place_of_point, point, write};
use super::{Kind, Outline};
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use geo_types::{Coord, Rect};
use std::sync::Arc;
use ukimet_model::error::quoted;
use ukimet_model::wkb::{Shape, inspect, to_canonical};
use ukimet_model::{Error, Result};

/// Longest text of one geometry, bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Parentheses inside each other in the text of a geometry: a collection in a collection of several faces.
const TEXT_NESTING_MAX: usize = 12;

pub(super) const FUNCTIONS: &[Outline] = &[
    Outline { name: "st_geomfromtext", takes: &[Kind::Text], gives: Kind::Geometry, does: from_text },
    Outline { name: "st_geomfromwkb", takes: &[Kind::Bytes], gives: Kind::Geometry, does: from_wkb },
    Outline { name: "st_point", takes: &[Kind::Number; 2], gives: Kind::Geometry, does: from_numbers },
    Outline { name: "st_makeenvelope", takes: &[Kind::Number; 4], gives: Kind::Geometry, does: from_corners },
    Outline { name: "st_x", takes: &[Kind::Geometry], gives: Kind::Number, does: x },
    Outline { name: "st_y", takes: &[Kind::Geometry], gives: Kind::Number, does: y },
    Outline { name: "st_geometrytype", takes: &[Kind::Geometry], gives: Kind::Text, does: geometry_type },
    Outline { name: "st_isempty", takes: &[Kind::Geometry], gives: Kind::Flag, does: is_empty },
    Outline { name: "st_npoints", takes: &[Kind::Geometry], gives: Kind::Count, does: positions },
];

fn shape(wkb: &[u8]) -> Result<Shape> {
    inspect(wkb).map_err(|error| {
        Error::invalid_request(format!("a function on geometries was given bytes that are no WKB: {error}"))
    })
}

fn from_text(arguments: &Arguments) -> Result<ArrayRef> {
    let read = |row: usize| arguments.text(0, row).map(read_text).transpose();
    Ok(Arc::new((0..arguments.rows).map(read).collect::<Result<BinaryArray>>()?))
}

fn read_text(text: &str) -> Result<Vec<u8>> {
    let depths = text.bytes().scan(0_usize, |depth, byte| {
        *depth = match byte {
            b'(' => *depth + 1,
            b')' => depth.saturating_sub(1),
            _ => *depth,
        };
        Some(*depth)
    });
    if text.len() > TEXT_BYTES_MAX || depths.max().unwrap_or(0) > TEXT_NESTING_MAX {
        return Err(Error::limit_reached(format!(
            "the text of a geometry has at most {TEXT_BYTES_MAX} bytes and {TEXT_NESTING_MAX} parentheses inside each other"
        )));
    }
    let none = || {
        Error::invalid_request(format!(
            "the text of a geometry is WKT such as POINT(76.9 43.2), longitude first, found {}",
            quoted(text)
        ))
    };
    let wkb = geozero::ToWkb::to_wkb(&geozero::wkt::Wkt(text), geozero::CoordDimensions::xy());
    canonical(&wkb.map_err(|error| none().caused_by(error))?).map_err(|error| none().caused_by(error))
}

fn from_wkb(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, BinaryArray>(|wkb| canonical(wkb).map(Some))?))
}

/// WKB as it is published: two-dimensional or not, little-endian, every number finite.
fn canonical(wkb: &[u8]) -> Result<Vec<u8>> {
    let shape = shape(wkb)?;
    if !shape.is_finite && shape.vertices > 0 {
        return Err(Error::invalid_request("a geometry has coordinates that are no finite numbers"));
    }
    to_canonical(wkb, false).map_err(|error| Error::invalid_request("a geometry is no WKB").caused_by(error))
}

#[allow(clippy::unnecessary_wraps, reason = "functions on geometries have one type")]
fn from_numbers(arguments: &Arguments) -> Result<ArrayRef> {
    let made = |row: usize| {
        let (x, y) = (arguments.number(0, row)?, arguments.number(1, row)?);
        (x.is_finite() && y.is_finite()).then(|| point(x, y))
    };
    Ok(Arc::new((0..arguments.rows).map(made).collect::<BinaryArray>()))
}

fn from_corners(arguments: &Arguments) -> Result<ArrayRef> {
    let made = |row: usize| {
        let corner = |argument: usize| arguments.number(argument, row).filter(|number| number.is_finite());
        let (west, south) = corner(0).zip(corner(1))?;
        let (east, north) = corner(2).zip(corner(3))?;
        let corners = Rect::new(Coord { x: west, y: south }, Coord { x: east, y: north });
        Some(write(&corners.to_polygon().into()))
    };
    Ok(Arc::new((0..arguments.rows).map(|row| made(row).transpose()).collect::<Result<BinaryArray>>()?))
}

/// The place of a point; `None` for everything else, and for one without a place.
fn place(wkb: &[u8]) -> Result<Option<(f64, f64)>> {
    if let Some(place) = place_of_point(wkb) {
        return Ok(Some(place));
    }
    let shape = shape(wkb)?;
    let bounds = shape.bounds.filter(|_| shape.kind == ukimet_model::wkb::GeometryType::Point);
    Ok(bounds.map(|[x, y, ..]| (x, y)))
}

fn x(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, Float64Array>(|wkb| Ok(place(wkb)?.map(|(x, _)| x)))?))
}

fn y(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, Float64Array>(|wkb| Ok(place(wkb)?.map(|(_, y)| y)))?))
}

fn geometry_type(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, StringArray>(|wkb| Ok(Some(format!("ST_{}", shape(wkb)?.kind.name()))))?))
}

fn is_empty(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, BooleanArray>(|wkb| Ok(Some(shape(wkb)?.vertices == 0)))?))
}

fn positions(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, Int64Array>(|wkb| Ok(Some(shape(wkb)?.vertices as i64)))?))
}
