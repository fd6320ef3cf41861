//! Rasters through every door: pushed, found by place, read by ranges, cut by a box, verified.

use crate::hub::{Hub, ukimet};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// A plain `GeoTIFF` of heights, 16-bit, in degrees from 76 east and 44 north, pixels of 0.01 degrees: column + 10 × row.
fn geotiff(width: u16, height: u16, more: u16) -> Vec<u8> {
    let strip = 8_u32;
    let values = (0..height).flat_map(|row| (0..width).map(move |column| column + 10 * row + more));
    let mut bytes = b"II*\0".to_vec();
    let pixels: Vec<u8> = values.flat_map(u16::to_le_bytes).collect();
    let doubles = |numbers: &[f64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let scale = doubles(&[0.01, 0.01, 0.0]);
    let tiepoint = doubles(&[0.0, 0.0, 0.0, 76.0, 44.0, 0.0]);
    // Version 1.1.0; geographic; pixels are areas; EPSG:4326.
    let keys: Vec<u8> = [1_u16, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326].map(u16::to_le_bytes).concat();
    let scale_at = strip + pixels.len() as u32;
    let (tiepoint_at, keys_at) = (scale_at + 24, scale_at + 24 + 48);
    let head_at = keys_at + keys.len() as u32;
    bytes.extend(head_at.to_le_bytes());
    for part in [&pixels, &scale, &tiepoint, &keys] {
        bytes.extend(part);
    }
    let entries: [(u16, u16, u32, u32); 13] = [
        (256, 3, 1, width.into()),
        (257, 3, 1, height.into()),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, strip),
        (277, 3, 1, 1),
        (278, 3, 1, height.into()),
        (279, 4, 1, pixels.len() as u32),
        (339, 3, 1, 1),
        (33550, 12, 3, scale_at),
        (33922, 12, 6, tiepoint_at),
        (34735, 3, 16, keys_at),
    ];
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// One request over plain HTTP.
fn ask(hub: &Hub, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let address = hub.url.strip_prefix("http://").expect("a URL").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("connects");
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{headers}\r\n").expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.expect("a status"),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: bytes[end + 4..].to_vec(),
    }
}

/// The row of a raster, over the export to GeoJSON.
fn properties(hub: &Hub, dataset: &str, folder: &Path) -> Value {
    let path = folder.join("row.geojson");
    let (code, _) = hub.ask(&["export", dataset, "-o", path.to_str().expect("text")]);
    assert_eq!(code, 0);
    let document: Value = serde_json::from_str(&fs::read_to_string(&path).expect("written")).expect("JSON");
    document["features"][0]["properties"].clone()
}

const COVERAGE: &str = "/datasets/a/relief/versions/1/coverage.tif";

#[test]
fn a_raster_is_found_by_place_read_by_ranges_and_cut_by_a_box() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("relief.tif");
    fs::write(&file, geotiff(800, 600, 0)).expect("written");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    hub.publish(&file, "a/relief", &[]);
    let found = |bbox: &str| hub.ask(&["search", &format!("--bbox={bbox}")]).1["datasets"].as_array().map(Vec::len);
    assert_eq!((found("77,40,78,41"), found("60,40,61,41")), (Some(1), Some(0)));
    let row = properties(&hub, "a/relief", dir.path());
    assert_eq!((&row["width"], &row["bands"][0]["max"]), (&Value::from(800), &Value::from(799.0 + 5990.0)), "{row:#}");

    let whole = ask(&hub, "GET", COVERAGE, &[]);
    assert_eq!((whole.status, whole.headers["content-length"].parse()), (200, Ok(whole.body.len())));
    assert_eq!(whole.headers["etag"], format!("\"{}\"", row["asset_sha256"].as_str().expect("a hash")));
    assert!(whole.body.starts_with(b"II*\0"), "a TIFF");
    let head = ask(&hub, "HEAD", COVERAGE, &[]);
    assert_eq!(
        (head.status, &head.headers["content-length"], head.body.len()),
        (200, &whole.headers["content-length"], 0)
    );
    let part = ask(&hub, "GET", COVERAGE, &[("Range", "bytes=100-299")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[100..300]));
    assert_eq!(part.headers["content-range"], format!("bytes 100-299/{}", whole.body.len()));
    let last = ask(&hub, "GET", COVERAGE, &[("Range", "bytes=-7"), ("If-Range", &whole.headers["etag"])]);
    assert_eq!((last.status, last.body.as_slice()), (206, &whole.body[whole.body.len() - 7..]));
    let other = ask(&hub, "GET", COVERAGE, &[("Range", "bytes=0-6"), ("If-Range", "\"other\"")]);
    assert_eq!((other.status, other.body.len()), (200, whole.body.len()));
    assert_eq!(ask(&hub, "GET", COVERAGE, &[("Range", "bytes=99999999-")]).status, 416);
    assert_eq!(ask(&hub, "GET", COVERAGE, &[("If-None-Match", &whole.headers["etag"])]).status, 304);
    assert_eq!(ask(&hub, "GET", "/datasets/a/relief/versions/1/coverage/1.tif", &[]).body, whole.body);
    assert_eq!(ask(&hub, "GET", "/datasets/a/relief/versions/1/coverage/2.tif", &[]).status, 404);

    // Columns 100 to 149 and rows 200 to 219: what comes is pushed again, so that the hub itself says what it holds.
    let cut = ask(&hub, "GET", &format!("{COVERAGE}?bbox=77.001,41.801,77.499,41.999"), &[]);
    assert_eq!((cut.status, cut.headers["content-length"].parse()), (200, Ok(cut.body.len())));
    let (part, by_command) = (dir.path().join("part.tif"), dir.path().join("command.tif"));
    fs::write(&part, &cut.body).expect("written");
    hub.publish(&part, "a/part", &[]);
    let row = properties(&hub, "a/part", dir.path());
    let band = &row["bands"][0];
    assert_eq!((&row["width"], &row["height"]), (&Value::from(50), &Value::from(20)), "{row:#}");
    assert_eq!((&band["min"], &band["max"]), (&Value::from(100.0 + 2000.0), &Value::from(149.0 + 2190.0)), "{row:#}");
    assert_eq!(band["mean"], Value::from(124.5 + 2095.0));
    let box_of = "77.001,41.801,77.499,41.999";
    let (code, said) = hub.ask(&["export", "a/relief", "--bbox", box_of, "-o", by_command.to_str().expect("text")]);
    assert_eq!((code, &said["bytes"]), (0, &Value::from(cut.body.len())));
    assert_eq!(fs::read(&by_command).expect("written"), cut.body, "the same part is the same bytes");

    let outside = ask(&hub, "GET", &format!("{COVERAGE}?bbox=10,10,11,11"), &[]);
    let words = String::from_utf8_lossy(&outside.body).into_owned();
    assert!(outside.status == 400 && words.contains("lies outside the raster"), "{} {words}", outside.status);
    assert_eq!(ask(&hub, "GET", &format!("{COVERAGE}?bbox=1,2"), &[]).status, 400);
    assert_eq!(ask(&hub, "GET", &format!("{COVERAGE}?box=1,2,3,4"), &[]).status, 400);
    assert_eq!(fs::read_dir(dir.path().join("data/staging")).expect("a folder").count(), 0, "nothing is left behind");
}

#[test]
fn a_raster_is_kept_as_other_rows_are() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let (file, table) = (dir.path().join("relief.tif"), dir.path().join("points.csv"));
    fs::write(&file, geotiff(300, 200, 0)).expect("written");
    fs::write(&table, crate::hub::points(3)).expect("written");
    let hub = Hub::start(&data, &[]);
    hub.publish(&file, "a/relief", &[]);
    hub.publish(&table, "a/points", &[]);
    let (code, again) = hub.push(&file, "a/relief", &[]);
    assert_eq!((code, &again["status"]), (0, &Value::from("unchanged")), "{again:#}");
    let first = ask(&hub, "GET", COVERAGE, &[]);
    fs::write(&file, geotiff(300, 200, 1)).expect("written");
    hub.publish(&file, "a/relief", &[]);
    let none = ask(&hub, "GET", "/datasets/a/points/versions/1/coverage.tif", &[]);
    let words = String::from_utf8_lossy(&none.body).into_owned();
    assert!(none.status == 404 && words.contains("has no raster"), "{} {words}", none.status);
    hub.signal("KILL");
    drop(hub);
    let hub = Hub::start(&data, &[]);
    assert_eq!(ask(&hub, "GET", COVERAGE, &[]).body, first.body, "an old version stays");
    let second = ask(&hub, "GET", &COVERAGE.replace("/1/", "/2/"), &[]);
    assert!(second.status == 200 && second.body != first.body);
    drop(hub);
    let verify = || ukimet().args(["verify", "--deep", "--data"]).arg(&data).output().expect("runs");
    let output = verify();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let rasters = tifs(&data.join("data"));
    assert_eq!(rasters.len(), 2);
    let mut bytes = fs::read(&rasters[0]).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&rasters[0], &bytes).expect("written");
    assert_eq!(verify().status.code(), Some(1), "a changed byte is found");
    let hub = Hub::start(&data, &[]);
    let statuses = ["/1/", "/2/"].map(|version| ask(&hub, "GET", &COVERAGE.replace("/1/", version), &[]).status);
    assert!(statuses == [200, 500] || statuses == [500, 200], "what is damaged is never given out: {statuses:?}");
}

fn tifs(folder: &Path) -> Vec<std::path::PathBuf> {
    let folders = fs::read_dir(folder).expect("a folder").flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).expect("a folder").flatten());
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|ending| ending == "tif")).collect()
}

#[test]
fn a_foreign_program_reads_a_part_from_afar() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("relief.tif");
    fs::write(&file, geotiff(3000, 2000, 0)).expect("written");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    hub.publish(&file, "a/relief", &[]);
    let part = dir.path().join("part.txt");
    let address = format!("/vsicurl/{}{COVERAGE}", hub.url.trim_end_matches('/'));
    let output = Command::new("gdal_translate")
        .args(["-q", "-of", "XYZ", "-srcwin", "1500", "1000", "2", "1", &address])
        .arg(&part)
        .output()
        .expect("gdal_translate is there: setup/packages.sh installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&part).expect("written");
    let values: Vec<_> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(values, ["11500", "11501"], "{text}");
}
