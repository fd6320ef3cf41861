//! Valid time beside system time, through the doors.

use crate::hub::Hub;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightClient, FlightDescriptor};
use futures::TryStreamExt;
use serde_json::Value;
use std::fs;
use std::path::Path;

const FIRST: &str = "kad,owner,since,until,lon,lat\n1,Aidar,2020-01-01,2024-03-01,76.9,43.2\n2,Dana,2024-03-01,,76.9,43.2\n\
                     3,Marat,,2022-01-01,71.4,51.1\n4,Asel,2023-01-01,2025-01-01,71.4,51.1\n";

fn push(hub: &Hub, dir: &Path, text: &str, flags: &[&str]) -> Value {
    let file = dir.join("lives.csv");
    fs::write(&file, text).expect("written");
    hub.push(&file, "a/lives", flags).1
}

/// The keys of an export, or why there is none.
fn exported(hub: &Hub, dir: &Path, arguments: &[&str]) -> Result<String, String> {
    hub.exported(dir, &[&["--columns", "kad"], arguments].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_asked_by_valid_and_by_system_time_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let (dir, hub) = (dir.path(), Hub::start(&dir.path().join("data"), &[]));
    let declared = ["--key", "kad", "--valid-from", "since", "--valid-to", "until"];
    let first = push(&hub, dir, FIRST, &declared);
    assert_eq!(first["status"], "published", "{first:#}");
    // Aidar sold a year earlier, as it turned out later: a fact about the past that came today.
    let second = push(&hub, dir, &FIRST.replace("2020-01-01,2024-03-01", "2020-01-01,2023-03-01"), &[]);
    assert_eq!(second["layers"][0]["rows_changed"], 1, "{second:#}");
    let keys = |arguments: &[&str]| exported(&hub, dir, arguments);
    for (arguments, expected) in [
        (&["a/lives", "--valid-at", "2023-06-01"][..], "4"),
        (&["a/lives@v1", "--valid-at", "2023-06-01"], "14"),
        (&["a/lives", "--snapshot", "1", "--valid-at", "2023-06-01"], "14"),
        (&["a/lives@v1", "--valid-at", "2024-02-29"], "14"),
        (&["a/lives@v1", "--valid-at", "2024-03-01"], "24"),
        (&["a/lives@v1", "--valid-at", "2023-06-01", "--bbox", "76,43,77,44"], "1"),
        (&["a/lives@v1", "--valid-during", "2021-12-31/2023-01-02"], "134"),
        (&["a/lives@v1", "--valid-during", "2022-01-01/2023-01-01"], "1"),
        (&["a/lives@v1", "--valid-at", "1990-01-01"], "3"),
    ] {
        assert_eq!(keys(arguments).as_deref(), Ok(expected), "{arguments:?}");
    }
    let refused = keys(&["a/lives", "--valid-at", "2023-06-01T10:00Z"]).expect_err("days");
    assert!(refused.contains("in days: ask for one such as 2026-03-01"), "{refused}");
    assert!(
        keys(&["a/lives", "--valid-during", "2023-06-01/2023-06-01"]).expect_err("empty").contains("before it ends")
    );

    let diff = |at: &str| hub.ask(&["diff", "a/lives", "--summary", "--valid-at", at]).1;
    assert_eq!((&diff("2021-01-01")["changed"], &diff("2026-01-01")["changed"]), (&1.into(), &0.into()));

    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    let mut client =
        FlightClient::new_from_inner(FlightServiceClient::new(endpoint.connect().await.expect("connects")));
    let command = r#"{"dataset": "a/lives", "version": 1, "valid_at": "2023-06-01"}"#;
    let info = client.get_flight_info(FlightDescriptor::new_cmd(command)).await.expect("bound");
    assert_eq!(info.total_records, -1);
    let mut rows = 0;
    for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
        let text = String::from_utf8_lossy(&ticket.ticket).into_owned();
        assert!(text.contains(r#""valid_at":"2023-06-01""#), "the ticket carries it: {text}");
        let batches: Vec<_> = client.do_get(ticket).await.expect("read").try_collect().await.expect("read");
        rows += batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>();
    }
    assert_eq!(rows, 2);
}

#[test]
fn valid_time_is_checked_row_by_row_and_kept_by_the_dataset() {
    let dir = tempfile::tempdir().expect("a folder");
    let (dir, hub) = (dir.path(), Hub::start(&dir.path().join("data"), &[]));
    let declared = ["--key", "kad", "--valid-from", "since", "--valid-to", "until"];
    let message = |outcome: Value| outcome["error"]["message"].as_str().unwrap_or_default().to_owned();
    let wrong = FIRST.replace("2023-01-01,2025-01-01", "2023-01-01,2022-12-31");
    let refused = message(push(&hub, dir, &wrong, &declared));
    assert!(refused.contains("found row 4 from 2023-01-01 to 2022-12-31"), "{refused}");
    assert!(hub.datasets().is_empty());
    let text = message(push(&hub, dir, FIRST, &["--valid-from", "owner"]));
    assert!(text.contains("column owner has type Utf8; a mapping can cast it"), "{text}");
    push(&hub, dir, FIRST, &declared);
    assert!(exported(&hub, dir, &["a/lives@v1", "--valid-at", "1990-01-01"]).is_ok());
    let row = "kad,owner,since,until,lon,lat\n9,Aru,2026-01-01,2025-01-01,76.9,43.2\n";
    let refused = message(push(&hub, dir, row, &["--mode", "upsert"]));
    assert!(refused.contains("found row 1 from 2026-01-01 to 2025-01-01"), "{refused}");
    let described = hub.ask(&["describe", "a/lives"]).1;
    assert_eq!(described["dataset"]["version"]["valid_time"], serde_json::json!({ "from": "since", "to": "until" }));
    let lost = message(push(&hub, dir, &FIRST.replace("until", "later"), &[]));
    assert!(lost.contains("valid time: expected since to until, found none"), "{lost}");
}
