//! Versions by name, snapshots of the past, tags, notes, rollback, retention: through every door.

use crate::hub::{Hub, points, ukimet, verified, wait_until};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightDescriptor};
use futures::TryStreamExt;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// Publishes `a/b` once for each number of rows; each version has as many rows as it is told.
fn publish(hub: &Hub, dir: &Path, rows: &[usize]) {
    for rows in rows {
        let file = dir.join(format!("points-{rows}.csv"));
        // No row of one is a row of another.
        fs::write(&file, points(*rows).replace("point", &format!("point of {rows}"))).expect("written");
        hub.publish(&file, "a/b", &["--title", &format!("ru=Точки {rows}")]);
    }
}

fn done(hub: &Hub, arguments: &[&str]) -> Value {
    let (code, answer) = hub.ask(arguments);
    assert_eq!(code, 0, "{arguments:?}: {answer:#}");
    answer
}

/// What a command says on standard error when it fails.
fn refused(hub: &Hub, arguments: &[&str]) -> String {
    let output = ukimet().args(arguments).args(["--hub", &hub.url]).output().expect("the command runs");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Rows of an export, by the CLI.
fn exported(hub: &Hub, dir: &Path, arguments: &[&str]) -> u64 {
    let file = dir.join("out.csv");
    let all = [&["export", "-o", file.to_str().expect("text")], arguments].concat();
    done(hub, &all)["rows"].as_u64().expect("a number")
}

fn status_of(hub: &Hub, path: &str) -> String {
    let mut stream = TcpStream::connect(hub.url.trim_start_matches("http://")).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read");
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

async fn flown(hub: &Hub, descriptor: FlightDescriptor) -> Result<usize, String> {
    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    let channel = endpoint.connect().await.expect("connects");
    let mut client = FlightClient::new_from_inner(FlightServiceClient::new(channel));
    let info = client.get_flight_info(descriptor).await.map_err(|e| e.to_string())?;
    let mut rows = 0;
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        let batches = client.do_get(ticket).await.map_err(|e| e.to_string())?;
        let batches: Vec<_> = batches.try_collect().await.map_err(|e| e.to_string())?;
        rows += batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>();
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_named_the_same_way_at_every_door() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), &[3, 5]);
    done(&hub, &["tag", "a/b@v1", "final", "--why", "signed"]);
    let described = done(&hub, &["describe", "a/b@v1"]);
    let committed = described["dataset"]["version"]["committed"].as_str().expect("a time").to_owned();
    for (selector, rows) in [("a/b", 5), ("a/b@v1", 3), ("a/b@1", 3), ("a/b@final", 3)] {
        assert_eq!(done(&hub, &["describe", selector])["dataset"]["version"]["rows"], rows, "{selector}");
        assert_eq!(exported(&hub, dir.path(), &[selector]), rows, "{selector}");
        let report = ukimet().args(["report", selector, "--hub", &hub.url]).output().expect("runs");
        assert!(report.status.success(), "{selector}");
        let flown = flown(&hub, FlightDescriptor::new_path(vec![selector.to_owned()])).await;
        assert_eq!(flown, Ok(rows as usize), "{selector}");
    }
    assert_eq!(exported(&hub, dir.path(), &[&format!("a/b@{committed}")]), 3, "as of the time of its commit");
    let path = |parts: &[&str]| FlightDescriptor::new_path(parts.iter().map(|part| (*part).to_owned()).collect());
    assert_eq!(flown(&hub, path(&["a/b", "final"])).await, Ok(3));
    assert_eq!(flown(&hub, FlightDescriptor::new_cmd(r#"{"dataset":"a/b@final"}"#)).await, Ok(3));
    assert_eq!(flown(&hub, FlightDescriptor::new_cmd(r#"{"dataset":"a/b","snapshot":1}"#)).await, Ok(3));
    assert!(flown(&hub, path(&["a/b", "none"])).await.expect_err("no such tag").contains("it has final"));
    assert!(status_of(&hub, "/datasets/a/b/versions/final/report.html").contains("200"));
    assert!(status_of(&hub, "/datasets/a/b/versions/none/report.html").contains("404"));
    assert!(refused(&hub, &["describe", "a/b@2020-01-01"]).contains("no version yet at"));
}

#[test]
fn the_whole_catalog_is_read_as_of_a_snapshot() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), &[3, 5]);
    let titled = |snapshot: &str, word: &str| done(&hub, &["search", word, "--snapshot", snapshot])["total"].clone();
    assert_eq!((titled("1", "3"), titled("2", "3")), (1.into(), 0.into()));
    assert_eq!((titled("0", ""), titled("1", "точки")), (0.into(), 1.into()));
    assert_eq!(exported(&hub, dir.path(), &["a/b", "--snapshot", "1"]), 3);
    assert_eq!(done(&hub, &["versions", "a/b", "--snapshot", "1"])["versions"].as_array().map(Vec::len), Some(1));
    assert!(refused(&hub, &["describe", "a/b", "--snapshot", "9"]).contains("no snapshot 9 yet, the newest is 2"));
    done(&hub, &["tag", "a/b@v1", "final"]);
    done(&hub, &["tag", "a/b@v2", "final", "--move"]);
    assert_eq!(exported(&hub, dir.path(), &["a/b@final", "--snapshot", "3"]), 3);
    assert_eq!(exported(&hub, dir.path(), &["a/b@final", "--snapshot", "4"]), 5);
}

#[test]
fn tags_and_notes_are_shown_with_their_versions_and_a_repeated_operation_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), &[3, 5]);
    let tag = ["tag", "a/b@v1", "final", "--operation-id", "t1", "--why", "signed"];
    let first = done(&hub, &tag);
    assert_eq!((&first["changed"], &first["version"], &first["replayed"]), (&true.into(), &1.into(), &false.into()));
    let again = done(&hub, &tag);
    assert_eq!((&again["snapshot"], &again["replayed"]), (&first["snapshot"], &true.into()));
    assert!(refused(&hub, &["tag", "a/b@v2", "final"]).contains("a/b@v1 has the tag final"));
    assert!(refused(&hub, &["tag", "a/b@v2", "v3"]).contains("not v and a digit"));
    done(&hub, &["note", "a/b@final", "checked by hand"]);
    let versions = done(&hub, &["versions", "a/b"])["versions"].clone();
    assert_eq!((&versions[1]["tags"], &versions[0]["tags"]), (&serde_json::json!(["final"]), &serde_json::json!([])));
    assert_eq!(versions[1]["notes"][0]["text"], "checked by hand");
    done(&hub, &["tag", "a/b", "final", "--delete"]);
    let history = done(&hub, &["tag", "a/b", "--history"])["tags"].clone();
    assert_eq!((&history[0]["version"], &history[1]["version"]), (&1.into(), &Value::Null));
    assert_eq!(history[0]["why"], "signed");
    assert_eq!(done(&hub, &["tag", "a/b"])["tags"], serde_json::json!([]));
}

#[test]
fn a_rollback_has_the_rows_and_the_report_of_the_old_version() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    publish(&hub, dir.path(), &[3, 5]);
    assert!(refused(&hub, &["rollback", "a/b", "--to", "v1", "--expected-version", "1"]).contains("current v2"));
    let done_ = done(&hub, &["rollback", "a/b", "--to", "v1", "--expected-version", "2", "--why", "wrong file"]);
    assert_eq!((&done_["version"], &done_["before"]), (&3.into(), &2.into()));
    assert_eq!(done(&hub, &["describe", "a/b"])["dataset"]["version"]["rolled_back_to"], 1);
    assert_eq!(exported(&hub, dir.path(), &["a/b"]), 3);
    done(&hub, &["retention", "a/b", "--keep", "1"]);
    assert_eq!(done(&hub, &["gc"])["removed"][0]["versions"], serde_json::json!([2, 1]));
    let report = ukimet().args(["report", "a/b", "--hub", &hub.url]).output().expect("runs");
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_removed_is_said_at_every_door_and_its_files_are_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &[]);
    publish(&hub, dir.path(), &[3, 5, 7]);
    assert!(refused(&hub, &["retention", "a/b", "--keep", "0"]).contains("at least 1"));
    done(&hub, &["retention", "a/b", "--keep", "1", "--months", "1"]);
    assert_eq!(done(&hub, &["gc"])["objects"], 0, "all of them were the newest within a month");
    done(&hub, &["retention", "a/b", "--keep", "1"]);
    assert_eq!(done(&hub, &["retention", "a/b"])["retention"]["keep_newest"], 1);
    let files = |folder: &str| fs::read_dir(data.join(folder)).expect("a folder").count();
    let raw = files("raw");
    let would = done(&hub, &["gc", "--dry-run"]);
    assert_eq!((&would["removed"][0]["versions"], files("raw")), (&serde_json::json!([2, 1]), raw));
    let removed = done(&hub, &["gc"]);
    assert_eq!(removed["removed"][0]["versions"], serde_json::json!([2, 1]));
    assert!(removed["bytes"].as_u64() > Some(0) && files("raw") == 1, "{removed:#}");
    assert_eq!((&would["objects"], &would["bytes"]), (&removed["objects"], &removed["bytes"]), "as was told");
    let said = "a/b@v1 was removed by retention on 20";
    assert!(refused(&hub, &["describe", "a/b@v1"]).contains(said));
    assert!(refused(&hub, &["export", "a/b@v1", "-o", "/dev/null"]).contains(said));
    assert!(refused(&hub, &["describe", "a/b", "--snapshot", "1"]).contains(said));
    let ticket = FlightDescriptor::new_path(vec!["a/b".to_owned(), "v1".to_owned()]);
    assert!(flown(&hub, ticket).await.expect_err("removed").contains(said));
    assert!(status_of(&hub, "/datasets/a/b/versions/v1/report.html").contains("404"));
    let listed = done(&hub, &["versions", "a/b"]);
    assert_eq!(listed["removed"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["removed"][0]["rule"]["keep_newest"], 1);
    drop(hub);
    verified(&data);
}

#[test]
fn a_hub_cleans_up_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &["--gc-every", "1s"]);
    publish(&hub, dir.path(), &[3, 5]);
    done(&hub, &["retention", "a/b", "--keep", "1"]);
    let removed = || done(&hub, &["versions", "a/b"])["removed"].as_array().is_some_and(|removed| !removed.is_empty());
    wait_until("a version is removed", removed);
    assert_eq!(exported(&hub, dir.path(), &["a/b"]), 5);
}
