//! Coordinates in another CRS than they say, or in none.

use super::Case;
use super::Outcome::{Asked, FileRefused, RowRefused, Taken, TakenWithFinding};
use crate::random::Seeded;
use std::fmt::Write as _;

const ROWS: u64 = 30;

fn table(random: &mut Seeded, header: &str, mut place: impl FnMut(&mut Seeded) -> (f64, f64)) -> String {
    let mut text = format!("id,{header}\n");
    for id in 0..ROWS {
        let (x, y) = place(random);
        let _ = writeln!(text, "{id},{x:.5},{y:.5}");
    }
    text
}

fn degrees(random: &mut Seeded) -> (f64, f64) {
    (random.between(70.0, 85.0), random.between(43.0, 52.0))
}

/// Metres within a zone of Gauss and Krüger around Almaty, with this prefix in millions before the easting.
fn metres(prefix: f64) -> impl FnMut(&mut Seeded) -> (f64, f64) {
    move |random| (prefix * 1e6 + random.between(600_000.0, 680_000.0), random.between(4_770_000.0, 4_810_000.0))
}

fn geojson(random: &mut Seeded, crs: &str, place: fn(&mut Seeded) -> (f64, f64)) -> String {
    let feature = |id: u64, (x, y): (f64, f64)| {
        format!(
            r#"{{"type":"Feature","properties":{{"id":{id}}},"geometry":{{"type":"Point","coordinates":[{x:.5},{y:.5}]}}}}"#
        )
    };
    let features: Vec<_> = (0..ROWS).map(|id| feature(id, place(random))).collect();
    format!(r#"{{"type":"FeatureCollection",{crs}"features":[{}]}}"#, features.join(","))
}

pub(super) fn cases(random: &mut Seeded) -> Vec<Case> {
    let swapped = |random: &mut Seeded| {
        let (x, y) = degrees(random);
        (y, x)
    };
    let in_metres =
        |random: &mut Seeded| (random.between(600_000.0, 680_000.0), random.between(4_770_000.0, 4_810_000.0));
    let nobody = r#""crs":{"type":"name","properties":{"name":"EPSG:99999999"}},"#;
    vec![
        Case::new("degrees.csv", "none: degrees", table(random, "lon,lat", degrees), ROWS, &[Taken]),
        Case::new(
            "swapped.csv",
            "latitude under the name of longitude, outside the region that is declared",
            table(random, "lon,lat", swapped),
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused, Asked],
        )
        .with_region("KZ"),
        Case::new(
            "metres.csv",
            "metres under the names of degrees",
            table(random, "lon,lat", metres(0.0)),
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused, Asked],
        ),
        Case::new(
            "zone13.csv",
            "none: zone 13 with its prefix, declared",
            table(random, "x,y", metres(13.0)),
            ROWS,
            &[Taken],
        )
        .with_crs("EPSG:28413"),
        Case::new(
            "zone14_as_13.csv",
            "the prefix of another zone than the one declared",
            table(random, "x,y", metres(14.0)),
            ROWS,
            &[RowRefused, FileRefused, TakenWithFinding],
        )
        .with_crs("EPSG:28413"),
        Case::new(
            "zone_without_prefix.csv",
            "no prefix, a zone with one declared",
            table(random, "x,y", metres(0.0)),
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused, Asked],
        )
        .with_crs("EPSG:28413"),
        Case::new(
            "metres.geojson",
            "metres in GeoJSON without a crs",
            geojson(random, "", in_metres),
            ROWS,
            &[RowRefused, FileRefused, Asked],
        ),
        Case::new(
            "unknown_crs.geojson",
            "a crs that nobody knows",
            geojson(random, nobody, degrees),
            ROWS,
            &[FileRefused, Asked],
        ),
        Case::new(
            "far.csv",
            "degrees beyond the poles",
            table(random, "lon,lat", |r| (r.between(181.0, 400.0), r.between(91.0, 300.0))),
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused, Asked],
        ),
    ]
}
