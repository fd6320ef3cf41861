//! A smooth operation as polynomials on tiles, each fitted to PROJ and checked against it.
//!
//! The source's plane is cut into tiles that do not depend on the data. With the first position in a tile PROJ converts 25
//! nodes of it, through which goes a polynomial of degree 4 in either coordinate, and 36 positions between them and at the
//! border, where the polynomial may be off by at most a hundredth of a millimetre. A tile in which it is, or in which PROJ
//! fails, is PROJ's, as is every operation with a step that is not known to be smooth, such as a grid. So where a position
//! goes depends on the position alone.

use super::guarded;
use proj::Proj;
use std::collections::HashMap;

/// How far a polynomial may be off, metres.
const RESIDUAL_M_MAX: f64 = 1e-5;
/// Positions along one side of a tile through which a polynomial goes.
const NODES: usize = 5;
/// Chebyshev's nodes, the cosines of 162°, 126°, 90°, 54° and 18°: between them a polynomial swings least.
const NODE: [f64; NODES] =
    [-0.951_056_516_295_153_5, -0.587_785_252_292_473_1, 0.0, 0.587_785_252_292_473_1, 0.951_056_516_295_153_5];
/// Positions along one side of a tile at which it is checked.
const CHECKS: usize = 6;
/// The side of a tile in a projected system, in its units, and in a geographic one, degrees.
const TILE_PROJECTED: f64 = 32_768.0;
const TILE_DEGREES: f64 = 0.25;
/// Tiles that are held at once; the next one begins anew.
const TILES_MAX: usize = 8192;
/// Positions farther out are PROJ's, in tiles.
const TILE_NUMBER_MAX: f64 = 1e6;
/// Metres in a degree along a meridian, at most.
const METRES_A_DEGREE: f64 = 111_700.0;
/// Steps of a pipeline without kinks within a tile, or whose kinks the checks find.
const SMOOTH: [&str; 16] = [
    "pipeline",
    "axisswap",
    "unitconvert",
    "push",
    "pop",
    "noop",
    "longlat",
    "latlong",
    "cart",
    "helmert",
    "molodensky",
    "molobadekas",
    "tmerc",
    "etmerc",
    "utm",
    "lcc",
];

/// The polynomials of one operation.
pub(super) struct Tiles {
    side: f64,
    /// `None` where PROJ converts each position.
    patches: HashMap<(i32, i32), Option<Box<Patch>>>,
}

impl Tiles {
    /// For a pipeline from a geographic or a projected system; `None` if a step of it may not be smooth.
    pub(super) fn of(pipeline: &str, is_geographic: bool) -> Option<Self> {
        let mut steps =
            pipeline.split_whitespace().filter_map(|word| word.strip_prefix("+").unwrap_or(word).strip_prefix("proj="));
        let side = if is_geographic { TILE_DEGREES } else { TILE_PROJECTED };
        steps.all(|step| SMOOTH.contains(&step)).then(|| Self { side, patches: HashMap::new() })
    }

    /// How positions are converted, for the receipt.
    pub(super) fn description(&self) -> String {
        format!(
            "polynomials of degree {} on tiles of {} units, each within {RESIDUAL_M_MAX} m of the pipeline, else the pipeline itself",
            NODES - 1,
            self.side
        )
    }

    /// Converts the positions that are in tiles with a polynomial; the others, which stay as they are, by number.
    pub(super) fn apply(&mut self, proj: &Proj, points: &mut [(f64, f64)]) -> Vec<usize> {
        let mut others = Vec::new();
        let mut at = 0;
        while at < points.len() {
            let Some(tile) = self.tile_of(points[at]) else {
                others.push(at);
                at += 1;
                continue;
            };
            self.fit(proj, tile);
            let here = points[at..].iter().take_while(|point| self.is_in(tile, **point)).count();
            match self.patches.get(&tile) {
                Some(Some(patch)) => points[at..at + here].iter_mut().for_each(|point| *point = patch.at(*point)),
                _ => others.extend(at..at + here),
            }
            at += here;
        }
        others
    }

    /// The tile of a position; `None` if it is none or far from everything.
    fn tile_of(&self, (x, y): (f64, f64)) -> Option<(i32, i32)> {
        let (column, row) = ((x / self.side).floor(), (y / self.side).floor());
        (column.abs() < TILE_NUMBER_MAX && row.abs() < TILE_NUMBER_MAX).then_some((column as i32, row as i32))
    }

    /// Whether this is the tile of a position: the quotients are those of [`Self::tile_of`].
    fn is_in(&self, tile: (i32, i32), (x, y): (f64, f64)) -> bool {
        let is_from = |quotient: f64, number: i32| f64::from(number) <= quotient && quotient < f64::from(number + 1);
        is_from(x / self.side, tile.0) && is_from(y / self.side, tile.1)
    }

    fn fit(&mut self, proj: &Proj, tile: (i32, i32)) {
        if self.patches.contains_key(&tile) {
            return;
        }
        if self.patches.len() >= TILES_MAX {
            self.patches.clear();
        }
        let half = self.side / 2.0;
        let center = ((f64::from(tile.0) + 0.5) * self.side, (f64::from(tile.1) + 0.5) * self.side);
        let convert = |(u, v): (f64, f64)| {
            let place = (center.0 + u * half, center.1 + v * half);
            let converted = guarded(|| proj.convert(place).map_err(|error| error.to_string())).ok()?;
            (converted.0.abs() <= 180.0 && converted.1.abs() <= 90.0).then_some((place, converted))
        };
        let patch = Patch::fit(center, half, convert);
        self.patches.insert(tile, patch.map(Box::new));
    }
}

/// A pair of polynomials on a square, in its coordinates from -1 to 1.
struct Patch {
    center: (f64, f64),
    half: f64,
    /// Longitude and latitude of the middle node, which the polynomials begin at.
    origin: (f64, f64),
    /// Coefficients of `u^i v^j`, at `[i][j]`: that of the longitude, then that of the latitude, side by side as a processor takes
    /// two numbers at once.
    coefficients: [[[f64; 2]; NODES]; NODES],
}

impl Patch {
    /// Goes through what `convert` gives at the nodes; `None` if it fails somewhere or the polynomials are off between them.
    fn fit(
        center: (f64, f64),
        half: f64,
        convert: impl Fn((f64, f64)) -> Option<((f64, f64), (f64, f64))>,
    ) -> Option<Self> {
        let (_, origin) = convert((0.0, 0.0))?;
        let (mut longitude, mut latitude) = ([[0.0; NODES]; NODES], [[0.0; NODES]; NODES]);
        for (i, u) in NODE.into_iter().enumerate() {
            for (j, v) in NODE.into_iter().enumerate() {
                let (_, (x, y)) = convert((u, v))?;
                (longitude[i][j], latitude[i][j]) = (x - origin.0, y - origin.1);
            }
        }
        let basis = basis();
        let (longitude, latitude) = (coefficients(&basis, &longitude), coefficients(&basis, &latitude));
        let coefficients = std::array::from_fn(|i| std::array::from_fn(|j| [longitude[i][j], latitude[i][j]]));
        let patch = Self { center, half, origin, coefficients };
        let checks = (0..CHECKS).map(|i| -1.0 + 2.0 * i as f64 / (CHECKS - 1) as f64);
        for (u, v) in checks.clone().flat_map(|u| checks.clone().map(move |v| (u, v))) {
            let (place, expected) = convert((u, v))?;
            let off_m = distance_m(patch.at(place), expected);
            if off_m.is_nan() || off_m > RESIDUAL_M_MAX {
                return None;
            }
        }
        Some(patch)
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (u, v) = ((x - self.center.0) / self.half, (y - self.center.1) / self.half);
        let next = |sum: [f64; 2], by: f64, more: [f64; 2]| [sum[0] * by + more[0], sum[1] * by + more[1]];
        let row = |row: &[[f64; 2]; NODES]| row.iter().rev().fold([0.0; 2], |sum, more| next(sum, v, *more));
        let [x, y] = self.coefficients.iter().rev().fold([0.0; 2], |sum, more| next(sum, u, row(more)));
        (self.origin.0 + x, self.origin.1 + y)
    }
}

/// How far two places are from each other, never less than they are. Without any function of which the last bit depends on
/// the machine.
fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (x, y) = (a.0 - b.0, a.1 - b.1);
    (x * x + y * y).sqrt() * METRES_A_DEGREE
}

/// For each node the coefficients of the polynomial that is 1 there and 0 at the others, the constant one first.
fn basis() -> [[f64; NODES]; NODES] {
    std::array::from_fn(|i| {
        let mut polynomial = [0.0; NODES];
        polynomial[0] = 1.0;
        for node in (0..NODES).filter(|j| *j != i).map(|j| NODE[j]) {
            // Times (u - node) / (NODE[i] - node).
            for power in (0..NODES).rev() {
                let below = if power > 0 { polynomial[power - 1] } else { 0.0 };
                polynomial[power] = (below - node * polynomial[power]) / (NODE[i] - node);
            }
        }
        polynomial
    })
}

/// The coefficients of the polynomial that has these values at the nodes.
fn coefficients(basis: &[[f64; NODES]; NODES], values: &[[f64; NODES]; NODES]) -> [[f64; NODES]; NODES] {
    let mut sum = [[0.0; NODES]; NODES];
    for (i, j) in (0..NODES).flat_map(|i| (0..NODES).map(move |j| (i, j))) {
        for (a, b) in (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b))) {
            sum[a][b] += values[i][j] * basis[i][a] * basis[j][b];
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAUSS_KRUGER_43: &str = "+proj=pipeline +step +inv +proj=tmerc +lat_0=0 +lon_0=75 +k=1 +x_0=13500000 +y_0=0 \
        +ellps=krass +step +proj=push +v_3 +step +proj=cart +ellps=krass +step +proj=helmert +x=15 +y=-130 +z=-84 \
        +step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 +step +proj=unitconvert +xy_in=rad +xy_out=deg";

    /// Positions spread over a box, the same in every run.
    fn positions([west, south, east, north]: [f64; 4], count: usize) -> Vec<(f64, f64)> {
        // Steps of the golden ratio and of its square leave no pattern.
        let spread = |i: usize, step: f64| (i as f64 * step).fract();
        (0..count)
            .map(|i| {
                (west + (east - west) * spread(i, 0.618_033_988_75), south + (north - south) * spread(i, 0.754_877_666))
            })
            .collect()
    }

    fn compared(pipeline: &str, is_geographic: bool, area: [f64; 4]) -> (usize, f64) {
        let proj = Proj::new(pipeline).expect("a pipeline");
        let mut tiles = Tiles::of(pipeline, is_geographic).expect("smooth");
        let before = positions(area, 20_000);
        let mut after = before.clone();
        let others = tiles.apply(&proj, &mut after);
        let farthest = |(before, after): (&(f64, f64), &(f64, f64))| {
            distance_m(*after, proj.convert(*before).expect("in the domain"))
        };
        let by_tiles = before.iter().zip(&after).enumerate().filter(|(at, _)| !others.contains(at));
        (others.len(), by_tiles.map(|(_, pair)| farthest(pair)).fold(0.0, f64::max))
    }

    #[test]
    fn polynomials_are_within_a_hundredth_of_a_millimetre_of_proj_in_all_of_a_zone() {
        let (others, off_m) = compared(GAUSS_KRUGER_43, false, [13_200_000.0, 4_500_000.0, 13_800_000.0, 6_200_000.0]);
        assert_eq!(others, 0, "no tile of the zone is left to PROJ");
        assert!(off_m <= RESIDUAL_M_MAX, "{off_m} m");
        let degrees = "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=push +v_3 +step +proj=cart \
            +ellps=krass +step +proj=helmert +x=15 +y=-130 +z=-84 +step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 \
            +step +proj=unitconvert +xy_in=rad +xy_out=deg";
        let (others, off_m) = compared(degrees, true, [46.0, 40.0, 88.0, 56.0]);
        assert_eq!(others, 0);
        assert!(off_m <= RESIDUAL_M_MAX, "{off_m} m");
    }

    #[test]
    fn around_a_pole_where_no_polynomial_fits_positions_are_left_to_proj() {
        let (others, off_m) = compared(GAUSS_KRUGER_43, false, [13_400_000.0, 9_950_000.0, 13_600_000.0, 10_050_000.0]);
        assert!(others > 0 && off_m <= RESIDUAL_M_MAX, "{others} positions, {off_m} m");
    }

    #[test]
    fn operations_with_kinks_and_positions_that_are_none_are_left_to_proj() {
        for step in ["hgridshift +grids=x.tif", "deformation", "krovak", "vgridshift"] {
            assert!(Tiles::of(&format!("+proj=pipeline +step +proj={step}"), true).is_none(), "{step}");
        }
        let proj = Proj::new(GAUSS_KRUGER_43).expect("a pipeline");
        let mut tiles = Tiles::of(GAUSS_KRUGER_43, false).expect("smooth");
        let mut points = [(f64::NAN, f64::NAN), (f64::INFINITY, 0.0), (1e300, 0.0)];
        assert_eq!(tiles.apply(&proj, &mut points), [0, 1, 2]);
        assert!(points[0].0.is_nan() && points[2] == (1e300, 0.0));
    }

    #[test]
    fn a_position_comes_out_the_same_whatever_came_before_it() {
        let proj = Proj::new(GAUSS_KRUGER_43).expect("a pipeline");
        let area = [13_400_000.0, 4_700_000.0, 13_600_000.0, 4_900_000.0];
        let mut together = positions(area, 1000);
        let mut alone = together.clone();
        Tiles::of(GAUSS_KRUGER_43, false).expect("smooth").apply(&proj, &mut together);
        alone.reverse();
        for point in &mut alone {
            Tiles::of(GAUSS_KRUGER_43, false).expect("smooth").apply(&proj, std::slice::from_mut(point));
        }
        alone.reverse();
        assert_eq!(together, alone);
    }

    #[test]
    fn a_position_is_in_its_own_tile_and_in_no_other() {
        for side in [TILE_PROJECTED, TILE_DEGREES] {
            let tiles = Tiles { side, patches: HashMap::new() };
            let edges = (-3..4).map(|number| f64::from(number) * side);
            let around = edges.flat_map(|edge| [edge.next_down(), edge, edge.next_up(), edge + side / 3.0]);
            for (x, y) in around.clone().flat_map(|x| around.clone().map(move |y| (x, y))) {
                let own = tiles.tile_of((x, y)).expect("near");
                let all = (-6..6).flat_map(|column| (-6..6).map(move |row| (column, row)));
                assert!(all.clone().all(|tile| tiles.is_in(tile, (x, y)) == (tile == own)), "{x} {y}");
            }
            assert!(!tiles.is_in((0, 0), (f64::NAN, 0.0)) && !tiles.is_in((0, 0), (0.0, f64::INFINITY)));
        }
    }

    #[test]
    fn a_kink_between_the_nodes_is_found() {
        let kinked =
            |height: f64| Patch::fit((0.0, 0.0), 1.0, move |(u, v)| Some(((u, v), (u, v + height * (u - 0.3).abs()))));
        assert!(kinked(0.0).is_some() && kinked(1e-9).is_none());
    }
}
