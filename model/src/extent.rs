//! Spatial reach.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A box in OGC:CRS84: degrees, longitude before latitude, borders included.
///
/// Written `[west, south, east, north]`. Where `west > east` the box crosses the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 4]", into = "[f64; 4]")]
pub struct BoundingBox {
    /// Smallest longitude, or the western border of a box across the antimeridian.
    pub west: f64,
    /// Smallest latitude.
    pub south: f64,
    /// Largest longitude, or the eastern border of a box across the antimeridian.
    pub east: f64,
    /// Largest latitude.
    pub north: f64,
}

impl BoundingBox {
    /// Checks that the numbers are finite, within ±180 and ±90, and south is not above north.
    pub fn try_new(west: f64, south: f64, east: f64, north: f64) -> Result<Self> {
        let bbox = Self { west, south, east, north };
        let lon_ok = |x: f64| (-180.0..=180.0).contains(&x);
        let lat_ok = |y: f64| (-90.0..=90.0).contains(&y);
        if lon_ok(west) && lon_ok(east) && lat_ok(south) && lat_ok(north) && south <= north {
            return Ok(bbox);
        }
        Err(Error::invalid_request(format!(
            "a bbox is west,south,east,north in degrees, longitude within ±180, latitude within ±90, south ≤ north, found {west},{south},{east},{north}"
        )))
    }

    /// Whether the box crosses the antimeridian.
    pub fn crosses_antimeridian(&self) -> bool {
        self.west > self.east
    }

    /// The one or two boxes with `west <= east` that cover the same places.
    pub fn parts(&self) -> Vec<Self> {
        if self.crosses_antimeridian() {
            vec![Self { east: 180.0, ..*self }, Self { west: -180.0, ..*self }]
        } else {
            vec![*self]
        }
    }

    /// The smallest box around both; neither may cross the antimeridian.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            west: self.west.min(other.west),
            south: self.south.min(other.south),
            east: self.east.max(other.east),
            north: self.north.max(other.north),
        }
    }

    /// Whether the two boxes share a place, borders included.
    pub fn intersects(&self, other: &Self) -> bool {
        self.parts().iter().any(|a| {
            other
                .parts()
                .iter()
                .any(|b| a.west <= b.east && b.west <= a.east && a.south <= b.north && b.south <= a.north)
        })
    }

    /// Whether `other` lies wholly inside, borders included.
    pub fn contains(&self, other: &Self) -> bool {
        other.parts().iter().all(|b| {
            self.parts()
                .iter()
                .any(|a| a.west <= b.west && b.east <= a.east && a.south <= b.south && b.north <= a.north)
        })
    }
}

impl From<[f64; 4]> for BoundingBox {
    fn from([west, south, east, north]: [f64; 4]) -> Self {
        Self { west, south, east, north }
    }
}

impl From<BoundingBox> for [f64; 4] {
    fn from(b: BoundingBox) -> Self {
        [b.west, b.south, b.east, b.north]
    }
}

impl FromStr for BoundingBox {
    type Err = Error;

    /// Reads `west,south,east,north`.
    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<f64> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
        match (numbers.as_slice(), text.split(',').count()) {
            (&[west, south, east, north], 4) => Self::try_new(west, south, east, north),
            (_, count) => Err(Error::invalid_request(format!(
                "a bbox is four numbers west,south,east,north in degrees, found {count} parts in {}",
                crate::error::quoted(text)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_across_the_antimeridian_holds_both_sides() {
        let pacific = BoundingBox::try_new(170.0, -10.0, -170.0, 10.0).expect("valid");
        assert!(pacific.intersects(&BoundingBox::from([175.0, 0.0, 176.0, 1.0])));
        assert!(pacific.intersects(&BoundingBox::from([-176.0, 0.0, -175.0, 1.0])));
        assert!(!pacific.intersects(&BoundingBox::from([0.0, 0.0, 1.0, 1.0])));
        assert!(pacific.contains(&BoundingBox::from([179.0, 0.0, -179.0, 1.0])));
    }

    #[test]
    fn a_bbox_is_four_numbers_in_range() {
        assert_eq!("76.7, 43.1,77,43.4".parse::<BoundingBox>().expect("valid"), [76.7, 43.1, 77.0, 43.4].into());
        for invalid in ["", "1,2,3", "1,2,3,4,5", "1,2,x,4", "NaN,0,1,1", "0,10,1,5", "0,0,200,1", "0,-91,1,1"] {
            assert!(invalid.parse::<BoundingBox>().is_err(), "{invalid}");
        }
    }
}
