//! How far geometries moved, and how much their areas grew.
//!
//! What changes in a register is mostly small. Small polygons are measured with a formula that is as right there as the
//! general one, to a square centimetre in a hectare, and many times cheaper; greater ones along the ellipsoid as a whole.

use crate::distance::{ECCENTRICITY_2, LATITUDE_MAX, SEMI_MAJOR_M, SHORT_DEGREES, distance_m};
use crate::shape::geometry;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array};
use geo::{BoundingRect, Centroid, GeodesicArea, Geometry, LineString, Polygon};

/// How far the geometry of each row moved, and how much its area grew; null where it is missing on a side or did not
/// change.
pub(super) fn moves(old: Option<&ArrayRef>, new: Option<&ArrayRef>, rows: usize) -> (Float64Array, Float64Array) {
    let binary = |column: Option<&ArrayRef>| column.and_then(|column| column.as_binary_opt::<i32>().cloned());
    let Some((old, new)) = binary(old).zip(binary(new)) else {
        return (Float64Array::new_null(rows), Float64Array::new_null(rows));
    };
    let moved = (0..rows).map(|row| {
        if old.is_null(row) || new.is_null(row) || old.value(row) == new.value(row) {
            return (None, None);
        }
        let Some((old, new)) = geometry(old.value(row)).zip(geometry(new.value(row))) else { return (None, None) };
        let centers = old.centroid().zip(new.centroid());
        (centers.map(|(old, new)| distance_m(old, new)), Some(area_m2(&new) - area_m2(&old)))
    });
    let (distances, areas): (Vec<_>, Vec<_>) = moved.unzip();
    (distances.into(), areas.into())
}

fn area_m2(geometry: &Geometry) -> f64 {
    match geometry {
        Geometry::Polygon(polygon) => polygon_area_m2(polygon),
        Geometry::MultiPolygon(polygons) => polygons.iter().map(polygon_area_m2).sum(),
        other => other.geodesic_area_unsigned(),
    }
}

fn polygon_area_m2(polygon: &Polygon) -> f64 {
    let is_small = polygon.bounding_rect().is_some_and(|bounds| {
        bounds.width() <= SHORT_DEGREES
            && bounds.height() <= SHORT_DEGREES
            && bounds.min().y >= -LATITUDE_MAX
            && bounds.max().y <= LATITUDE_MAX
    });
    if !is_small {
        return polygon.geodesic_area_unsigned();
    }
    let holes: f64 = polygon.interiors().iter().map(small_ring_area_m2).sum();
    small_ring_area_m2(polygon.exterior()) - holes
}

/// The area within a ring on the sphere that has the ellipsoid's area, at the latitudes where areas are kept: the sum of
/// the figures between each side and the equator.
fn small_ring_area_m2(ring: &LineString) -> f64 {
    let at_pole = authalic(1.0);
    let corners = ring.coords().map(|corner| {
        let latitude = (authalic(corner.y.to_radians().sin()) / at_pole).asin();
        (corner.x.to_radians(), latitude)
    });
    let (mut excess, mut before) = (0.0, None);
    for (x, y) in corners {
        if let Some((x_before, y_before)) = before.replace((x, y)) {
            let (half_turn, middle, half_rise): (f64, f64, f64) =
                ((x - x_before) / 2.0, f64::midpoint(y, y_before), (y - y_before) / 2.0);
            excess += 2.0 * (half_turn.tan() * middle.sin() / half_rise.cos()).atan();
        }
    }
    (excess * SEMI_MAJOR_M * SEMI_MAJOR_M * at_pole / 2.0).abs()
}

/// What the area from the equator to a latitude, given by its sine, is proportional to.
fn authalic(sine: f64) -> f64 {
    let eccentricity = ECCENTRICITY_2.sqrt();
    let bent = sine / (1.0 - ECCENTRICITY_2 * sine * sine) + (eccentricity * sine).atanh() / eccentricity;
    (1.0 - ECCENTRICITY_2) * bent
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring((x, y): (f64, f64), radii: &[f64], degrees: f64) -> LineString {
        let corner = |(i, radius): (usize, &f64)| {
            let angle = i as f64 / radii.len() as f64 * std::f64::consts::TAU;
            (x + degrees * radius * angle.cos(), y + degrees * radius * angle.sin())
        };
        radii.iter().enumerate().chain([(0, &radii[0])]).map(corner).collect::<Vec<_>>().into()
    }

    proptest! {
        #[test]
        fn what_is_small_has_the_area_that_the_general_formula_gives(
            at in (46.0..88.0_f64, -84.0..84.0_f64),
            radii in proptest::collection::vec(0.5..1.0_f64, 3..20),
            degrees in 1e-4..0.02_f64,
        ) {
            let hole = radii.iter().map(|radius| radius / 3.0).rev().collect::<Vec<_>>();
            let mut hole = ring(at, &hole, degrees);
            hole.0.reverse();
            let polygon = Polygon::new(ring(at, &radii, degrees), vec![hole]);
            let (found, expected) = (area_m2(&polygon.clone().into()), polygon.geodesic_area_unsigned());
            prop_assert!((found - expected).abs() <= 1e-4 + expected * 1e-7, "{found} m², expected {expected}");
        }
    }
}
