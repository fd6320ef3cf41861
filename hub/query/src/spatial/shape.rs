//! Geometries made of others, as if degrees were a plane.

use super::arguments::{Arguments, read, write};
use super::{Kind, Outline};
use arrow_array::{ArrayRef, BinaryArray};
use geo::{BoundingRect, Centroid, ConvexHull, CoordsIter, MultiPoint, Simplify};
use geo_types::{Geometry, LineString, Point, Rect};
use std::sync::Arc;
use ukimet_model::{Error, Result};

pub(super) const FUNCTIONS: &[Outline] = &[
    Outline { name: "st_centroid", takes: &[Kind::Geometry], gives: Kind::Geometry, does: centroid },
    Outline { name: "st_envelope", takes: &[Kind::Geometry], gives: Kind::Geometry, does: envelope },
    Outline { name: "st_convexhull", takes: &[Kind::Geometry], gives: Kind::Geometry, does: hull },
    Outline { name: "st_simplify", takes: &[Kind::Geometry, Kind::Number], gives: Kind::Geometry, does: simplify },
];

fn centroid(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.shapes(|geometry| Ok(geometry.centroid().map(Geometry::Point)))
}

fn envelope(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.shapes(|geometry| Ok(geometry.bounding_rect().map(box_of)))
}

/// A box as a face; one without width or height as a line, one without both as a point.
pub(super) fn box_of(bounds: Rect) -> Geometry {
    let (low, high) = (bounds.min(), bounds.max());
    match (low.x < high.x, low.y < high.y) {
        (true, true) => bounds.to_polygon().into(),
        (false, false) => Point::from(low).into(),
        _ => LineString::from(vec![low, high]).into(),
    }
}

fn hull(arguments: &Arguments) -> Result<ArrayRef> {
    arguments.shapes(|geometry| {
        let places: MultiPoint = geometry.coords_iter().map(Point::from).collect();
        Ok((!places.0.is_empty()).then(|| places.convex_hull().into()))
    })
}

fn simplify(arguments: &Arguments) -> Result<ArrayRef> {
    let made = |row: usize| -> Result<Option<Vec<u8>>> {
        let Some((wkb, degrees)) = arguments.bytes(0, row).zip(arguments.number(1, row)) else { return Ok(None) };
        if !degrees.is_finite() || degrees < 0.0 {
            return Err(Error::invalid_request(format!("ST_Simplify takes degrees of 0 or more, found {degrees}")));
        }
        write(&simpler(read(wkb)?, degrees)).map(Some)
    };
    Ok(Arc::new((0..arguments.rows).map(made).collect::<Result<BinaryArray>>()?))
}

/// Without places that lie closer to the line without them than these degrees.
fn simpler(geometry: Geometry, degrees: f64) -> Geometry {
    match geometry {
        Geometry::LineString(line) => line.simplify(degrees).into(),
        Geometry::MultiLineString(lines) => lines.simplify(degrees).into(),
        Geometry::Polygon(polygon) => polygon.simplify(degrees).into(),
        Geometry::MultiPolygon(polygons) => polygons.simplify(degrees).into(),
        other => other,
    }
}
