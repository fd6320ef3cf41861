//! Metres between places on the ellipsoid of WGS 84.
//!
//! Short ways are measured with a formula that is as right there as the general one, to a tenth of a millimetre, and many
//! times cheaper.

use geo::{Distance, Geodesic, Point};

/// Half the equator's diameter in metres.
pub(crate) const SEMI_MAJOR_M: f64 = 6_378_137.0;
/// The first eccentricity squared.
pub(crate) const ECCENTRICITY_2: f64 = 0.006_694_379_990_141_317;
/// Degrees that a short way spans at most: about a kilometre.
pub(crate) const SHORT_DEGREES: f64 = 0.01;
/// Degrees from the equator up to which the formulas for what is small hold.
pub(crate) const LATITUDE_MAX: f64 = 85.0;

/// Metres along the ellipsoid between two places in OGC:CRS84.
pub(crate) fn distance_m(from: Point, to: Point) -> f64 {
    let (east, north) = (to.x() - from.x(), to.y() - from.y());
    let middle = f64::midpoint(from.y(), to.y());
    if east.abs() > SHORT_DEGREES || north.abs() > SHORT_DEGREES || middle.abs() > LATITUDE_MAX {
        return Geodesic.distance(from, to);
    }
    let (along_m, across_m) = degree_radii_m(middle);
    (along_m * north.to_radians()).hypot(across_m * east.to_radians())
}

/// Radii of the circles of longitude and of latitude that fit the ellipsoid at a latitude, metres.
pub(crate) fn degree_radii_m(latitude: f64) -> (f64, f64) {
    let (sine, cosine) = latitude.to_radians().sin_cos();
    let flatness = 1.0 - ECCENTRICITY_2 * sine * sine;
    let normal_m = SEMI_MAJOR_M / flatness.sqrt();
    (normal_m * (1.0 - ECCENTRICITY_2) / flatness, normal_m * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
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
