//! The Delta logs beside the segments: that they come to be, that they come back, that they are in nobody's way.

use crate::hub::{Hub, points, verified, wait_until};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the only dataset.
fn folder(data: &Path) -> PathBuf {
    let mut found = fs::read_dir(data.join("data")).expect("a folder").flatten();
    found.next().expect("a dataset").path()
}

/// The log's files, once the newest entry is that of this version.
pub fn log_at(data: &Path, version: u64) -> BTreeMap<String, Vec<u8>> {
    let log = folder(data).join("_delta_log");
    wait_until("the version comes to the Delta log", || log.join(format!("{version:020}.json")).exists());
    let files = fs::read_dir(log).expect("a folder").flatten();
    // One may be replaced at this moment.
    let read = |f: fs::DirEntry| Some((f.file_name().to_string_lossy().into_owned(), fs::read(f.path()).ok()?));
    files.filter_map(read).collect()
}

fn verify_is_clean(data: &Path) {
    let text = verified(data);
    assert!(!text.contains("unreferenced"), "{text}");
}

#[test]
fn a_delta_log_catches_up_after_a_crash_and_comes_back_when_it_is_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, file) = (dir.path().join("data"), dir.path().join("points.csv"));
    let publish = |hub: &Hub, rows: usize| {
        fs::write(&file, points(rows)).expect("written");
        hub.publish(&file, "a/b", &["--key", "name"]);
    };
    // As if the process had ended between the commit and the log.
    let hub = Hub::start(&data, &["--delta-log", "off"]);
    publish(&hub, 10);
    publish(&hub, 9);
    drop(hub);
    assert!(!folder(&data).join("_delta_log").exists());
    let hub = Hub::start(&data, &[]);
    let names: Vec<_> = log_at(&data, 2).into_keys().collect();
    assert_eq!(names, [0, 1, 2].map(|number| format!("{number:020}.json")));
    publish(&hub, 8);
    // Killed at once: the log may have the version or not.
    drop(hub);
    let hub = Hub::start(&data, &[]);
    let whole = log_at(&data, 3);
    drop(hub);
    fs::remove_dir_all(folder(&data).join("_delta_log")).expect("removed");
    let hub = Hub::start(&data, &[]);
    assert_eq!(log_at(&data, 3), whole);
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    verify_is_clean(&data);
}

#[test]
fn what_keeps_a_delta_log_from_being_written_is_in_nobodys_way() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, file) = (dir.path().join("data"), dir.path().join("points.csv"));
    let hub = Hub::start(&data, &["--delta-log", "off"]);
    fs::write(&file, points(10)).expect("written");
    hub.publish(&file, "a/b", &[]);
    drop(hub);
    let obstacle = folder(&data).join("_delta_log");
    fs::write(&obstacle, "not a folder").expect("written");
    let hub = Hub::start(&data, &[]);
    fs::write(&file, points(20)).expect("written");
    hub.publish(&file, "a/b", &[]);
    fs::remove_file(&obstacle).expect("removed");
    fs::write(&file, points(30)).expect("written");
    // The next commit tries again.
    let outcome = hub.publish(&file, "a/b", &[]);
    assert_eq!(outcome["layers"][0]["version"], 3, "{outcome:#}");
    assert_eq!(log_at(&data, 3).len(), 4);
}

#[test]
fn deleted_rows_are_told_as_configured() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, file) = (dir.path().join("data"), dir.path().join("points.csv"));
    let hub = Hub::start(&data, &["--delta-deletes", "rewritten", "--delta-checkpoint-every", "2"]);
    for rows in [10, 9] {
        fs::write(&file, points(rows)).expect("written");
        hub.publish(&file, "a/b", &["--key", "name"]);
    }
    let entry_of_two = || {
        let bytes = log_at(&data, 2).remove(&format!("{:020}.json", 2)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let entry = entry_of_two();
    assert!(entry.contains("_rewritten/") && !entry.contains("deletionVector"), "{entry}");
    drop(hub);
    let hub = Hub::start(&data, &["--delta-checkpoint-every", "2"]);
    // The log of the other kind is replaced, file by file.
    wait_until("the log is replaced", || entry_of_two().contains("deletionVector"));
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    assert!(log_at(&data, 2).contains_key(&format!("{:020}.checkpoint.parquet", 2)));
    let copies = fs::read_dir(folder(&data).join("_rewritten")).expect("a folder").count();
    assert_eq!(copies, 0);
    verify_is_clean(&data);
}

#[test]
fn a_compaction_shows_in_the_next_version_of_a_delta_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, file) = (dir.path().join("data"), dir.path().join("points.csv"));
    let hub = Hub::start(&data, &["--compact-keep", "0s"]);
    let publish = |rows: usize| {
        fs::write(&file, points(rows)).expect("written");
        hub.publish(&file, "a/b", &["--key", "name"]);
    };
    [10, 9, 8].into_iter().for_each(publish);
    let before = log_at(&data, 3);
    let (code, done) = hub.ask(&["compact", "a/b"]);
    assert_eq!((code, &done["rows_dropped"]), (0, &2.into()), "{done:#}");
    let (code, _) = hub.ask(&["gc"]);
    assert_eq!(code, 0);
    publish(7);
    let log = log_at(&data, 4);
    assert!(before.iter().all(|(name, bytes)| log.get(name) == Some(bytes)), "nothing of it was written anew");
    let entry = String::from_utf8_lossy(&log[&format!("{:020}.json", 4)]).into_owned();
    let lines = |action: &str| entry.lines().filter(|line| line.starts_with(action)).count();
    assert_eq!((lines("{\"remove\""), lines("{\"add\"")), (1, 1), "{entry}");
    let names = |entry: &str, action: &str| {
        let line = entry.lines().find(|line| line.starts_with(action)).unwrap_or_default().to_owned();
        line.split(".parquet").next().and_then(|path| path.rsplit('"').next()).unwrap_or_default().to_owned()
    };
    let (old, new) = (names(&entry, "{\"remove\""), names(&entry, "{\"add\""));
    assert_ne!(old, new, "the rows lie in another file");
    let first = String::from_utf8_lossy(&log[&format!("{:020}.json", 1)]).into_owned();
    assert_eq!(names(&first, "{\"add\""), old, "that of version 1 until then");
    for name in [old, new] {
        assert!(folder(&data).join(format!("{name}.parquet")).exists(), "{name}");
    }
    // Built anew it is the same.
    drop(hub);
    fs::remove_dir_all(folder(&data).join("_delta_log")).expect("removed");
    let hub = Hub::start(&data, &["--compact-keep", "0s"]);
    assert_eq!(log_at(&data, 4), log);
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    verify_is_clean(&data);
}
