//! Archives and documents that are more, deeper or elsewhere than they should be.

use super::Case;
use super::Outcome::{FileRefused, RowRefused, Taken, TakenWithFinding};
use crate::generate::{archive, bomb, garbage};
use crate::random::Seeded;

/// Levels of nesting that no document needs.
const LEVELS: usize = 100_000;

fn kml(doctype: &str, name: &str) -> String {
    format!(
        r#"<?xml version="1.0"?>{doctype}<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>{name}</name><Point><coordinates>76.9,43.2</coordinates></Point></Placemark></Document></kml>"#
    )
}

/// Ten entities, each ten of the one before.
fn laughs() -> String {
    let entity = |n: usize| format!(r#"<!ENTITY l{n} "{}">"#, format!("&l{};", n - 1).repeat(10));
    let entities: String = (1..10).map(entity).collect();
    kml(&format!(r#"<!DOCTYPE kml [<!ENTITY l0 "ha">{entities}]>"#), "&l9;")
}

/// A header of a shapefile that promises more than there is.
fn absurd_shapefile(random: &mut Seeded) -> Vec<u8> {
    let mut header = vec![0_u8; 100];
    header[..4].copy_from_slice(&9994_i32.to_be_bytes());
    header[24..28].copy_from_slice(&(i32::MAX - random.up_to(9) as i32).to_be_bytes());
    header[28..32].copy_from_slice(&1000_i32.to_le_bytes());
    header[32..36].copy_from_slice(&5_i32.to_le_bytes());
    header
}

pub(super) fn cases(random: &mut Seeded) -> Vec<Case> {
    let table: &[u8] = b"id,name\n1,a\n2,b\n";
    let member = |name: &str| archive("a.zip", &[(name, table)]).bytes;
    let shapefile = absurd_shapefile(random);
    let deep_json = format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"a":{}1{}}},"geometry":null}}]}}"#,
        "[".repeat(LEVELS),
        "]".repeat(LEVELS)
    );
    let deep_xml = kml("", "x")
        .replace("<Placemark>", &("<Folder>".repeat(LEVELS) + "<Placemark>"))
        .replace("</Placemark>", &("</Placemark>".to_owned() + &"</Folder>".repeat(LEVELS)));
    let outside = r#"<!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#;
    let whole = member("table.csv");
    let cut = whole.slice(..whole.len() - 10 - random.up_to(20) as usize);
    let refused: &[_] = &[FileRefused];
    vec![
        Case::new("plain.zip", "none: a table", whole, 2, &[Taken]),
        Case::new("cut.zip", "an archive without its directory", cut, 2, refused),
        Case::new("slip.zip", "a member above the archive", member("../../table.csv"), 2, refused),
        Case::new("absolute.zip", "a member at the root", member("/tmp/table.csv"), 2, refused),
        Case::new("bomb.zip", "64 MiB of one byte", bomb(64 << 20).bytes, 1, refused),
        Case::new(
            "nested.zip",
            "an archive in an archive",
            archive("b.zip", &[("a.zip", &member("table.csv"))]).bytes,
            2,
            &[FileRefused, TakenWithFinding],
        ),
        Case::new(
            "absurd.zip",
            "a shapefile that promises 4 GiB",
            archive("s.zip", &[("a.shp", &shapefile), ("a.shx", &shapefile), ("a.dbf", b"\x03")]).bytes,
            0,
            refused,
        ),
        Case::new(
            "deep.geojson",
            "a value of 100,000 levels",
            deep_json,
            1,
            &[FileRefused, RowRefused, TakenWithFinding],
        ),
        Case::new(
            "deep.kml",
            "100,000 folders in each other",
            deep_xml,
            1,
            &[FileRefused, RowRefused, TakenWithFinding],
        ),
        Case::new("laughs.kml", "entities that grow tenfold nine times", laughs(), 1, refused),
        Case::new("outside.kml", "an entity that is a file of the machine", kml(outside, "&x;"), 1, refused),
        Case::new("garbage.gpkg", "bytes of no format", garbage(4_000, random), 0, refused),
        Case::new("garbage.xlsx", "bytes of no format", garbage(4_000, random), 0, refused),
    ]
}
