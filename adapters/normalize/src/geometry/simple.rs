//! A quick look at small faces: most of them are valid beyond doubt, and GEOS need not be asked.
//!
//! It says "valid" only of a face of one ring whose sides share nothing but the corner between neighbours, every answer of
//! which is certain in spite of rounding. Of everything else it says nothing.

use std::ops::Range;

/// Sides above which the pairs to compare are too many.
const SIDES_MAX: usize = 64;
/// Bytes of the header of a face of one ring: byte order, kind, rings, positions.
const HEADER_BYTES: usize = 13;
/// Bytes of a position.
const POSITION_BYTES: usize = 16;
/// How far an orientation may be off by rounding, as a share of its terms: Shewchuk's bound, (3 + 16ε)ε.
const ROUNDING: f64 = 3.330_669_073_875_471_6e-16;

type Position = (f64, f64);

/// Whether a geometry in canonical WKB of two dimensions is a valid face beyond doubt.
pub(super) fn is_surely_valid(wkb: &[u8]) -> bool {
    let mut positions = [(0.0, 0.0); SIDES_MAX + 1];
    let Some(sides) = read_ring(wkb, &mut positions) else { return false };
    let ring = &positions[..=sides];
    let boxes = boxes_of(ring);
    (0..sides).all(|i| turns(ring, i, sides) && (i + 2..sides).all(|j| are_apart(ring, &boxes, (i, j), sides)))
}

/// Reads a closed ring of three sides or more; how many it has.
fn read_ring(wkb: &[u8], positions: &mut [Position; SIDES_MAX + 1]) -> Option<usize> {
    let (header, rest) = wkb.split_at_checked(HEADER_BYTES)?;
    let number = |at: Range<usize>| header[at].try_into().map(u32::from_le_bytes).ok();
    let count = number(9..13)? as usize;
    let is_face = header[0] == 1 && number(1..5)? == 3 && number(5..9)? == 1;
    if !is_face || !(4..=SIDES_MAX + 1).contains(&count) || rest.len() != count * POSITION_BYTES {
        return None;
    }
    for (bytes, position) in rest.chunks_exact(POSITION_BYTES).zip(positions.iter_mut()) {
        let (x, y) = bytes.split_at(8);
        *position = (f64::from_le_bytes(x.try_into().ok()?), f64::from_le_bytes(y.try_into().ok()?));
    }
    (positions[0] == positions[count - 1]).then_some(count - 1)
}

/// West, south, east, north of each side.
fn boxes_of(ring: &[Position]) -> [[f64; 4]; SIDES_MAX] {
    let mut boxes = [[0.0; 4]; SIDES_MAX];
    for (side, ends) in boxes.iter_mut().zip(ring.windows(2)) {
        let ((a, b), (c, d)) = (ends[0], ends[1]);
        *side = [a.min(c), b.min(d), a.max(c), b.max(d)];
    }
    boxes
}

/// Whether the next side shares only its corner with this one for sure: it turns away, or goes on.
fn turns(ring: &[Position], side: usize, sides: usize) -> bool {
    let (from, corner, to) = (ring[side], ring[side + 1], ring[(side + 1) % sides + 1]);
    let east = (corner.0 - from.0) * (to.0 - corner.0);
    let north = (corner.1 - from.1) * (to.1 - corner.1);
    orientation(from, corner, to).is_some() || east + north > 2.0 * ROUNDING * (east.abs() + north.abs())
}

/// Whether two sides share nothing for sure; neighbours share their corner.
fn are_apart(ring: &[Position], boxes: &[[f64; 4]; SIDES_MAX], pair: (usize, usize), sides: usize) -> bool {
    if pair == (0, sides - 1) {
        // The last side ends where the first one begins.
        return true;
    }
    let ([a_west, a_south, a_east, a_north], [b_west, b_south, b_east, b_north]) = (boxes[pair.0], boxes[pair.1]);
    if a_east < b_west || b_east < a_west || a_north < b_south || b_north < a_south {
        return true;
    }
    // Whether both ends of the other side are left of the one, or both right.
    let is_beside = |one: usize, other: usize| {
        let of = |position| orientation(ring[one], ring[one + 1], position);
        of(ring[other]).is_some_and(|first| of(ring[other + 1]) == Some(first))
    };
    is_beside(pair.0, pair.1) || is_beside(pair.1, pair.0)
}

/// Whether the third position is left of the way from the first to the second; `None` if that is not certain.
fn orientation(a: Position, b: Position, c: Position) -> Option<bool> {
    let (left, right) = ((a.0 - c.0) * (b.1 - c.1), (a.1 - c.1) * (b.0 - c.0));
    let area = left - right;
    (area.abs() > ROUNDING * (left.abs() + right.abs())).then_some(area > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use geos::{Geom, Geometry};
    use proptest::prelude::*;

    fn face(ring: &[Position]) -> Vec<u8> {
        let mut wkb = vec![1, 3, 0, 0, 0, 1, 0, 0, 0];
        wkb.extend((ring.len() as u32).to_le_bytes());
        for (x, y) in ring {
            wkb.extend(x.to_le_bytes());
            wkb.extend(y.to_le_bytes());
        }
        wkb
    }

    fn is_valid_for_geos(wkb: &[u8]) -> bool {
        Geometry::new_from_wkb(wkb).and_then(|geometry| geometry.is_valid()).unwrap_or(false)
    }

    #[test]
    fn plain_faces_are_told_and_the_others_are_not() {
        let square = [(70.0, 43.0), (70.1, 43.0), (70.1, 43.1), (70.0, 43.1), (70.0, 43.0)];
        assert!(
            is_surely_valid(&face(&square))
                && is_surely_valid(&face(&square[1..].iter().chain(&square[1..2]).copied().collect::<Vec<_>>()))
        );
        let triangle = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)];
        assert!(is_surely_valid(&face(&triangle)));
        let straight = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (0.0, 1.0), (0.0, 0.0)];
        assert!(is_surely_valid(&face(&straight)), "a corner that is none");
        for (what, ring) in [
            ("crossed", vec![(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]),
            ("with a spike", vec![(0.0, 0.0), (2.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)]),
            (
                "with a spike at its beginning",
                vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (2.0, 0.0), (0.5, 0.0), (0.0, 0.0)],
            ),
            ("touching itself", vec![(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (1.0, 0.0), (0.0, 2.0), (0.0, 0.0)]),
            ("with a repeated position", vec![(0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]),
            ("open", vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]),
            ("a line", vec![(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (0.0, 0.0)]),
            ("without an end", vec![(0.0, 0.0), (f64::NAN, 1.0), (1.0, 1.0), (0.0, 0.0)]),
            ("too short", vec![(0.0, 0.0), (1.0, 1.0), (0.0, 0.0)]),
        ] {
            assert!(!is_surely_valid(&face(&ring)), "{what}");
        }
        let cut = face(&square);
        assert!(!is_surely_valid(&cut[..cut.len() - 1]) && !is_surely_valid(&[]));
        let round: Vec<Position> = (0..=64).map(|i| f64::from(i % 64).mul_add(0.098, 0.0).sin_cos()).collect();
        assert!(is_surely_valid(&face(&round)), "as many sides as are looked at");
        let more: Vec<Position> = (0..=65).map(|i| f64::from(i % 65).mul_add(0.096, 0.0).sin_cos()).collect();
        assert!(!is_surely_valid(&face(&more)), "more than are looked at");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        /// Positions on a coarse grid touch and cross often.
        #[test]
        fn what_it_calls_valid_geos_does_too(
            corners in proptest::collection::vec((0..7_i32, 0..7_i32), 3..9),
            scale in prop_oneof![Just(1.0), Just(0.1), Just(1e-9)],
        ) {
            let mut ring: Vec<Position> =
                corners.iter().map(|(x, y)| (70.0 + f64::from(*x) * scale, 43.0 + f64::from(*y) * scale)).collect();
            ring.push(ring[0]);
            let wkb = face(&ring);
            prop_assert!(!is_surely_valid(&wkb) || is_valid_for_geos(&wkb), "{ring:?}");
        }

        /// Stars are valid, and mostly known to be.
        #[test]
        fn most_valid_faces_are_told(radii in proptest::collection::vec(0.1..1.0_f64, 5..40)) {
            let step = std::f64::consts::TAU / radii.len() as f64;
            let corner = |(i, radius): (usize, &f64)| (radius * (i as f64 * step).cos(), radius * (i as f64 * step).sin());
            let mut ring: Vec<Position> = radii.iter().enumerate().map(corner).collect();
            ring.push(ring[0]);
            prop_assert!(is_surely_valid(&face(&ring)), "{ring:?}");
        }
    }
}
