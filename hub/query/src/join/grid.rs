//! A grid over zones: in most cells a place needs no test, since each zone holds the cell or does not touch it.

use super::zone::{Position, Zone};
use geo_types::{Coord, Line};

/// Cells of a side of the grid.
const SIDE_MIN: usize = 8;
const SIDE_MAX: usize = 512;
/// Cells for each side of a zone, about.
const CELLS_PER_SIDE: usize = 4;

/// For each cell the zones that hold it and those that have a border in it.
#[derive(Debug)]
pub(super) struct Grid {
    bounds: [f64; 4],
    side: usize,
    /// Cells in a degree, eastward and northward.
    scale: [f64; 2],
    /// Where the entries of each cell begin, and where those of the last one end.
    begins: Vec<u32>,
    /// A zone, twice its number, plus one if the cell has to be looked at.
    entries: Vec<u32>,
}

impl Grid {
    /// A grid over some zones, by their numbers; `None` without any.
    pub(super) fn of(zones: &[Option<Zone>]) -> Option<Self> {
        let mut all = zones.iter().flatten();
        let first = all.next()?;
        let bounds = all.fold(first.bounds, |[west, south, east, north], zone| {
            let [w, s, e, n] = zone.bounds;
            [west.min(w), south.min(s), east.max(e), north.max(n)]
        });
        let sides: usize = zones.iter().flatten().map(|zone| zone.sides().len()).sum();
        let side = ((sides * CELLS_PER_SIDE) as f64).sqrt() as usize;
        let side = side.clamp(SIDE_MIN, SIDE_MAX);
        let scale = |low: f64, high: f64| if high > low { side as f64 / (high - low) } else { 0.0 };
        let scale = [scale(bounds[0], bounds[2]), scale(bounds[1], bounds[3])];
        let mut grid = Self { bounds, side, scale, begins: Vec::new(), entries: Vec::new() };
        grid.fill(zones);
        Some(grid)
    }

    fn fill(&mut self, zones: &[Option<Zone>]) {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for (number, zone) in zones.iter().enumerate() {
            if let Some(zone) = zone {
                self.draw(zone, number as u32, &mut found);
            }
        }
        found.sort_unstable();
        self.begins = vec![0; self.side * self.side + 1];
        for (cell, entry) in found {
            self.entries.push(entry);
            self.begins[cell as usize + 1] = self.entries.len() as u32;
        }
        for cell in 1..self.begins.len() {
            self.begins[cell] = self.begins[cell].max(self.begins[cell - 1]);
        }
    }

    /// Tells of each cell that a zone's box touches whether the zone holds it or has a border in it.
    fn draw(&self, zone: &Zone, number: u32, found: &mut Vec<(u32, u32)>) {
        let [west, south, east, north] = zone.bounds;
        let (columns, rows) = (self.column(west)..=self.column(east), self.row(south)..=self.row(north));
        let width = columns.end() - columns.start() + 1;
        let mut has_border = vec![false; width * (rows.end() - rows.start() + 1)];
        for side in zone.sides() {
            self.draw_side(*side, &mut |column, row| {
                if columns.contains(&column) && rows.contains(&row) {
                    has_border[(row - rows.start()) * width + column - columns.start()] = true;
                }
            });
        }
        for row in rows.clone() {
            for column in columns.clone() {
                let is_border = has_border[(row - rows.start()) * width + column - columns.start()];
                let cell = (row * self.side + column) as u32;
                if is_border {
                    found.push((cell, number * 2 + 1));
                } else if zone.position(self.middle(column, row)) == Position::Inside {
                    found.push((cell, number * 2));
                }
            }
        }
    }

    /// Every cell that a side may pass, and one beside it on each side, since places on it are rounded.
    fn draw_side(&self, Line { start, end }: Line, draw: &mut impl FnMut(usize, usize)) {
        let (low, high) = if start.y <= end.y { (start, end) } else { (end, start) };
        let (first, last) = (self.row(low.y), self.row(high.y));
        for row in first..=last {
            let at = |y: f64| {
                let share = if high.y > low.y { ((y - low.y) / (high.y - low.y)).clamp(0.0, 1.0) } else { 0.0 };
                low.x + (high.x - low.x) * share
            };
            let (mut one, mut other) = (low.x, high.x);
            if first < last {
                let border = |row: usize| self.bounds[1] + row as f64 / self.scale[1];
                (one, other) = (at(border(row)), at(border(row + 1)));
            }
            let (from, to) = (self.column(one.min(other)), self.column(one.max(other)));
            for column in from.saturating_sub(1)..=(to + 1).min(self.side - 1) {
                draw(column, row);
                if row > 0 {
                    draw(column, row - 1);
                }
                draw(column, (row + 1).min(self.side - 1));
            }
        }
    }

    fn column(&self, x: f64) -> usize {
        (((x - self.bounds[0]) * self.scale[0]) as usize).min(self.side - 1)
    }

    fn row(&self, y: f64) -> usize {
        (((y - self.bounds[1]) * self.scale[1]) as usize).min(self.side - 1)
    }

    fn middle(&self, column: usize, row: usize) -> Coord {
        let at = |cell: usize, low: f64, scale: f64| if scale > 0.0 { low + (cell as f64 + 0.5) / scale } else { low };
        Coord { x: at(column, self.bounds[0], self.scale[0]), y: at(row, self.bounds[1], self.scale[1]) }
    }

    /// Bytes that it takes.
    pub(super) fn size_bytes(&self) -> usize {
        (self.begins.len() + self.entries.len()) * size_of::<u32>()
    }

    /// Zones that may hold a place, each with whether it surely does.
    pub(super) fn candidates(&self, place: Coord) -> impl Iterator<Item = (u32, bool)> {
        let [west, south, east, north] = self.bounds;
        let is_out = place.x < west || place.x > east || place.y < south || place.y > north;
        let cell = self.row(place.y) * self.side + self.column(place.x);
        let (from, to) = if is_out { (0, 0) } else { (self.begins[cell] as usize, self.begins[cell + 1] as usize) };
        self.entries[from..to].iter().map(|entry| (entry / 2, entry % 2 == 0))
    }
}
