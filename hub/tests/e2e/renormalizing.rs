//! Stored bytes are read again: the difference first, then a version.

use crate::hub::Hub;
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
    assert_eq!((code, &result["rows_same"], &result["rows_changed"]), (0, &1.into(), &2.into()), "{found:?}");
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
