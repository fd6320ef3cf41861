//! Bad input: a precise code, a message that says what was expected and what was found, nothing left behind.

use crate::hub::{Hub, points, ukimet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    flags: &'static [&'static str],
    code: &'static str,
    message: &'static str,
}

fn zip_with(names: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in names {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a member");
        writer.write_all(bytes).expect("bytes");
    }
    writer.finish().expect("an archive").into_inner()
}

fn geojson(coordinates: &str) -> Vec<u8> {
    format!(
        r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"n":1}},"geometry":{{"type":"Point","coordinates":{coordinates}}}}}]}}"#
    )
    .into_bytes()
}

fn cases() -> Vec<Case> {
    let case = |name, bytes, flags, code, message| Case { name, bytes, flags, code, message };
    let whole = zip_with(&[("a/points.csv", points(1000).as_bytes())]);
    let half = whole[..whole.len() / 2].to_vec();
    let bomb = zip_with(&[("bomb.csv", &vec![b'0'; 300 << 20])]);
    let doctype = b"<?xml version=\"1.0\"?><!DOCTYPE kml [<!ENTITY a \"b\">]><kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document/></kml>";
    vec![
        case("empty.csv", Vec::new(), &[], "INVALID_ARGUMENT", "empty"),
        case("random.bin", (0..=255).cycle().take(5000).collect(), &[], "INVALID_ARGUMENT", "recognised"),
        case("half.zip", half, &[], "DATA_LOSS", "zip"),
        case("up.zip", zip_with(&[("../up.csv", b"a,b\n1,2\n")]), &[], "INVALID_ARGUMENT", "../up.csv"),
        case("bomb.zip", bomb, &[], "RESOURCE_EXHAUSTED", "ratio"),
        case(
            "side.zip",
            zip_with(&[("a.csv", b"a\n1\n"), ("a.vrt", b"<OGRVRTDataSource/>")]),
            &[],
            "INVALID_ARGUMENT",
            "a.vrt",
        ),
        case("layer.geojson", geojson("[76,43]"), &["--layer", "nosuch"], "NOT_FOUND", "nosuch"),
        case(
            "wrong.geojson",
            geojson("[76,43]"),
            &["--media-type", "application/geopackage+sqlite3"],
            "INVALID_ARGUMENT",
            "the bytes are GeoJSON",
        ),
        case("png.csv", points(2).into_bytes(), &["--media-type", "image/png"], "INVALID_ARGUMENT", "image/png"),
        case("outside.geojson", geojson("[500000,4800000]"), &[], "INVALID_ARGUMENT", "500000"),
        case("crs.geojson", geojson("[76,43]"), &["--crs", "EPSG:99999999"], "INVALID_ARGUMENT", "EPSG:99999999"),
        case("encoding.csv", b"a\n\xff\n".to_vec(), &["--encoding", "no-such"], "INVALID_ARGUMENT", "no-such"),
        case("doctype.kml", doctype.to_vec(), &[], "INVALID_ARGUMENT", "DTD"),
        case(
            "vrt.shp",
            b"<OGRVRTDataSource><OGRVRTLayer name=\"x\"/></OGRVRTDataSource>".to_vec(),
            &[],
            "INVALID_ARGUMENT",
            "hape",
        ),
        case("wkt.csv", b"id,wkt\n1,POINT (13644000 4791000)\n".to_vec(), &[], "FAILED_PRECONDITION", "EPSG:28413"),
        case("cut.csv", b"a,b\n1,\"two\n".to_vec(), &[], "DATA_LOSS", "quote"),
    ]
}

/// Every file below a folder that belongs to a push, finished or not.
fn left_behind(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["staging", "scratch", "data", "raw", "receipts"] {
        let mut folders = vec![data.join(part)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
            }
        }
    }
    found
}

#[test]
fn bad_files_are_refused_by_name_and_leave_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    for case in cases() {
        let file = dir.path().join(case.name);
        fs::write(&file, &case.bytes).expect("written");
        let (code, message) = hub.refused(&file, "test/refused", case.flags);
        assert_eq!(code, case.code, "{}: {message}", case.name);
        assert!(message.contains(case.message), "{}: {message}", case.name);
        assert!(!message.contains(dir.path().to_str().expect("text")), "{}: a path of the hub in {message}", case.name);
    }
    assert_eq!(hub.datasets(), Vec::<String>::new());
    assert_eq!(left_behind(&dir.path().join("data")), Vec::<PathBuf>::new());
    fs::write(dir.path().join("good.csv"), points(3)).expect("written");
    hub.publish(&dir.path().join("good.csv"), "test/good", &[]);
}

#[test]
fn a_file_with_several_layers_asks_which() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = crate::hub::root().join("demo/kz_3_layers.gpkg");
    let (code, message) = hub.refused(&file, "kz/layers", &[]);
    assert_eq!(code, "FAILED_PRECONDITION");
    assert!(message.contains("--layer") && message.contains("--all-layers"), "{message}");
    let outcome = hub.publish(&file, "kz/layers", &["--all-layers"]);
    assert_eq!(outcome["layers"].as_array().map(Vec::len), Some(3));
    assert!(hub.datasets().iter().all(|id| id.starts_with("kz/layers-")));
}

#[test]
fn a_layer_that_is_refused_is_named_with_the_way_to_push_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("both.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&file).expect("a file"));
    let bad = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":[[[71,51],[72,51]]]}}]}"#;
    for (name, text) in [("good.csv", points(3)), ("bad.geojson", bad.to_owned())] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("begun");
        archive.write_all(text.as_bytes()).expect("written");
    }
    archive.finish().expect("an archive");
    let (_, message) = hub.refused(&file, "kz/both", &["--all-layers", "--crs", "EPSG:4326"]);
    assert!(message.contains("layer \"bad\" (no layer was taken") && message.contains("--layer NAME"), "{message}");
    assert_eq!(hub.datasets(), Vec::<String>::new());
    hub.publish(&file, "kz/both", &["--layer", "good", "--crs", "EPSG:4326"]);
}

#[test]
fn layers_that_would_be_one_dataset_are_named_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("both.zip");
    fs::write(&file, zip_with(&[("Тест.csv", b"a,b\n1,x\n"), ("Test.csv", b"a,b\n2,y\n")])).expect("written");
    let (_, message) = hub.refused(&file, "kz/both", &["--all-layers"]);
    for part in ["\"Тест\"", "\"Test\"", "kz/both-test", "--layer NAME"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(hub.datasets(), Vec::<String>::new());
}

#[test]
fn a_table_without_coordinates_stays_one_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("kato.csv");
    fs::write(&file, "код;название;доля\n711000000;Астана;0,5\n010000000;Алматы;1,25\n").expect("written");
    let outcome = hub.publish(&file, "kz/kato", &[]);
    let layer = &outcome["layers"][0];
    assert!(layer["bbox"].is_null() && layer["source_crs"].is_null());
    let rules: Vec<_> =
        layer["diagnostics"].as_array().into_iter().flatten().map(|d| d["rule"].as_str().unwrap_or_default()).collect();
    assert!(rules.contains(&"geometry.none"), "{rules:?}");
    let (_, described) = hub.ask(&["describe", "kz/kato"]);
    let types: Vec<_> = described["dataset"]["version"]["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|f| f["data_type"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(types, ["Utf8", "Utf8", "Float64"]);
}

#[test]
fn a_full_disk_refuses_pushes_and_goes_on_reading() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("points.csv");
    fs::write(&file, points(10)).expect("written");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &[]);
    hub.publish(&file, "a/b", &[]);
    hub.signal("TERM");
    assert_eq!(hub.wait(std::time::Duration::from_secs(30)), Some(0));
    let hub = Hub::start(&data, &["--disk-reserve", "1000000GiB"]);
    fs::write(&file, points(11)).expect("written");
    let (code, message) = hub.refused(&file, "a/b", &[]);
    assert_eq!(code, "RESOURCE_EXHAUSTED");
    assert!(message.contains("free"), "{message}");
    let out = dir.path().join("out.csv");
    let (code, export) = hub.ask(&["export", "a/b", "-o", out.to_str().expect("text")]);
    assert_eq!((code, &export["rows"]), (0, &serde_json::Value::from(10)));
}

#[test]
fn a_broken_grid_keeps_the_hub_from_starting_and_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("grids")).expect("made");
    fs::write(dir.path().join("grids/qazgrid_kz.gsb"), "<html>not found</html>").expect("written");
    // A relative folder is the hub's, though adapters work in folders of their own.
    let ended = ukimet()
        .args(["serve", "--listen", "127.0.0.1:0", "--disk-reserve", "1MiB", "--data", "data", "--grids", "grids"])
        .current_dir(dir.path())
        .output()
        .expect("the hub starts");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("qazgrid_kz.gsb") && said.contains("it ends at byte"), "{said}");
}

#[test]
fn the_first_row_is_row_1_in_every_refusal() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let geojson = |properties: &str| {
        let geometry = r#"{"type":"Point","coordinates":[76.9,43.2]}"#;
        format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{properties},"geometry":{geometry}}}]}}"#
        )
    };
    let cases: [(&str, Vec<u8>, &[&str], &str); 8] = [
        ("null_key.csv", "id;name\n;a\n2;b\n".into(), &["--key", "id"], "row 1: key column id has no value"),
        ("later_key.csv", "id;name\n1;a\n;b\n".into(), &["--key", "id"], "row 2: key column id has no value"),
        ("range.csv", "name;lon;lat\na;200.5;43\n".into(), &[], "row 1 has the coordinates (200.5, 43)"),
        ("region.csv", "name;lon;lat\na;71.4;51.1\n".into(), &["--region", "75"], "row 1 would lie at longitude 71.4"),
        ("zero.csv", "name;lon;lat\na;0;0\n".into(), &["--region", "75"], "row 1 lies at (0, 0)"),
        (
            "degrees.csv",
            "name;x;y\na;76.9;43.2\n".into(),
            &["--crs", "EPSG:32643"],
            "(76.9, 43.2) in row 1, look like degrees",
        ),
        ("cut.csv", "id,name,c\n1,a".into(), &[], "it ends in row 1 after 2 of 3 cells"),
        ("json.geojson", geojson(r#"{"a":tru}"#).into(), &[], "row 1 is no JSON"),
    ];
    for (name, bytes, flags, expected) in cases {
        let file = dir.path().join(name);
        fs::write(&file, bytes).expect("written");
        let (_, message) = hub.refused(&file, "a/rows", flags);
        assert!(message.contains(expected), "{name}: {message}");
    }
}
