//! Geometry of a tile's feature: commands in tile units become WKB in web Mercator, EPSG:3857, x before y.

use super::mvt::{TileFeature, signed};

/// Half the width of the web Mercator world, in meters.
const WORLD_HALF_M: f64 = 20_037_508.342_789_244;

/// Deepest zoom at which a unit is still a coordinate.
pub(super) const ZOOM_MAX: u8 = 30;

/// The place of a tile: column from the west, row from the north.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TilePlace {
    pub(super) zoom: u8,
    pub(super) x: u32,
    pub(super) y: u32,
}

impl TilePlace {
    /// A place that exists at its zoom.
    pub(super) fn new(zoom: u64, x: u64, y: u64) -> Option<Self> {
        let zoom = u8::try_from(zoom).ok().filter(|zoom| *zoom <= ZOOM_MAX)?;
        let side = 1_u64 << zoom;
        (x < side && y < side).then_some(Self { zoom, x: x as u32, y: y as u32 })
    }

    /// A position inside the tile, in meters of EPSG:3857.
    fn meters(self, (x, y): (i64, i64), extent: u64) -> (f64, f64) {
        let side_m = 2.0 * WORLD_HALF_M / f64::from(self.zoom).exp2();
        let along = |tile: u32, unit: i64| (f64::from(tile) + unit as f64 / extent as f64) * side_m;
        (along(self.x, x) - WORLD_HALF_M, WORLD_HALF_M - along(self.y, y))
    }
}

/// Positions in tile units.
type Path = Vec<(i64, i64)>;

/// A feature's paths.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawing {
    kind: u64,
    paths: Vec<Path>,
}

impl Drawing {
    /// How many positions it has.
    pub(super) fn positions(&self) -> u64 {
        self.paths.iter().map(|path| path.len() as u64).sum()
    }

    /// Follows the commands; `None` if they draw nothing of the feature's kind.
    pub(super) fn of(feature: &TileFeature) -> Option<Self> {
        let mut paths: Vec<Path> = Vec::new();
        let (mut x, mut y) = (0_i64, 0_i64);
        let mut rest = feature.commands.iter();
        while let Some(command) = rest.next() {
            let (name, count) = (command & 7, command >> 3);
            if name == 7 {
                if feature.kind != 3 || paths.is_empty() {
                    return None;
                }
                continue;
            }
            for _ in 0..count {
                x = x.checked_add(signed(*rest.next()?)).filter(|x| is_near(*x))?;
                y = y.checked_add(signed(*rest.next()?)).filter(|x| is_near(*x))?;
                match name {
                    1 => paths.push(vec![(x, y)]),
                    2 => paths.last_mut()?.push((x, y)),
                    _ => return None,
                }
            }
        }
        let least = match feature.kind {
            1 => 1,
            2 => 2,
            3 => 3,
            _ => return None,
        };
        let fits = !paths.is_empty() && paths.iter().all(|path| path.len() >= least && (least > 1 || path.len() == 1));
        fits.then_some(Self { kind: feature.kind, paths })
    }

    /// Whether nothing of it lies in its tile, only in the buffer around it, where it repeats a neighbor's feature.
    pub(super) fn is_in_buffer(&self, extent: u64) -> bool {
        let positions = || self.paths.iter().flatten();
        let outside = |along: fn(&(i64, i64)) -> i64| {
            let extent = extent as i64;
            let is_after = |value: i64| if self.kind == 1 { value >= extent } else { value > extent };
            positions().all(|position| along(position) < 0) || positions().all(|position| is_after(along(position)))
        };
        outside(|position| position.0) || outside(|position| position.1)
    }

    /// WKB in EPSG:3857.
    pub(super) fn wkb(&self, place: TilePlace, extent: u64) -> Vec<u8> {
        let at = |position: &(i64, i64)| place.meters(*position, extent);
        let parts: Vec<Vec<u8>> = match self.kind {
            1 => self.paths.iter().map(|path| point(at(&path[0]))).collect(),
            2 => self.paths.iter().map(|path| header(2, path_bytes(path.iter().map(at)))).collect(),
            _ => self.polygons().into_iter().map(|rings| polygon(&rings, at)).collect(),
        };
        match <[Vec<u8>; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => {
                let count = (parts.len() as u32).to_le_bytes().to_vec();
                header(self.kind as u8 + 3, [count, parts.concat()].concat())
            }
        }
    }

    /// Rings that turn as the first one does begin a polygon, those that turn the other way are its holes.
    fn polygons(&self) -> Vec<Vec<&Path>> {
        let mut polygons: Vec<Vec<&Path>> = Vec::new();
        let outer = self.paths.first().map_or(0, turn);
        for ring in &self.paths {
            match polygons.last_mut() {
                Some(rings) if turn(ring) == -outer => rings.push(ring),
                _ => polygons.push(vec![ring]),
            }
        }
        polygons
    }
}

/// Near enough to a tile for areas to be computed.
fn is_near(position: i64) -> bool {
    position.unsigned_abs() < 1 << 40
}

/// The sign of a ring's area.
fn turn(ring: &Path) -> i128 {
    let next = ring.iter().cycle().skip(1);
    let area =
        ring.iter().zip(next).map(|(a, b)| i128::from(a.0) * i128::from(b.1) - i128::from(b.0) * i128::from(a.1));
    area.sum::<i128>().signum()
}

fn header(kind: u8, rest: Vec<u8>) -> Vec<u8> {
    [vec![1, kind, 0, 0, 0], rest].concat()
}

fn point((x, y): (f64, f64)) -> Vec<u8> {
    header(1, [x.to_le_bytes(), y.to_le_bytes()].concat())
}

/// A count and positions.
fn path_bytes(positions: impl ExactSizeIterator<Item = (f64, f64)>) -> Vec<u8> {
    let mut bytes = (positions.len() as u32).to_le_bytes().to_vec();
    positions.for_each(|(x, y)| bytes.extend([x.to_le_bytes(), y.to_le_bytes()].concat()));
    bytes
}

fn polygon(rings: &[&Path], at: impl Fn(&(i64, i64)) -> (f64, f64)) -> Vec<u8> {
    let mut bytes = (rings.len() as u32).to_le_bytes().to_vec();
    for ring in rings {
        let mut closed: Vec<(f64, f64)> = ring.iter().map(&at).collect();
        closed.extend(closed.first().copied());
        bytes.extend(path_bytes(closed.into_iter()));
    }
    header(3, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: u64, commands: &[u64]) -> Option<Drawing> {
        Drawing::of(&TileFeature { kind, commands: commands.to_vec(), ..TileFeature::default() })
    }

    #[test]
    fn the_examples_of_the_specification_are_drawn() {
        let paths = |kind, commands: &[u64]| drawn(kind, commands).expect("drawn").paths;
        assert_eq!(paths(1, &[9, 50, 34]), [vec![(25, 17)]]);
        assert_eq!(paths(1, &[17, 10, 14, 3, 9]), [vec![(5, 7)], vec![(3, 2)]]);
        assert_eq!(paths(2, &[9, 4, 4, 18, 0, 16, 16, 0]), [vec![(2, 2), (2, 10), (10, 10)]]);
        assert_eq!(paths(3, &[9, 6, 12, 18, 10, 12, 24, 44, 15]), [vec![(3, 6), (8, 12), (20, 34)]]);
        let two = [
            9, 0, 0, 26, 20, 0, 0, 20, 19, 0, 15, 9, 22, 2, 26, 18, 0, 0, 18, 17, 0, 15, 9, 4, 13, 26, 0, 8, 8, 0, 0,
            7, 15,
        ];
        let rings: Vec<usize> = drawn(3, &two).expect("drawn").polygons().iter().map(Vec::len).collect();
        assert_eq!(rings, [1, 2]);
    }

    #[test]
    fn broken_commands_draw_nothing() {
        for (kind, commands) in [
            (1, &[9, 50][..]),
            (2, &[9, 4, 4]),
            (2, &[18, 0, 16, 16, 0]),
            (3, &[15]),
            (2, &[9, 4, 4, 18, 0, 16, 16, 0, 15]),
            (1, &[u64::MAX - 6, 1, 1]),
            (0, &[9, 50, 34]),
            (1, &[]),
        ] {
            assert_eq!(drawn(kind, commands), None, "{kind} {commands:?}");
        }
    }

    #[test]
    fn what_lies_only_around_a_tile_is_told_apart() {
        let at = |kind: u64, paths: &[(i64, i64)]| Drawing { kind, paths: vec![paths.to_vec()] }.is_in_buffer(4_096);
        assert!(
            at(1, &[(-1, 5)]) && at(1, &[(4_096, 5)]) && at(2, &[(5, 4_097), (9, 4_100)]) && at(2, &[(5, -2), (9, -1)])
        );
        assert!(
            !at(1, &[(0, 0)])
                && !at(1, &[(4_095, 4_095)])
                && !at(2, &[(-5, 5), (5, 5)])
                && !at(2, &[(4_096, 0), (4_099, 0)])
        );
    }

    #[test]
    fn corners_of_the_world_are_those_of_web_mercator() {
        let world = TilePlace::new(0, 0, 0).expect("the world");
        assert_eq!(world.meters((0, 0), 4_096), (-WORLD_HALF_M, WORLD_HALF_M));
        assert_eq!(world.meters((2_048, 2_048), 4_096), (0.0, 0.0));
        assert!(TilePlace::new(2, 4, 0).is_none() && TilePlace::new(31, 0, 0).is_none());
    }
}
