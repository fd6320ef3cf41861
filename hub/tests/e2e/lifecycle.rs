//! Starting, stopping, being killed, being lied to by the disk.

use crate::hub::{Hub, files_below, points, signal, ukimet, verified, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Process ids of a process's children.
pub fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut found: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Waits until the adapter that described itself at the start is gone, so that the next child belongs to a push.
pub fn wait_until_alone(pid: u32) {
    wait_until("the children of the hub end", || children(pid).is_empty());
}

/// Processor time that a process has used, in ticks of 10 ms; 0 once it is gone.
pub fn ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold spaces; user and system time are the 12th and 13th word behind it.
    let words = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    words.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[test]
fn killing_the_adapter_fails_that_push_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--adapter-jobs-max", "1"]);
    let large = dir.path().join("large.csv");
    fs::write(&large, points(400_000)).expect("written");
    wait_until_alone(hub.pid());
    let pushing = ukimet()
        .arg("push")
        .arg(&large)
        .args(["--dataset", "a/large", "--hub", &hub.url, "--json", "--push-id", "killed"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let begin = Instant::now();
    let adapter = loop {
        // Starting takes a tenth of a second of work; one that has done more is in the middle of the file.
        if let Some(adapter) = children(hub.pid()).into_iter().find(|pid| ticks(*pid) >= 50) {
            break adapter;
        }
        assert!(begin.elapsed() < Duration::from_mins(1), "no adapter was started");
        std::thread::sleep(Duration::from_millis(5));
    };
    signal(adapter, "KILL");
    let output = pushing.wait_with_output().expect("ends");
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(outcome["error"]["code"], "ABORTED", "{outcome:#}");
    assert!(outcome["error"]["message"].as_str().unwrap_or_default().contains("killed"), "{outcome:#}");
    let small = dir.path().join("small.csv");
    fs::write(&small, points(5)).expect("written");
    hub.publish(&small, "a/small", &[]);
    let again = hub.push(&large, "a/large", &["--push-id", "killed"]).1;
    assert_eq!(again["layers"][0]["rows_taken"], 400_000, "{again:#}");
}

#[test]
fn a_second_hub_on_the_same_catalog_ends_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(dir.path(), &[]);
    let begin = Instant::now();
    let output = ukimet().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(dir.path()).output().expect("runs");
    assert_eq!(output.status.code(), Some(4), "the code that is documented for it");
    assert!(begin.elapsed() < Duration::from_secs(5));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&format!("in use by pid {}", hub.pid())), "{text}");
}

#[test]
fn a_hub_that_asks_nobody_who_they_are_listens_on_this_machine_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = ukimet().args(["serve", "--listen", "0.0.0.0:0", "--data"]).arg(dir.path()).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("--allow-anonymous-network"), "{text}");
}

#[test]
fn a_told_stop_is_clean_and_a_kill_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let file = dir.path().join("points.csv");
    let mut hub = Hub::start(&data, &[]);
    for round in 1..=4_u64 {
        fs::write(&file, points(round as usize * 10)).expect("written");
        let outcome = hub.publish(&file, "a/b", &[]);
        assert_eq!(outcome["layers"][0]["version"], round);
        if round % 2 == 0 {
            hub.signal("TERM");
            assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
        } else {
            drop(hub);
        }
        verified(&data);
        hub = Hub::start(&data, &[]);
        let (_, versions) = hub.ask(&["versions", "a/b"]);
        let rows: Vec<_> = versions["versions"].as_array().into_iter().flatten().map(|v| v["rows"].as_u64()).collect();
        let expected: Vec<_> = (1..=round).rev().map(|n| Some(n * 10)).collect();
        assert_eq!(rows, expected);
    }
}

/// The data directory of a hub that published ten points and was killed.
fn left_by_a_kill(dir: &Path) -> PathBuf {
    let (data, file) = (dir.join("data"), dir.join("points.csv"));
    fs::write(&file, points(10)).expect("written");
    Hub::start(&data, &[]).publish(&file, "a/b", &[]);
    data
}

#[test]
fn what_a_crash_left_is_collected_while_the_hub_serves() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = left_by_a_kill(dir.path());
    let left = data.join("raw").join("0".repeat(64));
    fs::write(&left, b"of a push that was cut off").expect("written");
    let _hub = Hub::start(&data, &["--gc-every", "0s"]);
    wait_until("it is removed", || !left.exists());
    verified(&data);
}

#[test]
fn damaged_projections_are_rebuilt_and_answer_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let file = dir.path().join("points.csv");
    fs::write(&file, points(10)).expect("written");
    let hub = Hub::start(&data, &[]);
    for i in 0..5 {
        hub.publish(&file, &format!("a/b{i}"), &["--title", "ru=Школы города"]);
    }
    let expected = hub.ask(&["search", "школа"]).1["datasets"].clone();
    assert_eq!(expected.as_array().map(Vec::len), Some(5));
    drop(hub);
    for damage in ["flip", "delete", "truncate"] {
        for entry in files_below(&data.join("projection")) {
            let mut bytes = fs::read(&entry).expect("read");
            match damage {
                "flip" => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x40),
                "delete" => {
                    fs::remove_file(&entry).expect("removed");
                    continue;
                }
                _ => bytes.truncate(bytes.len() / 2),
            }
            fs::write(&entry, bytes).expect("written");
        }
        let hub = Hub::start(&data, &[]);
        assert_eq!(hub.ask(&["search", "школа"]).1["datasets"], expected, "{damage}");
        assert_eq!(hub.ask(&["versions", "a/b3"]).1["versions"].as_array().map(Vec::len), Some(1), "{damage}");
    }
}

#[test]
fn verify_finds_a_changed_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = left_by_a_kill(dir.path());
    for part in ["log", "data", "raw", "receipts"] {
        // What others read beside the objects is no part of the truth.
        let is_true = |file: &PathBuf| !file.iter().any(|name| name == "_delta_log");
        let object =
            files_below(&data.join(part)).into_iter().find(is_true).unwrap_or_else(|| panic!("{part} is empty"));
        let whole = fs::read(&object).expect("read");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&object, flipped).expect("written");
        let output = ukimet().args(["verify", "--json", "--data"]).arg(&data).output().expect("runs");
        assert_eq!(output.status.code(), Some(1), "{}", object.display());
        fs::write(&object, whole).expect("written");
    }
    verified(&data);
}
