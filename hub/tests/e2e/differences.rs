//! What differs between two versions, on the command line, over HTTP and over Flight.

use crate::hub::{Hub, ukimet};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use tempfile::TempDir;

/// A hub whose dataset has two versions: one row changed its value, one moved, one went, one came.
struct Office {
    hub: Hub,
    folder: TempDir,
}

type Row = (&'static str, &'static str, [f64; 2]);

const FIRST: [Row; 4] = [
    ("0001", "10", [76.9, 43.2]),
    ("0002", "20", [76.8, 43.3]),
    ("0003", "30", [76.7, 43.4]),
    ("0005", "<b>50</b>", [70.0, 50.0]),
];
const SECOND: [Row; 4] = [
    ("0001", "11", [76.9, 43.2]),
    ("0002", "20", [76.8, 43.31]),
    ("0004", "40", [76.6, 43.1]),
    ("0005", "<b>50</b>", [70.0, 50.0]),
];

fn collection(rows: &[Row]) -> String {
    let features = rows.iter().map(|(kad, value, place)| {
        let geometry = json!({ "type": "Point", "coordinates": place });
        json!({ "type": "Feature", "properties": { "kad": kad, "value": value }, "geometry": geometry })
    });
    json!({ "type": "FeatureCollection", "features": features.collect::<Vec<_>>() }).to_string()
}

impl Office {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let office = Self { hub: Hub::start(&folder.path().join("data"), &["--diff-rows-max", "3"]), folder };
        for rows in [FIRST, SECOND] {
            office.push(&rows);
        }
        office
    }

    fn push(&self, rows: &[Row]) {
        let file = self.path("rows.geojson");
        fs::write(&file, collection(rows)).expect("written");
        self.hub.publish(&file, "almaty/parcels", &["--key", "kad"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `ukimet diff` prints.
    fn diff(&self, arguments: &[&str]) -> String {
        let output = ukimet().arg("diff").args(arguments).args(["--hub", &self.hub.url]).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn refusal(&self, arguments: &[&str]) -> String {
        let output = ukimet().arg("diff").args(arguments).args(["--hub", &self.hub.url]).output().expect("runs");
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).expect("text")
    }

    /// Headers and body of an answer over HTTP.
    fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.hub.url.trim_start_matches("http://")).expect("listens");
        write!(stream, "GET {path} HTTP/1.0\r\nAccept-Language: ru\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("headers and a body");
        (head.to_lowercase(), body.to_owned())
    }
}

#[test]
fn a_difference_is_a_table_that_says_what_changed() {
    let office = Office::open();
    let expected = "almaty/parcels v1 → v2: 1 added, 1 removed, 2 changed (key kad)\n";
    let table = office.diff(&["almaty/parcels@v1", "almaty/parcels@v2"]);
    assert!(table.starts_with(expected), "{table}");
    let line = |key: &str| {
        let found = table.lines().find(|line| line.split_whitespace().nth(1) == Some(key));
        found.unwrap_or_else(|| panic!("{key} in {table}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("0001"), "changed 0001 value: 10 → 11");
    // PROJ's geod says 1 111.0 m for 0.01 degrees along the meridian there.
    assert!(line("0002").starts_with("changed 0002 ") && line("0002").ends_with(" 1111.0 m"), "{table}");
    assert_eq!((line("0003"), line("0004")), ("removed 0003 value: 30".into(), "added 0004 value: 40".into()));
    assert_eq!(office.diff(&["almaty/parcels"]), table, "against the version before");
    office.hub.ask(&["tag", "almaty/parcels@v1", "first"]);
    assert_eq!(office.diff(&["almaty/parcels@first", "almaty/parcels"]), table, "a tag, and the newest");
    let back = office.diff(&["almaty/parcels@v2", "almaty/parcels@v1", "--columns", "value"]);
    assert!(back.contains("value: 11 → 10") && !back.contains("0002"), "{back}");
    let first = office.diff(&["almaty/parcels", "--limit", "1"]);
    assert!(first.contains("and 3 more rows"), "{first}");
    assert_eq!(office.diff(&["almaty/parcels", "--summary"]), expected);
    let here = office.diff(&["almaty/parcels", "--bbox", "76.79,43.305,76.81,43.32", "--json"]);
    let here: Value = serde_json::from_str(&here).expect("JSON");
    assert_eq!((&here["changed"], &here["added"], &here["rows"][0]["key"]), (&json!(1), &json!(0), &json!("0002")));
    assert_eq!(here["rows"].as_array().map(Vec::len), Some(1), "{here:#}");
}

#[test]
fn a_difference_that_cannot_be_told_is_refused() {
    let office = Office::open();
    assert!(office.refusal(&["almaty/parcels@v1"]).contains("has no version before v1"));
    assert!(office.refusal(&["almaty/parcels", "--snapshot", "1"]).contains("has no version before v1"));
    assert!(office.refusal(&["almaty/parcels@v1", "almaty/parcels@v9"]).contains("no version v9"));
    assert!(office.refusal(&["almaty/parcels@v1", "almaty/streets"]).contains("versions of one dataset"));
    assert!(office.refusal(&["almaty/parcels", "--columns", "x"]).contains("kad, value, geometry"));
    assert!(office.refusal(&["almaty/parcels", "--format", "parquet"]).contains("-o"));
    assert!(office.refusal(&["almaty/parcels", "-o", "x.docx"]).contains(".docx"));
    assert!(office.get("/datasets/almaty/parcels/diff?format=docx").0.starts_with("http/1.0 400"));
    assert!(office.get("/datasets/almaty/parcels/diff?to=v1").0.starts_with("http/1.0 404"));
}

#[test]
fn every_format_has_the_same_rows() {
    let office = Office::open();
    let csv = office.diff(&["almaty/parcels", "--format", "csv"]);
    let header = "operation,key.kad,changed,distance_m,area_change_m2,before.kad,before.value,before.geometry,\
                  after.kad,after.value,after.geometry,geometry";
    assert_eq!(csv.lines().next(), Some(header));
    assert!(csv.contains("0003,30,POINT(76.7 43.4),,,,POINT(76.7 43.4)"), "{csv}");
    let json: Value = serde_json::from_str(&office.diff(&["almaty/parcels", "--format", "json"])).expect("JSON");
    let features = json["features"].as_array().expect("features");
    let changed = features.iter().find(|row| row["properties"]["key"]["kad"] == "0002").expect("there");
    assert_eq!(changed["geometry"]["coordinates"], json!([76.8, 43.31]));
    assert_eq!(changed["properties"]["before"]["geometry"], "POINT(76.8 43.3)");
    assert_eq!(changed["properties"]["changed"], json!(["geometry"]));
    let (head, lines) = office.get("/datasets/almaty/parcels/diff?from=v1&to=v2&format=ndjson&columns=kad,value");
    assert!(head.contains("attachment; filename=\"almaty-parcels-diff.ndjson\""), "{head}");
    assert_eq!((features.len(), lines.lines().count()), (4, 3), "the row that moved has equal values");
    for name in ["out.arrow", "out.parquet"] {
        let path = office.path(name);
        let written = office.diff(&["almaty/parcels", "-o", path.to_str().expect("text")]);
        assert!(written.contains("2 changed") && fs::metadata(path).expect("a file").len() > 1000, "{written}");
    }
}

#[test]
fn a_page_runs_nothing_that_was_published_and_says_what_it_leaves_out() {
    let office = Office::open();
    let mut rows = SECOND;
    rows[0].1 = "<img src=x>";
    rows[1].1 = "</script><script>alert(1)</script>";
    office.push(&rows);
    let (head, page) = office.get("/datasets/almaty/parcels/diff?from=v1");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'sha256-"), "{head}");
    assert!(page.contains("<html lang=\"ru\">") && page.contains("Content-Security-Policy"));
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)") && page.contains("&lt;img src=x&gt;"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("<img"));
    // Two changed, one removed, one added, of which the hub shows three.
    assert!(page.contains("показано начало: 3\u{a0}строки из 4"), "{page}");
    assert_eq!(page.matches("<tr id=\"row-").count(), 3);
    let path = office.path("page.html");
    let limits = ["--diff-positions-max", "3", "--lang", "kk"];
    office
        .diff(&[&["almaty/parcels@v1", "almaty/parcels@v2", "-o", path.to_str().expect("text")][..], &limits].concat());
    let page = fs::read_to_string(path).expect("a page");
    assert!(page.contains("lang=\"kk\"") && page.contains("салынбағаны: 2\u{a0}жол"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "a page needs no network");
}
