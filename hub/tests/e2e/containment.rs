//! One push that crashes, hangs or is a bomb, and two others in flight: one fails with what happened, two finish.

use crate::hub::{Hub, points, root, signal, ukimet};
use crate::lifecycle::{children, ticks, wait_until_alone};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Rows of a push that is in flight: some seconds of work.
const ROWS: usize = 60_000;

fn begin(hub: &Hub, file: &Path, dataset: &str, flags: &[&str]) -> Child {
    ukimet()
        .arg("push")
        .arg(file)
        .args(["--dataset", dataset, "--hub", &hub.url, "--json"])
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs")
}

fn outcome(pushing: Child) -> Value {
    let output = pushing.wait_with_output().expect("ends");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A hub that reads several files at a time.
fn hub(folder: &TempDir, flags: &[&str]) -> Hub {
    let hub = Hub::start(&folder.path().join("data"), &[&["--adapter-jobs-max", "4"], flags].concat());
    wait_until_alone(hub.pid());
    hub
}

fn others(hub: &Hub, folder: &TempDir) -> [Child; 2] {
    let file = folder.path().join("points.csv");
    fs::write(&file, points(ROWS)).expect("written");
    ["a/first", "a/second"].map(|dataset| begin(hub, &file, dataset, &[]))
}

fn check(hostile: &Value, code: &str, part: &str, others: [Child; 2]) {
    for other in others {
        let outcome = outcome(other);
        assert_eq!(outcome["layers"][0]["rows_taken"], ROWS, "{outcome:#}");
    }
    assert_eq!(hostile["error"]["code"], code, "{hostile:#}");
    let message = hostile["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains(part), "{message} should say {part:?}");
}

/// Pushes a hostile file while two others are in flight.
fn check_file(flags: &[&str], file: impl FnOnce(&Path) -> PathBuf, layer: &[&str], code: &str, part: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let hostile = file(folder.path());
    let hub = hub(&folder, flags);
    let others = others(&hub, &folder);
    let hostile = outcome(begin(&hub, &hostile, "a/hostile", layer));
    check(&hostile, code, part, others);
}

/// Sends a signal to the adapter that reads one file while two others are read.
fn check_signal(flags: &[&str], name: &str, code: &str, part: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(&folder, flags);
    let large = folder.path().join("large.csv");
    fs::write(&large, points(600_000)).expect("written");
    let hostile = begin(&hub, &large, "a/hostile", &[]);
    let start = Instant::now();
    let adapter = loop {
        // Starting takes a tenth of a second of work; one that has done more is in the middle of the file.
        if let Some(adapter) = children(hub.pid()).into_iter().find(|pid| ticks(*pid) >= 30) {
            break adapter;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "no adapter was started");
        std::thread::sleep(Duration::from_millis(5));
    };
    let others = others(&hub, &folder);
    signal(adapter, name);
    if name == "SEGV" {
        // The runtime takes the first for a full stack and lets it come again; a real one does.
        std::thread::sleep(Duration::from_millis(200));
        signal(adapter, name);
    }
    check(&outcome(hostile), code, part, others);
}

#[test]
fn a_crash_is_one_failed_push() {
    check_signal(&[], "SEGV", "INVALID_ARGUMENT", "crashed on the file (signal 11)");
}

#[test]
fn a_hang_is_one_failed_push() {
    check_signal(&["--adapter-time-max", "40s"], "STOP", "DEADLINE_EXCEEDED", "longer than 40 s");
}

#[test]
fn an_endless_view_is_one_failed_push_within_its_processor_time() {
    let flags = ["--adapter-cpu-max", "2s", "--adapter-cpu-per-mib", "30s"];
    check_file(&flags, endless_view, &["--layer", "endless"], "DEADLINE_EXCEEDED", "adapter-cpu-max");
}

/// A `GeoPackage` with a view that never ends and never gives a row.
fn endless_view(folder: &Path) -> PathBuf {
    let file = folder.join("endless.gpkg");
    fs::copy(root().join("demo/kz_3_layers.gpkg"), &file).expect("copied");
    let view = "CREATE VIEW endless AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) \
                SELECT x AS id FROM c WHERE x < 0; \
                INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('endless', 'attributes', 'e');";
    let status = Command::new("sqlite3").arg(&file).arg(view).status().expect("sqlite3 runs");
    assert!(status.success());
    file
}

#[test]
fn a_file_that_needs_too_much_memory_is_one_failed_push() {
    let flags = ["--adapter-memory-max", "600MiB"];
    check_file(&flags, large_geometry, &[], "RESOURCE_EXHAUSTED", "adapter-memory-max");
}

/// A line of so many positions that no reader holds it in the memory allowed.
fn large_geometry(folder: &Path) -> PathBuf {
    let file = folder.join("line.geojson");
    let coordinates = "[76.5,43.5],".repeat(8_000_000);
    let text = format!(
        r#"{{"type":"Feature","properties":{{"a":1}},"geometry":{{"type":"LineString","coordinates":[{coordinates}[76.5,43.6]]}}}}"#
    );
    fs::write(&file, text).expect("written");
    file
}

#[test]
fn an_archive_that_fills_the_scratch_folder_is_one_failed_push() {
    check_file(&["--adapter-file-max", "1MiB"], large_member, &[], "RESOURCE_EXHAUSTED", "adapter-file-max");
}

fn large_member(folder: &Path) -> PathBuf {
    let file = folder.join("large.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&file).expect("made"));
    archive.start_file("points.csv", zip::write::SimpleFileOptions::default()).expect("begins");
    archive.write_all(points(ROWS).as_bytes()).expect("written");
    archive.finish().expect("ends");
    file
}
