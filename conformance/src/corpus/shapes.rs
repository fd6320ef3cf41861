//! Broken geometries.

use super::Case;
use super::Outcome::{FileRefused, RowRefused, Taken, TakenWithFinding};
use crate::random::Seeded;

/// Squares around the broken one.
const ROWS: u64 = 20;

fn feature(id: u64, geometry: &str) -> String {
    format!(r#"{{"type":"Feature","properties":{{"id":{id}}},"geometry":{geometry}}}"#)
}

fn polygon(rings: &[&[[f64; 2]]]) -> String {
    let position = |[x, y]: &[f64; 2]| format!("[{x:.6},{y:.6}]");
    let ring = |ring: &&[[f64; 2]]| format!("[{}]", ring.iter().map(position).collect::<Vec<_>>().join(","));
    format!(r#"{{"type":"Polygon","coordinates":[{}]}}"#, rings.iter().map(ring).collect::<Vec<_>>().join(","))
}

fn square(x: f64, y: f64, size: f64) -> [[f64; 2]; 5] {
    [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
}

/// Sound squares with one broken geometry among them.
fn collection(random: &mut Seeded, broken: &str) -> String {
    let at = random.up_to(ROWS - 1);
    let features: Vec<_> = (0..ROWS)
        .map(|id| {
            if id == at {
                return feature(id, broken);
            }
            feature(id, &polygon(&[&square(random.between(60.0, 80.0), random.between(43.0, 52.0), 0.01)]))
        })
        .collect();
    format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",\n"))
}

#[allow(clippy::many_single_char_names, reason = "corners of one square")]
pub(super) fn cases(random: &mut Seeded) -> Vec<Case> {
    let (x, y) = (random.between(60.0, 80.0), random.between(43.0, 52.0));
    let d = 0.01;
    let [a, b, c, e, _] = square(x, y, d);
    let sound = polygon(&[&square(x, y, d)]);
    let told: &[_] = &[TakenWithFinding, RowRefused];
    let kinds: [(&str, &'static str, String, &[super::Outcome]); 10] = [
        ("sound", "none: a square", sound, &[Taken]),
        ("bowtie", "a ring that crosses itself", polygon(&[&[a, c, b, e, a]]), told),
        ("unclosed", "a ring that does not close", polygon(&[&[a, b, c, e]]), told),
        ("point_ring", "a ring of one place", polygon(&[&[a, a, a, a]]), told),
        ("two_positions", "a ring of two positions", polygon(&[&[a, b]]), &[RowRefused]),
        ("hole_outside", "a hole outside its ring", polygon(&[&square(x, y, d), &square(x + 1.0, y, d)]), told),
        ("doubled", "positions twice in a row", polygon(&[&[a, a, b, c, c, e, a]]), &[Taken, TakenWithFinding]),
        ("spike", "a ring with a spike", polygon(&[&[a, b, [x + d, y - d], b, c, e, a]]), told),
        (
            "nan",
            "a coordinate that is no number",
            format!(r#"{{"type":"Point","coordinates":[NaN,{y:.4}]}}"#),
            &[RowRefused, FileRefused, TakenWithFinding],
        ),
        (
            "huge",
            "a coordinate that is infinite",
            format!(r#"{{"type":"Point","coordinates":[1e999,{y:.4}]}}"#),
            // As for a coordinate that is no number: the row without its geometry, and told, is an answer too.
            &[RowRefused, FileRefused, TakenWithFinding],
        ),
    ];
    let case = |(name, defect, broken, outcomes): (&str, _, String, &[_])| {
        Case::new(&format!("{name}.geojson"), defect, collection(random, &broken), ROWS, outcomes)
    };
    kinds.into_iter().map(case).collect()
}
