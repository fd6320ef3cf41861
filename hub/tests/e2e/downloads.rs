//! Rows as files over HTTP: whole, by ranges, compressed, broken off, and within limits.

use crate::hub::{Hub, files_below, wait_until};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::path::{Path, PathBuf};

const ENDINGS: [&str; 9] = ["arrow", "parquet", "geojson", "ndjson", "csv", "fgb", "gpkg", "shp.zip", "xlsx"];

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
    /// Whether the body ended as its head or its own framing says.
    is_complete: bool,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request that is sent, and what comes is not read yet.
fn send(hub: &Hub, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    let mut stream = TcpStream::connect(hub.url.trim_start_matches("http://")).expect("connects");
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{headers}\r\n").expect("sent");
    stream
}

/// The parts of a chunked body together, and whether the last one came.
fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let length = std::str::from_utf8(&bytes[..end]).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a length");
        bytes = &bytes[end + 2..];
        if length == 0 {
            return (body, bytes == b"\r\n");
        }
        body.extend(&bytes[..length.min(bytes.len())]);
        let Some(rest) = bytes.get(length + 2..) else { return (body, false) };
        bytes = rest;
    }
}

fn ask(hub: &Hub, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut bytes = Vec::new();
    // What breaks off breaks off.
    let _ = send(hub, method, path, headers).read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let body = &bytes[end + 4..];
    let (body, is_complete) = match headers.get("transfer-encoding") {
        Some(_) if method == "GET" => unchunked(body),
        _ => {
            let declared = headers.get("content-length").map(|length| length.parse::<usize>().expect("a number"));
            (body.to_vec(), method != "GET" || declared.is_none_or(|length| length == body.len()))
        }
    };
    Answer { status: status.expect("a status"), headers, body, is_complete }
}

fn get(hub: &Hub, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(hub, "GET", path, headers)
}

/// Publishes `a/shops` with so many points, of which every name is of so many bytes.
fn publish(hub: &Hub, dir: &Path, rows: usize, name_bytes: usize) {
    hub.publish(&shops(dir, 0..rows, name_bytes), "a/shops", &["--key", "code"]);
}

/// The same in several files of the store, each of which is read as a batch.
fn publish_in_parts(hub: &Hub, dir: &Path, parts: usize, rows: usize, name_bytes: usize) {
    publish(hub, dir, rows, name_bytes);
    for part in 1..parts {
        let file = shops(dir, part * rows..(part + 1) * rows, name_bytes);
        hub.publish(&file, "a/shops", &["--mode", "upsert"]);
    }
}

fn shops(dir: &Path, rows: Range<usize>, name_bytes: usize) -> PathBuf {
    let mut text = "code,name,floors,lon,lat\n".to_owned();
    for row in rows {
        let (lon, lat) = (76.0 + (row % 1000) as f64 / 1000.0, 43.0 + (row / 1000) as f64 / 1000.0);
        writeln!(text, "k{row},{},{},{lon:.3},{lat:.3}", "n".repeat(name_bytes), row % 10)
            .expect("text takes everything");
    }
    let file = dir.join("shops.csv");
    fs::write(&file, text).expect("written");
    file
}

fn data(version: &str, ending: &str) -> String {
    format!("/datasets/a/shops/versions/{version}/data.{ending}")
}

#[test]
fn each_format_has_an_entity_tag_before_it_is_read_and_ranges_of_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 300, 20);
    for ending in ENDINGS {
        let path = data("v1", ending);
        let head = ask(&hub, "HEAD", &path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{ending}");
        assert!(!head.headers.contains_key("content-length"), "{ending}: nobody counted yet");
        let whole = get(&hub, &path, &[]);
        let (tag, length) = (&whole.headers["etag"], whole.body.len());
        assert!(whole.status == 200 && whole.is_complete && length > 100, "{ending}");
        assert_eq!((tag, &whole.headers["accept-ranges"][..]), (&head.headers["etag"], "bytes"), "{ending}");
        let again = ask(&hub, "HEAD", &path, &[]);
        assert_eq!(again.headers["content-length"], length.to_string(), "{ending}: now it is known");
        assert_eq!(get(&hub, &path, &[("If-None-Match", tag)]).status, 304, "{ending}");
        assert_eq!(get(&hub, &path, &[("If-Match", "\"other\"")]).status, 412, "{ending}");
        for (from, to) in [(0, 0), (7, 90), (length / 2, length - 1), (length - 1, length - 1)] {
            let part = get(&hub, &path, &[("Range", &format!("bytes={from}-{to}")), ("If-Range", tag)]);
            assert_eq!(part.status, 206, "{ending} {from}");
            assert!(part.body == whole.body[from..=to], "{ending} from {from} to {to}");
            assert_eq!(part.headers["content-range"], format!("bytes {from}-{to}/{length}"), "{ending}");
        }
        let rest = get(&hub, &path, &[("Range", "bytes=-50")]);
        assert!(rest.status == 206 && rest.body == whole.body[length - 50..], "{ending}");
        let beyond = get(&hub, &path, &[("Range", &format!("bytes={length}-"))]);
        assert_eq!((beyond.status, &beyond.headers["content-range"]), (416, &format!("bytes */{length}")), "{ending}");
        let other = get(&hub, &path, &[("Range", "bytes=5-9"), ("If-Range", "\"other\"")]);
        assert!(other.status == 200 && other.body == whole.body, "{ending}: of another file all is sent");
    }
}

#[test]
fn a_number_means_the_same_for_ever_and_other_names_tell_the_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 3, 1);
    assert_eq!(hub.ask(&["tag", "a/shops@v1", "final"]).0, 0);
    let fixed = get(&hub, &data("1", "csv"), &[]);
    assert_eq!(fixed.headers["cache-control"], "max-age=31536000, immutable");
    assert_eq!(fixed.headers["content-disposition"], "attachment; filename=\"a-shops-v1.csv\"");
    assert_eq!(fixed.headers["x-content-type-options"], "nosniff");
    for name in ["newest", "latest", "final", "2999-01-01", "1.x"] {
        let named = get(&hub, &format!("{}?limit=2", data(name, "csv")), &[]);
        let numbered = "/datasets/a/shops/versions/v1/data.csv?limit=2";
        assert_eq!((named.status, &named.headers["content-location"][..]), (200, numbered), "{name}");
        assert_eq!(named.headers["cache-control"], "no-cache", "{name}");
        assert_eq!(named.headers["etag"], get(&hub, numbered, &[]).headers["etag"], "{name}");
        assert_ne!(named.headers["etag"], fixed.headers["etag"], "{name}");
    }
}

#[test]
fn an_address_asks_what_a_command_does_and_what_it_cannot_ask_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 100, 5);
    let lines = |query: &str| {
        let answer = get(&hub, &format!("{}?columns=code&{query}", data("v1", "csv")), &[]);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.text().lines().count() - 1
    };
    assert_eq!(lines("limit=7"), 7);
    assert_eq!(lines("bbox=76,43,76.0095,43.001"), 10);
    assert_eq!(lines("filter=floors%20%3E=%208"), 20);
    let json = "%7B%22op%22:%22=%22,%22args%22:%5B%7B%22property%22:%22floors%22%7D,3%5D%7D";
    assert_eq!(lines(&format!("filter={json}&bbox=76,43,76.0095,43.001")), 1);
    for (query, status, part) in [
        ("colums=code", 400, "`columns`"),
        ("columns=cod", 400, "code, name, floors"),
        ("filter=floors%20%3E=", 400, "at character"),
        ("limit=few", 400, "limit"),
        ("bbox=1,2,3", 400, "1,2,3"),
        ("valid_at=2026-03-01", 400, "valid"),
        ("raw=yes", 400, "raw"),
        ("snapshot=99", 404, "99"),
    ] {
        let refused = get(&hub, &format!("{}?{query}", data("v1", "csv")), &[]);
        assert_eq!(refused.status, status, "{query}: {}", refused.text());
        assert!(refused.text().contains(part), "{query}: {}", refused.text());
    }
    assert_eq!(get(&hub, &format!("{}?bom=true", data("v1", "parquet")), &[]).status, 400);
    for unknown in
        [data("v2", "csv"), data("draft", "csv"), data("v1", "docx"), "/datasets/a/b/versions/v1/data.csv".into()]
    {
        assert_eq!(get(&hub, &unknown, &[]).status, 404, "{unknown}");
    }
}

#[test]
fn a_compressed_file_has_a_tag_and_ranges_of_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 500, 5);
    for ending in ["csv", "geojson", "ndjson"] {
        let path = data("v1", ending);
        let plain = get(&hub, &path, &[]);
        let gzip = get(&hub, &path, &[("Accept-Encoding", "gzip")]);
        let zstd = get(&hub, &path, &[("Accept-Encoding", "gzip, zstd")]);
        let codings = [&gzip, &zstd].map(|answer| answer.headers["content-encoding"].as_str());
        assert_eq!(codings, ["gzip", "zstd"]);
        assert!([&plain, &gzip, &zstd].iter().all(|answer| answer.headers["vary"] == "Accept-Encoding"));
        assert!(gzip.headers["etag"] != plain.headers["etag"] && gzip.headers["etag"] != zstd.headers["etag"]);
        assert_eq!(zstd::decode_all(&zstd.body[..]).expect("zstd"), plain.body);
        let part = get(&hub, &path, &[("Accept-Encoding", "zstd"), ("Range", "bytes=40-99")]);
        assert!(part.status == 206 && part.body == zstd.body[40..100], "{ending}");
        let known = gzip.headers["etag"].clone();
        let asked = [("Accept-Encoding", "gzip"), ("If-None-Match", &known[..])];
        assert_eq!(get(&hub, &path, &asked).status, 304);
        assert_eq!(get(&hub, &path, &[("If-None-Match", &known)]).status, 200, "the plain bytes are others");
    }
    let parquet = get(&hub, &data("v1", "parquet"), &[("Accept-Encoding", "gzip")]);
    assert!(!parquet.headers.contains_key("content-encoding"), "it is compressed already");
}

#[test]
fn a_compaction_changes_the_tag_or_leaves_the_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let off = ["--compact-deleted-share", "1", "--compact-segments-max", "0"];
    let hub = Hub::start(&dir.path().join("data"), &off);
    publish(&hub, dir.path(), 50, 3);
    let file = dir.path().join("more.csv");
    for row in 0..5 {
        fs::write(&file, format!("code,name,floors,lon,lat\nk{row},other,1,76.5,43.5\n")).expect("written");
        hub.publish(&file, "a/shops", &["--mode", "upsert"]);
    }
    let paths: Vec<_> = ENDINGS.iter().flat_map(|ending| [data("v6", ending), data("v1", ending)]).collect();
    let before: Vec<_> = paths.iter().map(|path| get(&hub, path, &[])).collect();
    let (code, compacted) = hub.ask(&["compact", "a/shops"]);
    assert_eq!((code, &compacted["segments_after"]), (0, &1.into()), "{compacted:#}");
    let mut renewed = 0;
    for (path, before) in paths.iter().zip(before) {
        let after = get(&hub, path, &[]);
        let is_same = after.headers["etag"] == before.headers["etag"];
        assert!(!is_same || after.body == before.body, "{path}");
        renewed += usize::from(!is_same);
    }
    assert_eq!(renewed, ENDINGS.len(), "the newest version lies in other files now, the first does not");
}

#[test]
fn a_file_that_is_made_first_has_a_limit_and_nothing_of_it_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let data_dir = dir.path().join("data");
    let hub = Hub::start(&data_dir, &["--download-bytes-max", "200KiB", "--download-files-max", "1"]);
    publish(&hub, dir.path(), 2000, 100);
    for ending in ["fgb", "gpkg", "shp.zip", "xlsx"] {
        let refused = get(&hub, &data("v1", ending), &[]);
        assert_eq!(refused.status, 429, "{ending}: {}", refused.text());
        assert!(refused.text().contains("204800 bytes"), "{ending}: {}", refused.text());
        assert_eq!(get(&hub, &format!("{}?limit=10", data("v1", ending)), &[]).status, 200, "{ending}");
    }
    assert!(get(&hub, &data("v1", "parquet"), &[]).is_complete, "what streams has no such limit");
    let scratch = data_dir.join("scratch");
    wait_until("nothing stays", || files_below(&scratch).is_empty());
    drop(hub);
    fs::create_dir(scratch.join("export-cut")).expect("a folder");
    fs::write(scratch.join("export-cut/rows.gpkg"), "what a crash left").expect("written");
    let _hub = Hub::start(&data_dir, &[]);
    assert!(!scratch.join("export-cut").exists() && files_below(&scratch).is_empty());
}

#[test]
fn a_client_of_http_1_0_learns_the_length_before_the_body() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), 100, 5);
    let mut stream = TcpStream::connect(hub.url.trim_start_matches("http://")).expect("connects");
    write!(stream, "GET {} HTTP/1.0\r\nHost: hub\r\n\r\n", data("v1", "csv")).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.to_lowercase().contains(&format!("content-length: {}", body.len())), "{head}");
    assert_eq!(body, get(&hub, &data("v1", "csv"), &[]).text());
}

#[test]
fn files_that_are_made_first_are_few_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--download-files-max", "1"]);
    // More than stands between hub and client.
    publish(&hub, dir.path(), 20_000, 1000);
    let mut slow = send(&hub, "GET", &data("v1", "fgb"), &[]);
    slow.read_exact(&mut [0; 1000]).expect("it begins");
    let refused = get(&hub, &data("v1", "fgb"), &[]);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("download-files-max"), "{}", refused.text());
    drop(slow);
    wait_until("a client that left makes room", || {
        get(&hub, &data("v1", "gpkg"), &[("Range", "bytes=0-9")]).status == 206
    });
}

#[test]
fn a_client_that_leaves_ends_the_reading() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--exports-max", "1", "--compact-segments-max", "0"]);
    // More batches, and more bytes, than stand between hub and client.
    publish_in_parts(&hub, dir.path(), 12, 2000, 1500);
    let mut slow = send(&hub, "GET", &data("newest", "csv"), &[]);
    slow.read_exact(&mut [0; 1000]).expect("it begins");
    let refused = get(&hub, &data("v1", "ndjson"), &[]);
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("exports-max"), "{}", refused.text());
    drop(slow);
    wait_until("another may read", || get(&hub, &format!("{}?limit=1", data("v1", "csv")), &[]).status == 200);
}

#[test]
fn a_file_that_fails_in_the_middle_never_looks_complete() {
    let dir = tempfile::tempdir().expect("a folder");
    let data_dir = dir.path().join("data");
    let hub = Hub::start(&data_dir, &["--compact-segments-max", "0"]);
    publish(&hub, dir.path(), 5000, 1000);
    let segments = |folder: &Path| {
        let files = files_below(&folder.join("data")).into_iter();
        files.filter(|file| file.extension().is_some_and(|ending| ending == "parquet")).collect::<Vec<_>>()
    };
    let first = segments(&data_dir);
    let file = dir.path().join("more.csv");
    fs::write(&file, "code,name,floors,lon,lat\nnew,other,1,76.5,43.5\n").expect("written");
    hub.publish(&file, "a/shops", &["--mode", "upsert"]);
    let second = segments(&data_dir).into_iter().find(|file| !first.contains(file)).expect("a new segment");
    let whole = get(&hub, &data("v1", "csv"), &[]);
    assert!(whole.is_complete && whole.body.len() > 5_000_000);
    let mut bytes = fs::read(&second).expect("read");
    bytes.iter_mut().skip(4).take(100).for_each(|byte| *byte ^= 0xFF);
    fs::remove_file(&second).and_then(|()| fs::write(&second, bytes)).expect("damaged");
    for (ending, headers) in
        [("csv", &[][..]), ("arrow", &[]), ("geojson", &[("Accept-Encoding", "gzip")]), ("ndjson", &[])]
    {
        let broken = get(&hub, &data("v2", ending), headers);
        // What compresses to less than a part is found broken before it is sent.
        let is_told = broken.status == 200 && !broken.is_complete || broken.status == 500 && ending == "geojson";
        assert!(is_told, "{ending}: {}", broken.status);
        assert!(get(&hub, &data("v1", ending), headers).is_complete, "{ending}: the first version is whole");
    }
    for ending in ["fgb", "gpkg", "shp.zip", "xlsx"] {
        assert_eq!(get(&hub, &data("v2", ending), &[]).status, 500, "{ending}: nothing of it was sent");
    }
}

#[test]
fn downloads_are_few_at_a_time_and_one_that_nobody_takes_is_broken_off() {
    let dir = tempfile::tempdir().expect("a folder");
    let data_dir = dir.path().join("data");
    let hub = Hub::start(&data_dir, &["--downloads-max", "1", "--download-idle-max", "1s"]);
    publish(&hub, dir.path(), 10_000, 1500);
    for ending in ["csv", "fgb"] {
        let mut slow = send(&hub, "GET", &data("v1", ending), &[]);
        slow.read_exact(&mut [0; 1000]).expect("it begins");
        let refused = get(&hub, &data("v1", "ndjson"), &[]);
        assert_eq!(refused.status, 429, "{ending}");
        assert!(refused.text().contains("downloads-max"), "{ending}: {}", refused.text());
        let small = format!("{}?limit=1", data("v1", "csv"));
        wait_until("the slow one is given up", || get(&hub, &small, &[]).status == 200);
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest);
        assert!(rest.len() < 15_000_000, "{ending}: what was broken off does not come whole, {} bytes", rest.len());
        assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "{ending}");
    }
}

#[test]
fn the_command_line_writes_the_same_formats_and_tells_what_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("shops.csv");
    fs::write(&file, "code,number_of_floors,name,lon,lat\na,1,=1+1,76.5,43.5\nb,2,x,76.6,43.6\n").expect("written");
    hub.publish(&file, "a/shops", &["--key", "code"]);
    let export = |name: &str, arguments: &[&str]| {
        let path = dir.path().join(name);
        let (code, said) = hub.ask(&[&["export", "a/shops", "-o", path.to_str().expect("text")], arguments].concat());
        assert_eq!((code, &said["rows"]), (0, &2.into()), "{name}: {said:#}");
        (fs::read(path).expect("written"), said["losses"].clone())
    };
    for (ending, begin) in
        [("fgb", &b"fgb"[..]), ("gpkg", b"SQLite format 3"), ("xlsx", b"PK"), ("arrows", b"\xff\xff")]
    {
        let (bytes, losses) = export(&format!("x.{ending}"), &[]);
        assert!(bytes.starts_with(begin) && losses.is_null(), "{ending}: {losses}");
    }
    let (archive, losses) = export("x.shp.zip", &[]);
    assert!(archive.starts_with(b"PK") && losses == "renamed-columns=1", "{losses}");
    let text = |arguments: &[&str]| String::from_utf8(export("x.csv", arguments).0).expect("text");
    assert!(text(&[]).contains(",'=1+1,") && text(&["--raw", "--bom"]).contains(",=1+1,"));
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 2 + 6, "nothing else stays");
}
