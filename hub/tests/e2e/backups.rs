//! A backup beside a hub that takes pushes, and what a hub over the restored catalog answers.

use crate::hub::{Hub, points, ukimet};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Runs a subcommand with `--json` on directories; exit code and what it printed.
fn run(arguments: &[&str], directories: &[(&str, &Path)]) -> (i32, Value) {
    let mut command = ukimet();
    command.args(arguments).arg("--json");
    for (flag, directory) in directories {
        command.arg(flag).arg(directory);
    }
    let output = command.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?} {output:?}"));
    (output.status.code().expect("an exit code"), value)
}

/// What a hub answers about a version: its description and its rows as they come over Flight.
fn answers(hub: &Hub, version: &str, scratch: &Path) -> (Value, Vec<u8>) {
    let (code, described) = hub.ask(&["describe", version]);
    assert_eq!(code, 0, "{described}");
    let rows = scratch.join("rows.arrow");
    let output = ukimet().args(["export", version, "--hub", &hub.url, "-o"]).arg(&rows).output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    (described, fs::read(&rows).expect("rows"))
}

#[test]
fn a_hub_over_a_restored_catalog_answers_as_the_one_that_was_backed_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, backup, restored) = (dir.path().join("data"), dir.path().join("backup"), dir.path().join("restored"));
    let hub = Hub::start(&data, &[]);
    let file = dir.path().join("points.csv");
    for rows in [10, 20] {
        fs::write(&file, points(rows)).expect("written");
        hub.publish(&file, "a/b", &["--title", "ru=Школы города"]);
    }
    let (code, first) = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            for rows in 2..5 {
                let file = dir.path().join(format!("more-{rows}.csv"));
                fs::write(&file, points(rows)).expect("written");
                hub.publish(&file, "a/c", &[]);
            }
        });
        let done = run(&["backup"], &[("--data", &data), ("--to", &backup)]);
        pushing.join().expect("pushed");
        done
    });
    assert!(code == 0 && first["snapshot"].as_u64() >= Some(2), "{first}");
    let (code, second) = run(&["backup", "--check"], &[("--data", &data), ("--to", &backup)]);
    assert_eq!((code, &second["snapshot"], &second["snapshot_before"]), (0, &Value::from(5), &first["snapshot"]));
    assert_eq!(
        second["objects_present"].as_u64(),
        first["objects_copied"].as_u64(),
        "what is there is not copied again"
    );
    let (code, done) = run(&["restore"], &[("--from", &backup), ("--data", &restored)]);
    assert_eq!(
        (code, &done["verified"]["clean"], &done["restored"]["snapshot"]),
        (0, &true.into(), &5.into()),
        "{done}"
    );
    let copy = Hub::start(&restored, &[]);
    for version in ["a/b@v1", "a/b@v2", "a/c@v1", "a/c@v3"] {
        assert_eq!(answers(&copy, version, dir.path()), answers(&hub, version, dir.path()), "{version}");
    }
    assert_eq!(copy.ask(&["search", "школа"]), hub.ask(&["search", "школа"]));
    let (code, refused) = run_text(&["restore"], &[("--from", &backup), ("--data", &restored)]);
    assert!(code == 4 && refused.contains("in use by pid"), "{refused}");
    drop(copy);
    let (code, refused) = run_text(&["restore"], &[("--from", &backup), ("--data", &restored)]);
    assert!(code == 1 && refused.contains("must be empty"), "{refused}");
}

/// As [`run`], for what goes to standard error.
fn run_text(arguments: &[&str], directories: &[(&str, &Path)]) -> (i32, String) {
    let mut command = ukimet();
    command.args(arguments);
    for (flag, directory) in directories {
        command.arg(flag).arg(directory);
    }
    let output = command.output().expect("runs");
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn verify_names_what_needs_a_damaged_object_and_goes_on_from_its_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, journal) = (dir.path().join("data"), dir.path().join("journal"));
    let file = dir.path().join("points.csv");
    fs::write(&file, points(10)).expect("written");
    let hub = Hub::start(&data, &[]);
    hub.publish(&file, "a/b", &[]);
    let (code, clean) = run(&["verify", "--deep"], &[("--data", &data), ("--resume", &journal)]);
    assert_eq!((code, &clean["clean"], &clean["resumed"]), (0, &true.into(), &0.into()), "{clean}");
    let text = fs::read_to_string(&journal).expect("kept");
    let complete = text.trim_end().rfind('\n').expect("lines");
    fs::write(&journal, &text[..complete]).expect("written");
    let (_, resumed) = run(&["verify"], &[("--data", &data), ("--resume", &journal)]);
    assert!(resumed["resumed"].as_u64() >= Some(5), "{resumed}");
    let folder = fs::read_dir(data.join("data")).expect("a folder").flatten().next().expect("the dataset's").path();
    let mut files = fs::read_dir(folder).expect("a folder").flatten().map(|file| file.path());
    let object = files.find(|path| path.is_file()).expect("an object");
    fs::remove_file(object).expect("removed");
    let (code, found) = run(&["verify"], &[("--data", &data)]);
    assert_eq!((code, &found["findings"][0]["dependents"][0]), (1, &"a/b@v1".into()), "{found}");
}
