//! Rows are erased through the built hub: nothing of them is left below its data directory, and every door says so.

use crate::delta::log_at;
use crate::hub::{Hub, files_below, ukimet, verified};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightDescriptor, Ticket};
use bytes::Bytes;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Random enough to be found wherever it is.
const MARKER: &str = "q7XvW2-ztR9";

fn people(file: &Path, rows: usize, more: &str) {
    let row = |i: usize| format!("{i:05};name {i};76.{:04};43.2\n", 1000 + i);
    let text: String = (0..rows).map(row).collect();
    fs::write(file, format!("Коды;Аты;lon;lat\n{text}{more}")).expect("written");
}

fn done(hub: &Hub, arguments: &[&str]) -> Value {
    let (code, answer) = hub.ask(arguments);
    assert_eq!(code, 0, "{arguments:?}: {answer:#}");
    answer
}

fn contains(bytes: &[u8]) -> bool {
    bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes())
}

/// All values and statistics of a Parquet file as text; of other files, what they unpack to. One that the hub takes away at
/// this moment holds nothing.
fn holds(path: &Path) -> bool {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        bytes => bytes.expect("a file"),
    };
    let name = path.to_string_lossy();
    if contains(&bytes) {
        return true;
    }
    if name.ends_with(".parquet") {
        let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).expect("parquet");
        let footer = format!("{:?}", builder.metadata());
        let mut batches = builder.build().expect("parquet");
        return contains(footer.as_bytes())
            || batches.any(|batch| {
                let batch = batch.expect("rows");
                batch.columns().iter().any(|column| column.to_data().buffers().iter().any(|buffer| contains(buffer)))
            });
    }
    let unpacked =
        if name.ends_with(".zst") || name.contains("/raw/") { zstd::decode_all(bytes.as_slice()).ok() } else { None };
    unpacked.is_some_and(|bytes| contains(&bytes))
}

fn holders(data: &Path) -> Vec<PathBuf> {
    files_below(data).into_iter().filter(|path| holds(path)).collect()
}

async fn client(hub: &Hub) -> FlightClient {
    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    FlightClient::new_from_inner(FlightServiceClient::new(endpoint.connect().await.expect("connects")))
}

async fn tickets(hub: &Hub, path: &[&str]) -> Vec<Ticket> {
    let descriptor = FlightDescriptor::new_path(path.iter().map(|part| (*part).to_owned()).collect());
    let info = client(hub).await.get_flight_info(descriptor).await.expect("described");
    info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket).collect()
}

async fn pulled(hub: &Hub, ticket: &Ticket) -> Result<usize, String> {
    let batches = client(hub).await.do_get(ticket.clone()).await.map_err(|e| e.to_string())?;
    let batches: Vec<_> = batches.try_collect().await.map_err(|e| e.to_string())?;
    Ok(batches.iter().map(arrow_array::RecordBatch::num_rows).sum())
}

/// A hub with two versions in which the person is, one without; the value was also mended and refused on its way.
fn filled(dir: &Path) -> (PathBuf, Hub) {
    let data = dir.join("data");
    let hub = Hub::start(&data, &[]);
    let file = dir.join("people.csv");
    let person = format!("{MARKER}; name of {MARKER} ;76.5;43.9\n");
    people(&file, 30, &person);
    hub.publish(&file, "a/people", &["--key", "Коды", "--push-id", "p1"]);
    people(&file, 40, &person);
    hub.publish(&file, "a/people", &["--key", "Коды", "--push-id", "p2"]);
    people(&file, 41, &format!("{MARKER};x;500;900\n"));
    hub.push(&file, "a/people", &["--key", "Коды", "--push-id", "p3"]);
    done(&hub, &["tag", "a/people@v1", "final"]);
    done(&hub, &["rollback", "a/people", "--to", "v2"]);
    (data, hub)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_nowhere_below_the_data_directory_and_every_door_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, hub) = filled(dir.path());
    let (old, old_diff) =
        (tickets(&hub, &["a/people", "v1"]).await, tickets(&hub, &["a/people", "v2", "diff", "v1"]).await);
    assert_eq!(pulled(&hub, &old[0]).await, Ok(31));
    log_at(&data, 4);
    let holding = holders(&data);
    assert!(
        holding.len() > 5 && holding.iter().any(|path| path.to_string_lossy().contains("_delta_log")),
        "{holding:?}"
    );

    let would = done(&hub, &["erase", "a/people", "--key", &format!("Коды={MARKER}"), "--dry-run"]);
    assert_eq!((&would["dry_run"], &would["snapshot"]), (&true.into(), &0.into()));
    let arguments =
        ["erase", "a/people", "--why", "a request of 22 November", "--who", "the office", "--operation-id", "e1"];
    let erased = erase_keys_of_csv(&hub, &arguments);
    assert_eq!((&erased["rows"], &erased["versions"]), (&would["rows"], &would["versions"]));
    assert_eq!(erased["pushes"], json!(["p1", "p2", "p3"]));
    assert_eq!(erased["left"], json!({ "finished": true, "objects": 0, "nodes": [], "keeps_deleted": false }));
    assert_eq!(erase_keys_of_csv(&hub, &arguments)["replayed"], true);

    for ticket in [&old[0], &old_diff[0]] {
        let error = pulled(&hub, ticket).await.expect_err("it is from before");
        assert!(error.contains("1 rows of a/people@v") && error.contains("were erased on"), "{error}");
    }
    assert_eq!(pulled(&hub, &tickets(&hub, &["a/people", "v1"]).await[0]).await, Ok(30));
    let described = done(&hub, &["describe", "a/people@final"]);
    assert_eq!(
        (&described["dataset"]["version"]["rows"], &described["dataset"]["version"]["erased"]["rows"]),
        (&30.into(), &1.into())
    );
    let step = described["receipt"]["steps"].as_array().and_then(|steps| steps.last().cloned()).unwrap_or_default();
    assert_eq!((&step["step"], &step["parameters"]["operation"]), (&"erasure".into(), &"e1".into()), "{step}");
    let versions = done(&hub, &["versions", "a/people"]);
    assert_eq!(
        (&versions["erasures"][0]["who"], &versions["erasures"][0]["why"]),
        (&"the office".into(), &"a request of 22 November".into())
    );
    let (_, renormalized) = hub.ask(&["renormalize", "a/people", "--dry-run"]);
    assert!(renormalized.to_string().contains("the bytes as they were sent went with"), "{renormalized:#}");
    let report = ukimet().args(["report", "a/people@v1", "--hub", &hub.url, "--format", "csv"]).output().expect("runs");
    let said = [report.stdout, report.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("were erased on"), "{}", String::from_utf8_lossy(&said));
    for format in ["text", "html", "json", "xlsx"] {
        let report = ["report", "a/people@v1", "--hub", &hub.url, "--format", format];
        let report = ukimet().args(report).output().expect("runs");
        assert!(report.status.success(), "{format}: {}", String::from_utf8_lossy(&report.stderr));
        let said = String::from_utf8_lossy(&report.stdout);
        assert!(!said.contains(MARKER), "{format}: {said}");
        assert!(format == "xlsx" || said.contains("a request of 22 November"), "{format}: {said}");
        assert!(
            format != "text" || said.contains("were read: ") && said.contains("Rows of this push were erased on"),
            "{said}"
        );
    }

    // The Delta log comes back without the person.
    log_at(&data, 4);
    assert_eq!(holders(&data), Vec::<PathBuf>::new());
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    assert_eq!(holders(&data), Vec::<PathBuf>::new());
    let text = verified(&data);
    assert!(text.contains("erased"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_in_none_of_the_files_that_a_compaction_wrote_or_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, hub) = filled(dir.path());
    log_at(&data, 4);
    let before = tickets(&hub, &["a/people", "v4"]).await;
    let compacted = done(&hub, &["compact", "a/people"]);
    assert_eq!((&compacted["segments_before"], &compacted["segments_after"]), (&2.into(), &1.into()));
    let after = tickets(&hub, &["a/people", "v4"]).await;
    assert_eq!((pulled(&hub, &before[0]).await, pulled(&hub, &after[0]).await), (Ok(41), Ok(41)));
    let erased = erase_keys_of_csv(&hub, &["erase", "a/people", "--why", "a request of 22 November"]);
    assert_eq!(erased["rows"], 2, "in the file of two versions, and in the one that was put together");
    for ticket in [&before[0], &after[0]] {
        let error = pulled(&hub, ticket).await.expect_err("it is from before");
        assert!(error.contains("1 rows of a/people@v4 were erased on"), "{error}");
    }
    assert_eq!(pulled(&hub, &tickets(&hub, &["a/people", "v4"]).await[0]).await, Ok(40));
    log_at(&data, 4);
    assert_eq!(holders(&data), Vec::<PathBuf>::new());
    hub.signal("TERM");
    assert_eq!(hub.wait(Duration::from_secs(30)), Some(0));
    assert_eq!(holders(&data), Vec::<PathBuf>::new());
    let text = verified(&data);
    assert!(!text.contains("unreferenced"), "{text}");
}

/// Erases the person, whose key comes as CSV on standard input.
/// What a report on a push says in a format; the command's error if it is refused.
fn reported(hub: &Hub, push: &str, format: &str) -> String {
    let (dataset, push) = push.split_once(' ').expect("a dataset and a push");
    let which = ["report", dataset, "--push", push, "--table", "quarantine"];
    let output = ukimet().args(which).args(["--format", format, "--hub", &hub.url]).output().expect("runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_report_on_an_erased_push_says_so_though_another_push_has_equal_tables_or_it_has_none() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("people.csv");
    let refused = format!("{MARKER};x;500;900\n");
    people(&file, 3, &refused);
    for (dataset, push) in [("a/people", "p1"), ("a/clients", "p2")] {
        let (_, answer) = hub.push(&file, dataset, &["--key", "Коды", "--push-id", push]);
        assert_eq!(answer["layers"][0]["rows_refused"], 1, "{answer:#}");
    }
    let file = dir.path().join("clean.geojson");
    let person = |code: &str| {
        let place = json!({ "type": "Point", "coordinates": [76.5, 43.2] });
        json!({ "type": "Feature", "properties": { "Коды": code, "Аты": "a name" }, "geometry": place })
    };
    let all = json!({ "type": "FeatureCollection", "features": [person("x1"), person("x2")] });
    fs::write(&file, all.to_string()).expect("written");
    let clean = hub.publish(&file, "a/clean", &["--key", "Коды", "--push-id", "p3"]);
    assert_eq!((&clean["layers"][0]["verdicts"], &clean["layers"][0]["quarantine"]), (&Value::Null, &Value::Null));
    let erased = |dataset: &str, key: &str| {
        done(&hub, &["erase", dataset, "--key", &format!("Коды={key}"), "--why", "asked to"])
    };
    assert_eq!(erased("a/people", MARKER)["pushes"], json!(["p1"]));
    for format in ["text", "json", "csv", "arrow"] {
        let said = ["a/people p1", "a/clients p2"].map(|push| reported(&hub, push, format));
        assert!(!said[0].contains(MARKER) && said[0].contains("asked to"), "{format}: {}", said[0]);
        assert!(format == "text" || said[1].contains(MARKER), "{format}: {}", said[1]);
    }
    assert!(!reported(&hub, "a/clean p3", "text").contains("were erased on"));
    assert_eq!(erased("a/clean", "x2")["pushes"], json!(["p3"]));
    let said = reported(&hub, "a/clean p3", "text");
    assert!(said.contains("Rows of this push were erased on") && said.contains("asked to"), "{said}");
}

fn erase_keys_of_csv(hub: &Hub, arguments: &[&str]) -> Value {
    let mut command = ukimet();
    command.args(arguments).args(["--keys", "-", "--hub", &hub.url, "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    let keys = format!("Коды\n{MARKER}\nnobody\n");
    child.stdin.take().expect("piped").write_all(keys.as_bytes()).expect("sent");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn an_erasure_needs_a_reason_and_keys_that_mean_something() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("people.csv");
    people(&file, 3, "");
    hub.publish(&file, "a/people", &[]);
    let refused = |arguments: &[&str]| {
        let output = ukimet().arg("erase").args(arguments).args(["--hub", &hub.url]).output().expect("runs");
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&["a/people", "--key", "kody=00001"]).contains("--why"));
    assert!(
        refused(&["a/people", "--key", "iin=1", "--why", "x"]).contains("no version of a/people has the columns iin")
    );
    assert!(refused(&["a/people", "--why", "x"]).contains("--key"));
    assert!(refused(&["a/nobody", "--key", "kody=1", "--why", "x"]).contains("is not in snapshot"));
    let none = ["erase", "a/people", "--key", "Коды=99999", "--why", "x"];
    assert_eq!(done(&hub, &none)["rows"], 0);
}

#[test]
fn a_key_that_no_version_has_takes_bytes_of_removed_versions_only_if_that_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let hub = Hub::start(&data, &[]);
    let file = dir.path().join("people.csv");
    fs::write(&file, format!("Коды;Аты\n{MARKER};a name\n")).expect("written");
    hub.publish(&file, "a/people", &["--key", "Коды", "--push-id", "p1"]);
    let size_bytes = fs::metadata(&file).expect("there").len();
    fs::write(&file, "Коды;Аты\nx1;another\n").expect("written");
    hub.publish(&file, "a/people", &["--key", "Коды", "--push-id", "p2"]);
    done(&hub, &["retention", "a/people", "--keep", "1", "--keep-raw"]);
    done(&hub, &["gc"]);
    let is_sent = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("raw"));
    assert!(holders(&data).iter().any(is_sent));
    let key = format!("Коды={MARKER}");
    let arguments = ["erase", "a/people", "--key", &key, "--why", "x"];
    for more in [&[][..], &["--dry-run"]] {
        let output = ukimet().args([&arguments[..], more].concat()).args(["--hub", &hub.url]).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        for part in [MARKER, "1 of 1 keys", &format!("p1 ({size_bytes} bytes)"), "--bytes-in-doubt"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert!(holders(&data).iter().any(is_sent), "nothing was erased");
    let erased = done(&hub, &[&arguments[..], &["--bytes-in-doubt"]].concat());
    assert_eq!((&erased["keys_found"], &erased["pushes"]), (&0.into(), &json!(["p1"])));
    assert_eq!(erased["bytes_gone_elsewhere"], json!([]));
    assert_eq!(holders(&data), Vec::<PathBuf>::new());
}
