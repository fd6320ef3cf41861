//! How far two geometries are from each other.

use super::near::Nearness;
use crate::distance::distance_m;
use crate::shape::geometry;
use geo::{CoordsIter, Intersects};
use geo_types::{Geometry, Point};
use ukimet_model::{Error, Result};

/// Metres along the ellipsoid of WGS 84 between the nearest places of two geometries, WKB in OGC:CRS84; 0 if they share
/// one, `None` if one of them is empty. Between points it is exact, otherwise half a millimetre too much at most.
///
/// # Errors
///
/// `InvalidRequest` if one is no WKB, or has more sides than are measured.
pub fn way_m(one: &[u8], other: &[u8]) -> Result<Option<f64>> {
    let read = |wkb| geometry(wkb).ok_or_else(|| Error::invalid_request("a distance is asked of what is no geometry"));
    let (one, other) = (read(one)?, read(other)?);
    if let (Geometry::Point(one), Geometry::Point(other)) = (&one, &other) {
        return Ok(Some(distance_m(*one, *other)));
    }
    let first = |geometry: &Geometry| geometry.coords_iter().next().map(Point::from);
    let Some((from, to)) = first(&one).zip(first(&other)) else { return Ok(None) };
    if one.intersects(&other) {
        return Ok(Some(0.0));
    }
    Nearness::way_m(&one, &other, distance_m(from, to)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use geo::{Distance, Geodesic};
    use geo_types::{LineString, Polygon, polygon};
    use proptest::prelude::*;

    fn wkb(geometry: &Geometry) -> Vec<u8> {
        let mut bytes = Vec::new();
        wkb::writer::write_geometry(&mut bytes, geometry, &wkb::writer::WriteOptions::default()).expect("written");
        bytes
    }

    #[test]
    fn what_shares_a_place_is_not_apart_and_what_is_empty_nowhere() {
        let square: Geometry =
            polygon![(x: 76.0, y: 43.0), (x: 77.0, y: 43.0), (x: 77.0, y: 44.0), (x: 76.0, y: 44.0)].into();
        let inside: Geometry = Point::new(76.5, 43.5).into();
        assert_eq!(way_m(&wkb(&square), &wkb(&inside)).expect("measured"), Some(0.0));
        let nothing: Geometry = Polygon::new(LineString::new(Vec::new()), Vec::new()).into();
        assert_eq!(way_m(&wkb(&square), &wkb(&nothing)).expect("measured"), None);
    }

    proptest! {
        #[test]
        fn the_way_to_a_short_side_is_the_shortest_to_any_place_of_it(
            place in (70.0..80.0_f64, 40.0..50.0_f64),
            from in (70.0..80.0_f64, 40.0..50.0_f64),
            side in (-0.4..0.4_f64, -0.4..0.4_f64),
        ) {
            let line: Geometry = LineString::from(vec![from, (from.0 + side.0, from.1 + side.1)]).into();
            let point = Point::from(place);
            let found = way_m(&wkb(&line), &wkb(&point.into())).expect("measured").expect("neither is empty");
            let along = |share: f64| Point::new(from.0 + side.0 * share, from.1 + side.1 * share);
            let ways = (0..=2000).map(|step| Geodesic.distance(point, along(f64::from(step) / 2000.0)));
            let expected = ways.fold(f64::INFINITY, f64::min);
            prop_assert!(found <= expected + 0.001 && found >= expected - 15.0, "{found} m, about {expected}");
        }
    }
}
