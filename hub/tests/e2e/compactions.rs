//! Compactions of the built hub: on request, by itself, and never noticed by a reader.

use crate::hub::{Hub, ukimet, verified, wait_until};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, Ticket};
use futures::TryStreamExt;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tonic::transport::Channel;

/// No compaction unless it is asked for.
const OFF: [&str; 4] = ["--compact-deleted-share", "1", "--compact-segments-max", "0"];

/// Publishes `a/b` with 100 rows, then versions that change and delete one each.
fn publish(hub: &Hub, dir: &Path, versions: u32) {
    let file = dir.join("rows.csv");
    let mut text = "id,value,lon,lat\n".to_owned();
    for i in 0..100 {
        writeln!(text, "k{i},0,{},43.2", 76.0 + f64::from(i) / 100.0).expect("text takes everything");
    }
    fs::write(&file, text).expect("written");
    hub.publish(&file, "a/b", &["--key", "id"]);
    for version in 2..=versions {
        upsert(hub, &file, version);
    }
}

fn upsert(hub: &Hub, file: &Path, version: u32) {
    let gone = 50 + version;
    let text = format!("id,value,lon,lat,gone\nk{version},{version},77.5,43.9,\nk{gone},0,76,43.2,1\n");
    fs::write(file, text).expect("written");
    hub.publish(file, "a/b", &["--mode", "upsert", "--delete-column", "gone"]);
}

async fn flights(hub: &Hub) -> FlightServiceClient<Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    FlightServiceClient::new(endpoint.connect().await.expect("connects"))
}

async fn info_of(hub: &Hub, command: &str) -> FlightInfo {
    let descriptor = FlightDescriptor::new_cmd(command.to_owned());
    flights(hub).await.get_flight_info(descriptor).await.expect("a flight").into_inner()
}

/// All messages that the tickets of a flight are answered with.
async fn messages(hub: &Hub, info: &FlightInfo) -> Result<Vec<FlightData>, tonic::Status> {
    let (mut client, mut messages) = (flights(hub).await, Vec::new());
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.clone()) {
        let stream = client.do_get(ticket).await?.into_inner();
        messages.extend(stream.try_collect::<Vec<_>>().await?);
    }
    Ok(messages)
}

fn ask(hub: &Hub, arguments: &[&str]) -> Value {
    let (code, answer) = hub.ask(arguments);
    assert_eq!(code, 0, "{arguments:?}: {answer:#}");
    answer
}

/// Collects to the end, while nobody reads: the collection that a hub begins with may still run, and leaves what is read.
fn collect(hub: &Hub) {
    let is_done = || ukimet().args(["gc", "--hub", &hub.url]).output().expect("runs").status.success();
    wait_until("a collection is done", is_done);
}

fn verify_is_clean(data: &Path) {
    let text = verified(data);
    assert!(!text.contains("unreferenced"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_from_before_a_compaction_are_answered_with_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let small = ["--endpoint-rows", "40"];
    let hub = Hub::start(&data, &[&OFF[..], &small].concat());
    publish(&hub, dir.path(), 9);
    let (rows, diff) = (r#"{"dataset":"a/b"}"#, r#"{"dataset":"a/b","diff_from":4}"#);
    let (info, diff_info) = (info_of(&hub, rows).await, info_of(&hub, diff).await);
    assert_eq!(info.endpoint.len(), 4, "three pieces of the large segment, then the small ones");
    let (there, differs) =
        (messages(&hub, &info).await.expect("rows"), messages(&hub, &diff_info).await.expect("rows"));
    let describe = || {
        let version = &ask(&hub, &["describe", "a/b"])["dataset"]["version"];
        ["number", "snapshot", "committed", "root_hash", "rows", "bbox", "fields"].map(|name| version[name].clone())
    };
    let described = describe();
    let planned = ask(&hub, &["compact", "a/b", "--dry-run"]);
    assert_eq!((&planned["segments_rewritten"], &planned["snapshot"]), (&9.into(), &Value::Null), "{planned:#}");
    let done = ask(&hub, &["compact", "a/b"]);
    for name in ["version", "segments_before", "segments_after", "rows_rewritten", "rows_dropped", "bytes_before"] {
        assert_eq!(done[name], planned[name], "{name}");
    }
    let counts = ["version", "segments_after", "rows_rewritten", "rows_dropped"].map(|name| done[name].clone());
    assert_eq!(counts, [9, 1, 92, 16].map(Value::from), "{done:#}");
    assert_eq!(describe(), described);
    assert_eq!(messages(&hub, &info).await.expect("rows"), there);
    assert_eq!(messages(&hub, &diff_info).await.expect("rows"), differs);
    let after = info_of(&hub, rows).await;
    assert_eq!((after.endpoint.len(), after.total_records), (3, 92));
    assert_ne!(messages(&hub, &after).await.expect("rows"), there, "the rows are in another order");
    let again = ukimet().args(["compact", "a/b", "--hub", &hub.url]).output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&again.stdout), "a/b@v9: nothing to do, 1 segment without deleted rows\n");
    // The files of before stay for a day, whatever is collected.
    collect(&hub);
    drop(hub);
    let hub = Hub::start(&data, &[&OFF[..], &["--delta-log", "off"]].concat());
    assert_eq!(messages(&hub, &info).await.expect("rows"), there);
    drop(hub);
    let hub = Hub::start(&data, &[&OFF[..], &["--delta-log", "off", "--compact-keep", "0s"]].concat());
    collect(&hub);
    let gone = messages(&hub, &info).await.expect_err("nobody read them meanwhile");
    assert!(gone.code() == tonic::Code::NotFound && gone.message().contains("ask anew"), "{gone}");
    assert_eq!(messages(&hub, &after).await.expect("rows").len(), 6, "a schema and a batch each");
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    verify_is_clean(&data);
}

/// The receipt of a command or a ticket.
async fn receipt_of(hub: &Hub, asked: &str) -> Value {
    let action = Action { r#type: "receipt".to_owned(), body: asked.to_owned().into() };
    let answers = flights(hub).await.do_action(action).await.expect("a receipt").into_inner();
    let answers: Vec<_> = answers.try_collect().await.expect("a receipt");
    serde_json::from_slice::<Value>(&answers[0].body).expect("JSON")["receipt"].clone()
}

#[tokio::test]
async fn a_receipt_from_before_a_compaction_means_the_rows_as_they_lay_then() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &OFF);
    publish(&hub, dir.path(), 5);
    for (rows, is_ordered) in [
        (r#"{"dataset":"a/b"}"#, false),
        (r#"{"dataset":"a/b","order":[{"column":"id","descending":true}],"limit":60}"#, true),
    ] {
        upsert(&hub, &dir.path().join("rows.csv"), if is_ordered { 8 } else { 7 });
        let before = receipt_of(&hub, rows).await;
        let bound = before["request"].as_str().expect("the request").to_owned();
        let info = info_of(&hub, &bound).await;
        let there = messages(&hub, &info).await.expect("rows");
        ask(&hub, &["compact", "a/b"]);
        let again = receipt_of(&hub, &bound).await;
        for member in ["version", "version_hash", "request", "rows", "columns"] {
            assert_eq!(again[member], before[member], "{member}");
        }
        assert_eq!(messages(&hub, &info_of(&hub, &bound).await).await.expect("rows"), there);
        let ticket = Ticket::new(bound);
        let stream = flights(&hub).await.do_get(ticket).await.expect("rows").into_inner();
        assert_eq!(stream.try_collect::<Vec<_>>().await.expect("rows"), there);
        let newest = receipt_of(&hub, rows).await;
        assert_eq!(newest["version_hash"], before["version_hash"]);
        assert_ne!(newest["request"], before["request"]);
        assert_eq!(newest["columns"] == before["columns"], is_ordered, "the stored order is another");
    }
}

#[test]
fn a_hub_compacts_by_itself_what_is_past_its_limits() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &["--compact-segments-max", "3", "--compact-deleted-share", "0.1"]);
    publish(&hub, dir.path(), 12);
    wait_until("the dataset is compacted", || {
        let planned = ask(&hub, &["compact", "a/b", "--dry-run"]);
        let count = |name: &str| planned[name].as_u64().expect("a number");
        count("segments_before") <= 3 && count("rows_dropped") < 20
    });
    let versions = ask(&hub, &["versions", "a/b"]);
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(12), "no version was made");
    let out = dir.path().join("out.csv");
    ask(&hub, &["export", "a/b", "--columns", "id,value", "-o", out.to_str().expect("text")]);
    let text = fs::read_to_string(out).expect("read");
    let mut found: Vec<_> = text.lines().skip(1).map(str::to_owned).collect();
    found.sort_unstable();
    let value = |i: u32| if (2..=12).contains(&i) { i } else { 0 };
    let left = (0..100).filter(|i| !(52..=62).contains(i));
    let mut expected: Vec<_> = left.map(|i| format!("k{i},{}", value(i))).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    verify_is_clean(&data);
}
