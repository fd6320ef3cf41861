//! Stored bytes are read again: the difference first, then a version.

use crate::hub::{Hub, RULES};
use crate::next_adapter::NextAdapter;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs `ukimet renormalize` and reads a line of JSON for each dataset.
fn renormalized(hub: &Hub, arguments: &[&str]) -> (i32, Vec<Value>) {
    let output = crate::hub::ukimet()
        .arg("renormalize")
        .args(arguments)
        .args(["--hub", &hub.url, "--json"])
        .output()
        .expect("the command runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    let answers = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (output.status.code().expect("a code"), answers)
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).expect("written");
    file
}

const MAPPING: &str = r#"[[column]]
name = "region"
from = "КАТО"
lookup = { dataset = "kz/kato", key = "code", value = "name" }
"#;

#[test]
fn what_a_looked_up_dataset_changes_is_shown_first_and_then_published() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let kato = |name: &str| write(dir.path(), "kato.csv", &format!("code;name\n710000000;{name}\n750000000;Алматы\n"));
    hub.publish(&kato("Нур-Султан"), "kz/kato", &[]);
    let mapping = write(dir.path(), "schools.toml", MAPPING);
    let schools = write(dir.path(), "schools.csv", "Школа;КАТО\n№ 1;710000000\n№ 2;750000000\n№ 3;710000000\n");
    hub.publish(&schools, "kz/schools", &["--mapping", mapping.to_str().expect("text")]);

    let (code, same) = renormalized(&hub, &["--all", "--dry-run"]);
    assert_eq!((code, same.len()), (0, 2), "{same:?}");
    for answer in &same {
        let result = &answer["result"];
        assert_eq!(result["rows_same"], result["rows_before"], "nothing differs yet: {answer:#}");
    }

    hub.publish(&kato("Астана"), "kz/kato", &[]);
    let (code, found) = renormalized(&hub, &["kz/schools", "--dry-run", "--examples", "1"]);
    let result = &found[0]["result"];
    assert_eq!((code, &result["rows_same"], &result["rows_paired"]), (0, &1.into(), &2.into()), "{found:?}");
    let column = &result["columns_changed"][0];
    assert_eq!((&column["column"], &column["rows"]), (&"region".into(), &2.into()));
    assert_eq!(column["examples"], serde_json::json!([["Нур-Султан", "Астана"]]));
    let (_, described) = hub.ask(&["describe", "kz/schools"]);
    assert_eq!(described["dataset"]["version"]["number"], 1, "a dry run publishes nothing");

    let (code, done) = renormalized(&hub, &["kz/schools"]);
    assert_eq!((code, &done[0]["result"]["status"]), (0, &"published".into()), "{done:?}");
    let (_, again) = renormalized(&hub, &["kz/schools"]);
    assert_eq!(again[0]["result"]["status"], "unchanged", "{again:?}");
    assert_eq!(again[0]["version"], 2);
    let staged = fs::read_dir(dir.path().join("data/staging")).map(Iterator::count);
    assert_eq!(staged.unwrap_or_default(), 0, "nothing stays behind");
}

#[test]
fn other_rules_than_the_adapter_applies_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let output = crate::hub::ukimet()
        .args(["renormalize", "--all", "--rules", "no-such-rules", "--hub", &hub.url])
        .output()
        .expect("the command runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("\"no-such-rules\" were asked for"), "{error}");
}

#[test]
fn declarations_of_the_first_push_hold_when_its_bytes_are_read_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("a.csv");
    let text = "Имя;X;Y\nАбай;76,9;43,2\n";
    let bytes: Vec<u8> = text.chars().map(windows_1251).collect();
    fs::write(&file, bytes).expect("written");
    hub.publish(&file, "almaty/points", &["--encoding", "windows-1251"]);
    let (code, found) = renormalized(&hub, &["almaty/points", "--dry-run"]);
    assert_eq!((code, &found[0]["result"]["rows_same"]), (0, &1.into()), "{found:?}");
}

/// Russian letters and ASCII as windows-1251 has them.
fn windows_1251(letter: char) -> u8 {
    match letter {
        'А'..='я' => (letter as u32 - 'А' as u32) as u8 + 0xc0,
        other => other as u8,
    }
}

/// What a command of `ukimet` prints.
fn said(hub: &Hub, arguments: &[&str]) -> String {
    let output = crate::hub::ukimet().args(arguments).args(["--hub", &hub.url]).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_mapping_in_force_is_read_with_and_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let kato = |name: &str| write(dir.path(), "kato.csv", &format!("code;name\n710000000;{name}\n750000000;Алматы\n"));
    hub.publish(&kato("Нур-Султан"), "kz/kato", &[]);
    let schools = write(dir.path(), "schools.csv", "Школа;КАТО\n№ 1;710000000\n№ 2;750000000\n");
    let first = write(dir.path(), "first.toml", MAPPING);
    hub.publish(&schools, "kz/schools", &["--mapping", first.to_str().expect("text")]);
    let renewed = format!("# renewed\n{MAPPING}");
    let second = write(dir.path(), "second.toml", &renewed);
    let (_, unchanged) = hub.push(&schools, "kz/schools", &["--mapping", second.to_str().expect("text")]);
    assert_eq!(unchanged["status"], "unchanged", "{unchanged:#}");
    hub.publish(&kato("Астана"), "kz/kato", &[]);
    let (code, done) = renormalized(&hub, &["kz/schools"]);
    assert_eq!((code, &done[0]["result"]["status"]), (0, &"published".into()), "{done:?}");
    assert_eq!(said(&hub, &["mapping", "show", "kz/schools"]).trim_end(), renewed.trim_end());
}

#[test]
fn corrected_rows_are_read_again_beside_the_file_that_they_correct() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--adapter-jobs-max", "1"]);
    let kato = |name: &str| write(dir.path(), "kato.csv", &format!("code;name\n710000000;{name}\n750000000;Алматы\n"));
    hub.publish(&kato("Нур-Султан"), "kz/kato", &[]);
    let mapping = write(dir.path(), "schools.toml", MAPPING);
    let rows = "Школа;КАТО;Сумма;wkt\n№ 1;710000000;1.234.567,8;POINT(71 51)\n№ 2;710000000;1.234;ПОИНТ(71.1 51)\n\
                № 3;750000000;5;ПОИНТ(77 43)\n№ 4;710000000;6;ПОИНТ(71.2 51)\n№ 5;750000000;7;POINT(77.1 43)\n№ 6;750000000;8;POINT(77.2 43)\n";
    let schools = write(dir.path(), "schools.csv", rows);
    let flags = ["--crs", "EPSG:4326", "--mapping", mapping.to_str().expect("text"), "--push-id", "p1"];
    hub.publish(&schools, "kz/schools", &flags);
    let fix = |push: &str, id: &str, wrong: &str, right: &str| {
        let report = ["report", "kz/schools", "--push", push, "--table", "quarantine", "--format", "csv"];
        let sheet = write(dir.path(), "fixed.csv", &said(&hub, &report).replace(wrong, right));
        hub.publish(&sheet, "kz/schools", &["--fixes", push, "--push-id", id]);
    };
    fix("p1", "p2", "ПОИНТ(71.1", "POINT(71.1");
    fix("p2", "p3", "ПОИНТ(77", "POINT(77");
    let (code, same) = renormalized(&hub, &["kz/schools", "--dry-run"]);
    let result = &same[0]["result"];
    assert_eq!((code, &result["rows_same"], &result["rows_before"]), (0, &5.into(), &5.into()), "{same:?}");
    hub.publish(&kato("Астана"), "kz/kato", &[]);
    let (code, done) = renormalized(&hub, &["kz/schools"]);
    let layer = &done[0]["result"]["layers"][0];
    let counts = ["rows_read", "rows_taken", "rows_refused", "version"].map(|name| layer[name].as_u64());
    assert_eq!((code, counts), (0, [Some(6), Some(5), Some(1), Some(4)]), "{done:?}");
    let out = dir.path().join("out.csv");
    hub.ask(&["export", "kz/schools", "-o", out.to_str().expect("text")]);
    let text = fs::read_to_string(&out).expect("a file");
    assert_eq!((text.matches("Астана").count(), text.matches("Нур-Султан").count()), (2, 0), "{text}");
    assert!(text.contains(",1234,") || text.contains(",1234.0,"), "in the notation of the column: {text}");
    // What is still refused is corrected beside it, and all of it is read again once more.
    let (_, described) = hub.ask(&["describe", "kz/schools"]);
    let push = described["dataset"]["version"]["push_id"].as_str().expect("an id").to_owned();
    fix(&push, "p4", "ПОИНТ(71.2", "POINT(71.2");
    let (code, again) = renormalized(&hub, &["kz/schools", "--dry-run"]);
    let result = &again[0]["result"];
    assert_eq!((code, &result["rows_same"], &result["rows_after"]), (0, &6.into(), &6.into()), "{again:?}");
    let staged = fs::read_dir(dir.path().join("data/staging")).map(Iterator::count);
    assert_eq!(staged.unwrap_or_default(), 0, "nothing stays behind");
}

/// Parcels by number: a name and a place. The rules of [`NextAdapter`] change the name of 0001, move 0002, refuse 0003,
/// make 0004 smaller, and leave 0005 as it is.
fn parcels() -> String {
    let square = |side: f64| {
        let (west, south) = (76.9, 43.2);
        serde_json::json!({ "type": "Polygon", "coordinates": [[
            [west, south], [west + side, south], [west + side, south + side], [west, south + side], [west, south]
        ]] })
    };
    let point = |x: f64, y: f64| serde_json::json!({ "type": "Point", "coordinates": [x, y] });
    let rows = [
        ("0001", "«Алатау»", point(76.9, 43.2)),
        ("0002", "Медеу", point(76.8, 43.304)),
        ("0003", "тест", point(76.7, 43.4)),
        ("0004", "Тау", square(0.012)),
        ("0005", "Көктөбе", point(76.6, 43.1)),
    ];
    let features = rows.map(|(kad, name, geometry)| {
        serde_json::json!({ "type": "Feature", "properties": { "kad": kad, "name": name }, "geometry": geometry })
    });
    serde_json::json!({ "type": "FeatureCollection", "features": features }).to_string()
}

/// A hub with parcels, beside whose adapter one with the rules "7" stands.
struct Switch {
    hub: Hub,
    _next: NextAdapter,
    dir: tempfile::TempDir,
}

impl Switch {
    fn open() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let next = NextAdapter::start(dir.path(), "7");
        let hub = Hub::start(&dir.path().join("data"), &["--adapter-beside", &next.url]);
        let file = write(dir.path(), "parcels.geojson", &parcels());
        hub.publish(&file, "almaty/parcels", &["--key", "kad"]);
        Self { hub, _next: next, dir }
    }

    /// What the catalog keeps: every file of its truth.
    fn truth(&self) -> Vec<PathBuf> {
        let data = self.dir.path().join("data");
        let mut files: Vec<PathBuf> = ["log", "raw", "data", "receipts"]
            .iter()
            .flat_map(|folder| crate::hub::files_below(&data.join(folder)))
            // A projection, which is written when there is time.
            .filter(|file| !file.components().any(|part| part.as_os_str() == "_delta_log"))
            .collect();
        files.sort();
        files
    }

    fn dry(&self, more: &[&str]) -> String {
        let asked = ["renormalize", "almaty/parcels", "--rules", "7", "--dry-run"];
        said(&self.hub, &[&asked[..], more].concat())
    }
}

#[test]
fn next_rules_are_shown_row_by_row_before_the_switch_and_change_just_that() {
    let office = Switch::open();
    let before = office.truth();
    let text = office.dry(&[]);
    let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = format!("almaty/parcels v1 read again, rules {RULES} → 7: 0 added, 1 removed, 3 changed (key kad)");
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1], "rows that stay as they are: 1 of 5");
    let has = |line: &str| assert!(lines.iter().any(|found| found == line), "{line:?} in {text}");
    has("name differs in 1 row");
    has("«Алатау» → Алатау");
    has("geometry differs in 2 rows");
    has("POINT(76.8 43.304) → POINT(76.8 43.3)");
    has("changed 0001 name: «Алатау» → Алатау");
    // So long are 0.004 degrees of the meridian there, summed up by its radius of curvature.
    has("changed 0002 geometry 444.4 m");
    has("removed 0003 name: тест");
    // Between parallels the ellipsoid has 902 876.0 m² in the square of 0.01 degrees, 397 244.4 m² less than before.
    has("changed 0004 geometry 137.6 m -397244.4 m²");
    let planned: Value = serde_json::from_str(&office.dry(&["--json"])).expect("JSON");
    assert_eq!(office.truth(), before, "a dry run leaves nothing behind");
    let snapshot = |hub: &Hub| hub.ask(&["versions", "almaty/parcels"]).1;
    assert_eq!(snapshot(&office.hub)["versions"].as_array().map(Vec::len), Some(1));

    let (code, done) = renormalized(&office.hub, &["almaty/parcels", "--rules", "7"]);
    assert_eq!((code, &done[0]["result"]["status"]), (0, &"published".into()), "{done:?}");
    let (_, differs) = office.hub.ask(&["diff", "almaty/parcels"]);
    assert_eq!(planned["result"]["rows"], differs["rows"], "the switch does what was shown");
    assert_eq!(differs["rows"].as_array().map(Vec::len), Some(4));
    let (_, same) = renormalized(&office.hub, &["almaty/parcels", "--rules", "7", "--dry-run"]);
    assert_eq!((&same[0]["rules_before"], &same[0]["result"]["rows_same"]), (&"7".into(), &4.into()), "{same:?}");
    let (_, back) = renormalized(&office.hub, &["almaty/parcels", "--dry-run"]);
    assert_eq!((&back[0]["rules_now"], &back[0]["result"]["rows_added"]), (&RULES.into(), &1.into()), "{back:?}");
    let Switch { hub, dir, .. } = office;
    drop(hub);
    crate::hub::verified(&dir.path().join("data"));
}

#[test]
fn what_next_rules_would_change_is_written_as_a_page_and_as_files() {
    let office = Switch::open();
    let path = |name: &str| office.dir.path().join(name);
    let file = |name: &str| {
        office.dry(&["-o", path(name).to_str().expect("text")]);
        fs::read(path(name)).expect("a file")
    };
    let page = String::from_utf8(file("parcels.html")).expect("text");
    assert!(page.contains("almaty/parcels: what rules 7 would change in version 1"), "{page}");
    let made = format!("made with rules {RULES}. Its file was read again with rules 7; nothing of that is published.");
    assert!(page.contains(&made));
    let drawing = page.split_once("id=\"drawing\">").expect("a drawing").1;
    let drawing: Value = serde_json::from_str(drawing.split_once("</script>").expect("its end").0).expect("JSON");
    let shapes = drawing["shapes"].as_array().expect("shapes");
    assert_eq!((drawing["operations"].to_string().as_str(), shapes.len()), (r#"["c","r","c","c"]"#, 4));
    // Moved, gone, smaller, and one that stays where it is and is drawn once.
    let sides = shapes.iter().map(|shape| (shape[0].is_null(), shape[1].is_null(), shape[0] == shape[1]));
    let expected = [(false, false, false), (false, true, false), (false, false, false), (true, false, false)];
    assert_eq!(sides.collect::<Vec<_>>(), expected, "{drawing}");
    for word in ["0001", "«Алатау» → Алатау", "444.4", "тест"] {
        assert!(page.contains(word), "{word} in the page");
    }
    assert!(!page.contains("http-equiv=\"refresh\"") && !page.contains("src=\""), "one file, no network");
    let russian = office.dry(&["--format", "html", "--lang", "ru"]);
    assert!(russian.contains("что правила 7 изменили бы в версии 1"), "{russian}");
    let features = String::from_utf8(file("parcels.ndjson")).expect("text");
    let features: Vec<Value> = features.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(features.len(), 4);
    let renamed = features.iter().find(|feature| feature["properties"]["key"]["kad"] == "0001").expect("a feature");
    let names = ["before", "after"].map(|side| renamed["properties"][side]["name"].as_str());
    assert_eq!(names, [Some("«Алатау»"), Some("Алатау")]);
    let area =
        features.iter().find_map(|feature| feature["properties"]["area_change_m2"].as_f64().filter(|a| *a != 0.0));
    assert!(area.is_some_and(|area| (area + 397_244.449).abs() < 0.01), "{features:?}");
    assert_eq!(&file("parcels.arrow")[..6], b"ARROW1");
    let two = office.dry(&["--format", "csv", "--limit", "2"]);
    assert_eq!(two.lines().count(), 3, "{two}");
}

#[test]
fn next_rules_are_shown_for_the_whole_catalog_and_what_they_do_not_read_is_told() {
    let office = Switch::open();
    let table = write(office.dir.path(), "table.csv", "code;name\n1;a\n2;b\n");
    office.hub.publish(&table, "kz/table", &[]);
    let other =
        write(office.dir.path(), "other.geojson", &parcels().replace("«Алатау»", "Алатау").replace("тест", "Тест"));
    office.hub.publish(&other, "kz/other", &["--key", "kad"]);
    let folder = office.dir.path().join("pages");
    let folder_name = folder.to_str().expect("text");
    let all = ["--all", "--rules", "7", "--dry-run", "--format", "html", "-o", folder_name];
    let (code, found) = renormalized(&office.hub, &all);
    assert_eq!((code, found.len()), (1, 3), "{found:?}");
    let of = |name: &str| found.iter().find(|answer| answer["dataset"] == name).expect("an answer");
    assert_eq!(of("almaty/parcels")["result"]["rows_changed"], 3);
    assert_eq!(of("kz/other")["result"]["rows_changed"], 2);
    let why = of("kz/table")["result"]["failure"].as_str().expect("a failure");
    let expected = "no adapter of this hub applies rules \"7\" to \"table.csv\"; those that read it apply";
    assert!(why.contains(&format!("{expected} \"{RULES}\" (the bundled one)")), "{why}");
    for (dataset, word) in [("almaty/parcels", "«Алатау»"), ("kz/other", "0002")] {
        let page = fs::read_to_string(folder.join(format!("{dataset}.html"))).expect("a page");
        assert!(page.contains(word), "{dataset}");
    }
    assert!(!folder.join("kz/table.html").exists());
    let refused = crate::hub::ukimet()
        .args(["renormalize", "--all", "--dry-run", "--format", "html", "--hub", &office.hub.url])
        .output()
        .expect("the command runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("name a folder with -o"));
}

#[test]
fn the_first_adapter_named_for_a_format_serves_its_pushes_and_one_beside_never_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let adapters = ["7", "8", "9"].map(|rules| NextAdapter::start(dir.path(), rules));
    let [first, second, beside] = adapters.each_ref().map(|adapter| adapter.url.as_str());
    let flags = ["--adapter-beside", beside, "--adapter", first, "--adapter", second];
    let hub = Hub::start(&dir.path().join("data"), &flags);
    let file = write(dir.path(), "parcels.geojson", &parcels());
    hub.publish(&file, "almaty/parcels", &["--key", "kad"]);
    let rules = |asked: &[&str]| {
        let (code, found) = renormalized(&hub, &[&["almaty/parcels", "--dry-run"], asked].concat());
        assert_eq!(code, 0, "{found:?}");
        (found[0]["rules_before"].clone(), found[0]["rules_now"].clone(), found[0]["result"]["rows_added"].clone())
    };
    assert_eq!(rules(&[]), ("7".into(), "7".into(), 0.into()));
    assert_eq!(rules(&["--rules", "8"]), ("7".into(), "8".into(), 0.into()));
    assert_eq!(rules(&["--rules", "9"]), ("7".into(), "9".into(), 0.into()));
    assert_eq!(rules(&["--rules", RULES]), ("7".into(), RULES.into(), 1.into()), "the bundled one reads it, too");
}

#[test]
fn what_the_switch_would_be_refused_for_is_shown_with_what_it_would_change() {
    let dir = tempfile::tempdir().expect("a folder");
    let next = NextAdapter::start(dir.path(), "nameless");
    let hub = Hub::start(&dir.path().join("data"), &["--adapter-beside", &next.url]);
    let file = write(dir.path(), "parcels.geojson", &parcels());
    hub.publish(&file, "almaty/parcels", &["--key", "kad"]);
    let asked = |more: &[&str]| renormalized(&hub, &[&["almaty/parcels", "--rules", "nameless"], more].concat());
    let (code, found) = asked(&["--dry-run"]);
    let result = &found[0]["result"];
    assert_eq!((code, &result["rows_changed"]), (0, &5.into()), "{found:?}");
    assert_eq!(result["columns_removed"], serde_json::json!(["name: Utf8"]));
    let refusal = result["refusal"].as_str().expect("why it would be refused");
    assert!(refusal.contains("name") && refusal.contains("--new-major"), "{refusal}");
    let (code, refused) = asked(&[]);
    assert!(code == 1 && refused[0]["result"]["failure"] == refusal, "{refused:?}");
    let (_, as_major) = asked(&["--dry-run", "--new-major"]);
    assert_eq!((&as_major[0]["result"]["rows_changed"], &as_major[0]["result"]["refusal"]), (&5.into(), &Value::Null));
    let (_, done) = asked(&["--new-major"]);
    assert_eq!(done[0]["result"]["status"], "published", "{done:?}");
    let (_, differs) = hub.ask(&["diff", "almaty/parcels"]);
    assert_eq!(differs["rows"], as_major[0]["result"]["rows"], "a column that went from the middle");
}

#[test]
fn a_dataset_that_cannot_be_read_again_is_named_without_a_version_that_is_not_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let more = |name: &str, rows: &str| write(dir.path(), name, &format!("id;name\n{rows}"));
    hub.publish(&more("a.csv", "1;a\n2;b\n"), "kz/table", &["--key", "id"]);
    hub.publish(&more("b.csv", "3;c\n"), "kz/table", &["--mode", "append"]);
    let output = crate::hub::ukimet()
        .args(["renormalize", "kz/table", "--dry-run", "--hub", &hub.url])
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("kz/table: not read again: v2 was made of rows that came beside others"), "{text}");
    assert_eq!(output.status.code(), Some(1));
    let (_, failed) = renormalized(&hub, &["kz/table", "--dry-run"]);
    assert_eq!(failed[0]["version"], Value::Null, "{failed:?}");
}
