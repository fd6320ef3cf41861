//! Whether a geometry comes as close to that of a filter as is asked: metres along the ellipsoid of WGS 84, sides straight
//! in degrees.

use crate::distance::{degree_radii_m, distance_m};
use geo::{BoundingRect, CoordsIter, Line, LinesIter};
use geo_index::rtree::sort::HilbertSort;
use geo_index::rtree::{RTree, RTreeBuilder, RTreeIndex};
use geo_types::{Coord, Geometry, Point};
use ukimet_model::{BoundingBox, Error, Result};

/// Farthest that is served.
const DISTANCE_MAX_M: f64 = 1_000_000.0;
/// Longest piece of a side that is measured at once, degrees: on it the way to a place has one shortest.
const PIECE_DEGREES: f64 = 0.5;
/// How much of itself a way in degrees is lengthened where it only says what may be near.
const MARGIN: f64 = 1.01;
/// How exactly the nearest place of a side is found, as a share of the side.
const NEAREST_SHARE: f64 = 1e-9;
/// How exactly a distance is found, metres.
const WAY_EXACT_M: f64 = 0.000_5;

/// Pieces of the sides of one filter.
const PIECES_MAX: usize = 100_000;

/// The sides of a filter's geometry in pieces, and how close others are to come.
pub(super) struct Nearness {
    distance_m: f64,
    sides: Vec<Line>,
    tree: RTree<f64>,
}

impl Nearness {
    /// # Errors
    ///
    /// `InvalidRequest` if the distance is none that is served.
    pub(super) fn of(geometry: &Geometry, distance_m: f64) -> Result<Self> {
        if !(0.0..=DISTANCE_MAX_M).contains(&distance_m) {
            return Err(Error::invalid_request(format!(
                "S_DWITHIN takes a distance of 0 to {DISTANCE_MAX_M} metres, found {distance_m}"
            )));
        }
        Self::at(geometry, distance_m)
    }

    /// The same of any distance.
    fn at(geometry: &Geometry, distance_m: f64) -> Result<Self> {
        let sides: Vec<Line> = sides_of(geometry).into_iter().flat_map(pieces_of).take(PIECES_MAX + 1).collect();
        if sides.len() > PIECES_MAX {
            return Err(Error::invalid_request(format!(
                "the geometry of S_DWITHIN has too many or too long sides: at most {PIECES_MAX} pieces of {PIECE_DEGREES} degrees"
            )));
        }
        let mut builder = RTreeBuilder::<f64>::new(u32::try_from(sides.len()).unwrap_or(u32::MAX));
        for side in &sides {
            let bounds = side.bounding_rect();
            builder.add(bounds.min().x, bounds.min().y, bounds.max().x, bounds.max().y);
        }
        Ok(Self { distance_m, sides, tree: builder.finish::<HilbertSort>() })
    }

    /// How close a side of a geometry comes to a side of this one, metres, half a millimetre more at most. The sides do
    /// not come closer than nothing and no farther than `far_m`.
    pub(super) fn way_m(geometry: &Geometry, other: &Geometry, far_m: f64) -> Result<f64> {
        let mut near = Self::at(geometry, far_m)?;
        let (mut low_m, mut high_m) = (0.0, far_m);
        while high_m - low_m > WAY_EXACT_M {
            near.distance_m = f64::midpoint(low_m, high_m);
            if near.reaches(other) { high_m = near.distance_m } else { low_m = near.distance_m }
        }
        Ok(high_m)
    }

    /// A box that holds all that is near a box.
    pub(super) fn window(&self, near: BoundingBox) -> BoundingBox {
        let (east_degrees, north_degrees) = self.reach(near.south.abs().max(near.north.abs()));
        let (west, east) = (near.west - east_degrees, near.east + east_degrees);
        let (west, east) = if east - west >= 360.0 {
            (-180.0, 180.0)
        } else {
            (if west < -180.0 { west + 360.0 } else { west }, if east > 180.0 { east - 360.0 } else { east })
        };
        let (south, north) = ((near.south - north_degrees).max(-90.0), (near.north + north_degrees).min(90.0));
        BoundingBox { west, south, east, north }
    }

    /// Degrees of longitude and of latitude that the distance spans at most, from a latitude.
    fn reach(&self, latitude: f64) -> (f64, f64) {
        let north_degrees = (self.distance_m / degree_radii_m(0.0).0).to_degrees() * MARGIN;
        let farthest = latitude + north_degrees;
        if farthest >= 90.0 {
            return (360.0, north_degrees);
        }
        ((self.distance_m / degree_radii_m(farthest).1).to_degrees() * MARGIN, north_degrees)
    }

    /// Whether a side of a geometry comes close to a side of the filter's.
    pub(super) fn reaches(&self, other: &Geometry) -> bool {
        sides_of(other).into_iter().any(|side| self.side_reaches(side))
    }

    fn side_reaches(&self, side: Line) -> bool {
        let bounds = side.bounding_rect();
        let (min, max) = (bounds.min(), bounds.max());
        let (east, north) = self.reach(min.y.abs().max(max.y.abs()));
        // What lies behind the antimeridian is near as well.
        [0.0, 360.0, -360.0].into_iter().any(|turn| {
            let (west, east) = (min.x - east + turn, max.x + east + turn);
            let turned =
                Line::new(Coord { x: side.start.x + turn, ..side.start }, Coord { x: side.end.x + turn, ..side.end });
            let found = self.tree.search(west, min.y - north, east, max.y + north);
            found.into_iter().any(|mine| self.are_near(self.sides[mine as usize], turned))
        })
    }

    /// Whether two sides come close: where they do not cross, an end of one of them is the nearest.
    fn are_near(&self, one: Line, other: Line) -> bool {
        let ends = [(one.start, other), (one.end, other), (other.start, one), (other.end, one)];
        ends.into_iter().any(|(end, side)| self.is_near(end.into(), side))
    }

    fn is_near(&self, place: Point, side: Line) -> bool {
        pieces_of(side).any(|piece| self.is_near_piece(place, piece.start.into(), piece.end.into()))
    }

    fn is_near_piece(&self, place: Point, from: Point, to: Point) -> bool {
        let (to_from, to_to, length_m) = (distance_m(place, from), distance_m(place, to), distance_m(from, to));
        if to_from.min(to_to) <= self.distance_m {
            return true;
        }
        // No place of the piece is nearer than a detour over it allows.
        if to_from + to_to - length_m * MARGIN > 2.0 * self.distance_m {
            return false;
        }
        let way_m = |share: f64| distance_m(place, Point(from.0 + (to.0 - from.0) * share));
        shortest(way_m) <= self.distance_m
    }
}

/// The smallest value of a function between 0 and 1 that falls and then rises.
fn shortest(value: impl Fn(f64) -> f64) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    while high - low > NEAREST_SHARE {
        let step = (high - low) * golden;
        if value(high - step) < value(low + step) { high = low + step } else { low = high - step }
    }
    value(f64::midpoint(low, high))
}

/// A side, cut where it is longer than what is measured at once.
fn pieces_of(side: Line) -> impl Iterator<Item = Line> {
    let pieces = (side.dx().abs().max(side.dy().abs()) / PIECE_DEGREES).ceil().max(1.0);
    let at = move |piece: u32| {
        let share = f64::from(piece) / pieces;
        Coord { x: side.start.x + side.dx() * share, y: side.start.y + side.dy() * share }
    };
    (0..pieces as u32).map(move |piece| Line::new(at(piece), at(piece + 1)))
}

/// Lines and borders of a geometry side by side; a point is a side without length.
fn sides_of(geometry: &Geometry) -> Vec<Line> {
    match geometry {
        Geometry::Line(line) => vec![*line],
        Geometry::LineString(line) => line.lines().collect(),
        Geometry::MultiLineString(lines) => lines.lines_iter().collect(),
        Geometry::Polygon(polygon) => polygon.lines_iter().collect(),
        Geometry::MultiPolygon(polygons) => polygons.lines_iter().collect(),
        Geometry::GeometryCollection(parts) => parts.iter().flat_map(sides_of).collect(),
        points => points.coords_iter().map(|place| Line::new(place, place)).collect(),
    }
}
