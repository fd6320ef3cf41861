//! Lengths, distances and areas on the ellipsoid of WGS 84.

use super::arguments::{Arguments, read};
use super::{Kind, Outline};
use arrow_array::{ArrayRef, Float64Array};
use geo::{Geodesic, GeodesicArea, Length};
use geo_types::{Geometry, LineString, Polygon};
use std::sync::Arc;
use ukimet_catalog::way_m;
use ukimet_model::Result;

pub(super) const FUNCTIONS: &[Outline] = &[
    Outline { name: "st_area", takes: &[Kind::Geometry], gives: Kind::Number, does: area },
    Outline { name: "st_length", takes: &[Kind::Geometry], gives: Kind::Number, does: length },
    Outline { name: "st_distance", takes: &[Kind::Geometry; 2], gives: Kind::Number, does: distance },
];

fn area(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, Float64Array>(|wkb| read(wkb).map(|geometry| Some(area_m2(&geometry))))?))
}

/// Square metres, whichever way the rings go round.
fn area_m2(geometry: &Geometry) -> f64 {
    match geometry {
        Geometry::Polygon(polygon) => polygon_m2(polygon),
        Geometry::MultiPolygon(polygons) => polygons.iter().map(polygon_m2).sum(),
        Geometry::GeometryCollection(parts) => parts.iter().map(area_m2).sum(),
        _ => 0.0,
    }
}

fn polygon_m2(polygon: &Polygon) -> f64 {
    let ring = |ring: &LineString| Polygon::new(ring.clone(), Vec::new()).geodesic_area_signed().abs();
    ring(polygon.exterior()) - polygon.interiors().iter().map(ring).sum::<f64>()
}

fn length(arguments: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(arguments.each::<_, Float64Array>(|wkb| read(wkb).map(|geometry| Some(length_m(&geometry))))?))
}

/// Metres of lines; borders of faces do not count.
fn length_m(geometry: &Geometry) -> f64 {
    match geometry {
        Geometry::LineString(line) => Geodesic.length(line),
        Geometry::MultiLineString(lines) => Geodesic.length(lines),
        Geometry::GeometryCollection(parts) => parts.iter().map(length_m).sum(),
        _ => 0.0,
    }
}

fn distance(arguments: &Arguments) -> Result<ArrayRef> {
    let measured = |row: usize| match arguments.bytes(0, row).zip(arguments.bytes(1, row)) {
        Some((one, other)) => way_m(one, other),
        None => Ok(None),
    };
    Ok(Arc::new((0..arguments.rows).map(measured).collect::<Result<Float64Array>>()?))
}
