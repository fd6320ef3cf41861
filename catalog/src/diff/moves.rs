//! How far geometries moved, and how much their areas grew.
//!
//! What changes in a register is mostly small and moves little. Short ways and small polygons are measured with formulas
//! that are as right there as the general ones, to a tenth of a millimetre and of a square centimetre in a hectare, and
//! many times cheaper; everything else goes along the ellipsoid as a whole.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Float64Array};
use geo::{BoundingRect, Centroid, Distance, Geodesic, GeodesicArea, Geometry, LineString, Point, Polygon};
use geo_traits::to_geo::ToGeoGeometry;

/// WGS 84: half the equator's diameter in metres, and the first eccentricity squared.
const SEMI_MAJOR_M: f64 = 6_378_137.0;
const ECCENTRICITY_2: f64 = 0.006_694_379_990_141_317;
/// Degrees that a short way spans at most: about a kilometre.
const SHORT_DEGREES: f64 = 0.01;
/// Degrees from the equator up to which the formulas for what is small hold.
const LATITUDE_MAX: f64 = 85.0;

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

fn geometry(bytes: &[u8]) -> Option<Geometry> {
    wkb::reader::read_wkb(bytes).ok().and_then(|geometry| geometry.try_to_geometry())
}

fn distance_m(from: Point, to: Point) -> f64 {
    let (east, north) = (to.x() - from.x(), to.y() - from.y());
    let middle = f64::midpoint(from.y(), to.y());
    if east.abs() > SHORT_DEGREES || north.abs() > SHORT_DEGREES || middle.abs() > LATITUDE_MAX {
        return Geodesic.distance(from, to);
    }
    let (sine, cosine) = middle.to_radians().sin_cos();
    let flatness = 1.0 - ECCENTRICITY_2 * sine * sine;
    let across_m = SEMI_MAJOR_M / flatness.sqrt();
    let along_m = across_m * (1.0 - ECCENTRICITY_2) / flatness;
    (along_m * north.to_radians()).hypot(across_m * cosine * east.to_radians())
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

        #[test]
        fn a_short_way_is_as_long_as_the_general_formula_says(
            at in (46.0..88.0_f64, -84.0..84.0_f64),
            way in (-0.02..0.02_f64, -0.02..0.02_f64),
        ) {
            let (from, to) = (Point::from(at), Point::new(at.0 + way.0, at.1 + way.1));
            let (found, expected) = (distance_m(from, to), Geodesic.distance(from, to));
            prop_assert!((found - expected).abs() <= 1e-4, "{found} m, expected {expected}");
        }
    }
}
