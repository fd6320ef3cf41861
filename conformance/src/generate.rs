//! Small assets made from numbers: places, outlines, tables, archives, and broken ones.

use crate::random::Seeded;
use bytes::Bytes;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

/// A file as an agency would send it.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl File {
    /// A file of this name with these bytes.
    pub fn new(name: &str, bytes: impl Into<Bytes>) -> Self {
        Self { name: name.to_owned(), bytes: bytes.into() }
    }

    /// The first `count` bytes under the same name.
    #[must_use]
    pub fn cut_to(&self, count: usize) -> Self {
        Self { name: self.name.clone(), bytes: self.bytes.slice(..count) }
    }
}

/// `GeoJSON` points in Kazakhstan; columns `id` (0, 1, 2 …), `salt` (the same in every row), `title`.
///
/// Different salts give different bytes, so that each is a version of its own.
pub fn points(rows: u64, salt: u64) -> File {
    let mut random = Seeded::new(salt, "points");
    features("points.geojson", rows, |id, text| {
        let (x, y) = (random.between(46.5, 87.3), random.between(40.6, 55.4));
        let _ = write!(
            text,
            r#"{{"type":"Feature","properties":{{"id":{id},"salt":{salt},"title":"Мектеп № {id}"}},"geometry":{{"type":"Point","coordinates":[{x:.6},{y:.6}]}}}}"#
        );
    })
}

/// `GeoJSON` squares in Kazakhstan; columns as [`points`].
pub fn squares(rows: u64, salt: u64) -> File {
    let mut random = Seeded::new(salt, "squares");
    features("squares.geojson", rows, |id, text| {
        let (x, y) = (random.between(46.5, 87.0), random.between(40.6, 55.0));
        let (e, n) = (x + 0.01, y + 0.01);
        let _ = write!(
            text,
            r#"{{"type":"Feature","properties":{{"id":{id},"salt":{salt},"title":"Аудан № {id}"}},"geometry":{{"type":"Polygon","coordinates":[[[{x:.6},{y:.6}],[{e:.6},{y:.6}],[{e:.6},{n:.6}],[{x:.6},{n:.6}],[{x:.6},{y:.6}]]]}}}}"#
        );
    })
}

fn features(name: &str, rows: u64, mut write: impl FnMut(u64, &mut String)) -> File {
    let mut text = String::from(r#"{"type":"FeatureCollection","features":["#);
    for id in 0..rows {
        if id > 0 {
            text.push(',');
        }
        text.push('\n');
        write(id, &mut text);
    }
    text.push_str("\n]}\n");
    File::new(name, text)
}

/// `GeoJSON` of three points whose `title` is a text, an empty text and null.
pub fn text_empty_and_null() -> File {
    let feature = |id: u32, title: &str| {
        format!(
            r#"{{"type":"Feature","properties":{{"id":{id},"title":{title}}},"geometry":{{"type":"Point","coordinates":[76.{id},43.2]}}}}"#
        )
    };
    let all = [feature(1, r#""мектеп""#), feature(2, r#""""#), feature(3, "null")].join(",");
    File::new("titles.geojson", format!(r#"{{"type":"FeatureCollection","features":[{all}]}}"#))
}

/// CSV of points with `lon` and `lat`; columns `id`, `lon`, `lat`, `title`.
pub fn points_csv(rows: u64, salt: u64) -> File {
    let mut random = Seeded::new(salt, "csv");
    let mut text = String::from("id,lon,lat,title\n");
    for id in 0..rows {
        let (x, y) = (random.between(46.5, 87.3), random.between(40.6, 55.4));
        let _ = writeln!(text, "{id},{x:.6},{y:.6},Мектеп № {id}");
    }
    File::new("points.csv", text)
}

/// CSV of one WKT point in metres, which no column name or number gives a CRS to. The place is Almaty in EPSG:28413.
pub fn metres_csv() -> File {
    File::new("metres.csv", "id,WKT\n1,\"POINT (13644000 4791000)\"\n")
}

/// Where the point of [`metres_csv`] lies if its CRS is EPSG:28413, longitude and latitude in degrees, ± 0.001.
pub const METRES_PLACE: (f64, f64) = (76.7723, 43.2403);

/// KML with two folders, `schools` and `clinics`, of one point each: a file of two layers.
pub fn two_layers_kml() -> File {
    let folder = |name: &str, lon: f64| {
        format!(
            "<Folder><name>{name}</name><Placemark><name>{name} 1</name><Point><coordinates>{lon},43.2</coordinates></Point></Placemark></Folder>"
        )
    };
    File::new(
        "layers.kml",
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document>{}{}</Document></kml>\n",
            folder("schools", 76.9),
            folder("clinics", 76.8)
        ),
    )
}

/// A ZIP archive with these members, compressed.
pub fn archive(name: &str, members: &[(&str, &[u8])]) -> File {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (member, bytes) in members {
        writer.start_file(*member, options).expect("memory takes any member");
        writer.write_all(bytes).expect("memory takes any bytes");
    }
    File::new(name, writer.finish().expect("memory takes the directory").into_inner())
}

/// A ZIP archive of one member that unpacks to `size_bytes` zeros.
pub fn bomb(size_bytes: usize) -> File {
    archive("bomb.zip", &[("rows.csv", &vec![b'0'; size_bytes])])
}

/// The first 200 characters of a text.
pub fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Bytes of no format.
pub fn garbage(count: usize, random: &mut Seeded) -> Vec<u8> {
    (0..count).map(|_| random.next_u64() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_geojson_is_json_with_as_many_rows_as_asked() {
        for file in [points(10, 3), squares(10, 3), text_empty_and_null()] {
            let json: serde_json::Value = serde_json::from_slice(&file.bytes).expect("JSON");
            let rows = json["features"].as_array().expect("features").len();
            assert_eq!(rows, if file.name == "titles.geojson" { 3 } else { 10 });
        }
    }

    #[test]
    fn a_salt_makes_other_bytes_and_the_same_salt_the_same() {
        assert_eq!(points(5, 1).bytes, points(5, 1).bytes);
        assert_ne!(points(5, 1).bytes, points(5, 2).bytes);
    }

    #[test]
    fn an_archive_keeps_hostile_member_names() {
        let file = archive("evil.zip", &[("../evil.csv", b"a\n1\n")]);
        let mut read = zip::ZipArchive::new(Cursor::new(file.bytes)).expect("zip");
        assert_eq!(read.by_index_raw(0).expect("member").name_raw(), b"../evil.csv");
    }
}
