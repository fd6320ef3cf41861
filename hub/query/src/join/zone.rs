//! Whether a place lies in a face: exactly, borders told apart, without looking at more than the sides near its height.

use geo::kernels::{Kernel, Orientation};
use geo::{GeoNum, LinesIter};
use geo_types::{Coord, Geometry, Line};

/// Where a place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Inside,
    Border,
    Outside,
}

/// Sides in one strip, about.
const SIDES_IN_STRIP: usize = 4;
/// Strips of one face.
const STRIPS_MAX: usize = 4096;

/// A face or several, its sides sorted into horizontal strips.
#[derive(Debug)]
pub(super) struct Zone {
    /// Of what lies in it: west, south, east, north.
    pub(super) bounds: [f64; 4],
    sides: Vec<Line>,
    /// Where the sides of each strip begin in `in_strips`, and where those of the last one end.
    begins: Vec<u32>,
    in_strips: Vec<u32>,
    /// Strips in a degree.
    scale: f64,
}

impl Zone {
    /// A zone of faces; `None` for any other geometry, and an empty one.
    pub(super) fn of(geometry: &Geometry) -> Option<Self> {
        let sides: Vec<Line> = match geometry {
            Geometry::Polygon(polygon) => polygon.lines_iter().collect(),
            Geometry::MultiPolygon(polygons) => polygons.lines_iter().collect(),
            _ => return None,
        };
        let first = sides.first()?.start;
        let bounds = sides.iter().fold([first.x, first.y, first.x, first.y], |[west, south, east, north], side| {
            let at = side.start;
            [west.min(at.x), south.min(at.y), east.max(at.x), north.max(at.y)]
        });
        let strips = (sides.len() / SIDES_IN_STRIP).clamp(1, STRIPS_MAX);
        let height = bounds[3] - bounds[1];
        let scale = if height > 0.0 { strips as f64 / height } else { 0.0 };
        let mut zone = Self { bounds, sides, begins: vec![0; strips + 1], in_strips: Vec::new(), scale };
        zone.sort_sides(strips);
        Some(zone)
    }

    fn sort_sides(&mut self, strips: usize) {
        let mut sorted = vec![Vec::new(); strips];
        for (number, side) in self.sides.iter().enumerate() {
            let (low, high) = (side.start.y.min(side.end.y), side.start.y.max(side.end.y));
            for strip in &mut sorted[self.strip(low, strips)..=self.strip(high, strips)] {
                strip.push(number as u32);
            }
        }
        for (strip, sides) in sorted.into_iter().enumerate() {
            self.in_strips.extend(sides);
            self.begins[strip + 1] = self.in_strips.len() as u32;
        }
    }

    /// The strip of a height: of a greater one it is never a lower one.
    fn strip(&self, y: f64, strips: usize) -> usize {
        (((y - self.bounds[1]) * self.scale) as usize).min(strips - 1)
    }

    /// Sides, for whoever draws them.
    pub(super) fn sides(&self) -> &[Line] {
        &self.sides
    }

    /// Bytes that it takes, about.
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(self.sides.as_slice()) + (self.begins.len() + self.in_strips.len()) * size_of::<u32>()
    }

    /// Where a place lies.
    pub(super) fn position(&self, place: Coord) -> Position {
        let [west, south, east, north] = self.bounds;
        if place.x < west || place.x > east || place.y < south || place.y > north {
            return Position::Outside;
        }
        let strip = self.strip(place.y, self.begins.len() - 1);
        let (from, to) = (self.begins[strip] as usize, self.begins[strip + 1] as usize);
        let mut is_inside = false;
        for number in &self.in_strips[from..to] {
            let Line { start, end } = self.sides[*number as usize];
            // Sides that cross the height of the place, of the ends at it the upper ones.
            if (start.y > place.y) != (end.y > place.y) {
                match <f64 as GeoNum>::Ker::orient2d(start, end, place) {
                    Orientation::Collinear => return Position::Border,
                    turn => is_inside ^= (end.y > start.y) == (turn == Orientation::CounterClockwise),
                }
            } else if is_on(place, start, end) {
                return Position::Border;
            }
        }
        if is_inside { Position::Inside } else { Position::Outside }
    }
}

/// Whether a place lies on a side.
fn is_on(place: Coord, start: Coord, end: Coord) -> bool {
    let within = |at: f64, one: f64, other: f64| at >= one.min(other) && at <= one.max(other);
    within(place.x, start.x, end.x)
        && within(place.y, start.y, end.y)
        && <f64 as GeoNum>::Ker::orient2d(start, end, place) == Orientation::Collinear
}
