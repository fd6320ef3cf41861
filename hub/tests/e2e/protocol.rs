//! What only a client that misbehaves can show, and the conformance classes against this hub.

use crate::hub::{Hub, points};
use crate::lifecycle::{children, wait_until_alone};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc};
use arrow_ipc::writer::IpcWriteOptions;
use arrow_schema::{DataType, Field, Schema};
use futures::StreamExt;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use ukimet_model::batch::geometry_field;
use ukimet_proto::v1;

/// A schema message and one batch of points, as a client would send them.
fn put_messages() -> Vec<FlightData> {
    let point: Vec<u8> = [&[1, 1, 0, 0, 0][..], &76.9_f64.to_le_bytes(), &43.2_f64.to_le_bytes()].concat();
    let schema = Schema::new(vec![Field::new("name", DataType::Utf8, true), geometry_field()]);
    let rows = arrow_array::RecordBatch::try_new(
        std::sync::Arc::new(schema.clone()),
        vec![
            std::sync::Arc::new(arrow_array::StringArray::from(vec!["Алматы"])),
            std::sync::Arc::new(arrow_array::BinaryArray::from(vec![point.as_slice()])),
        ],
    )
    .expect("columns fit");
    let options = IpcWriteOptions::default();
    let mut first: FlightData = SchemaAsIpc::new(&schema, &options).into();
    first.flight_descriptor = Some(FlightDescriptor::new_path(vec!["a/put".to_owned()]));
    let generator = arrow_ipc::writer::IpcDataGenerator::default();
    let mut dictionaries = arrow_ipc::writer::DictionaryTracker::new(false);
    let mut compression = arrow_ipc::writer::IpcWriteContext::default();
    let (_, batch) = generator.encode(&rows, &mut dictionaries, &options, &mut compression).expect("encodes");
    vec![first, batch.into()]
}

/// The answer to a plain HTTP request.
fn get(hub: &Hub, path: &str) -> String {
    let mut stream = TcpStream::connect(hub.url.trim_start_matches("http://")).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}

async fn flight(hub: &Hub) -> FlightServiceClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    FlightServiceClient::new(endpoint.connect().await.expect("connects"))
}

#[tokio::test]
async fn a_put_that_ends_is_a_version_and_one_that_nobody_waits_for_is_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(dir.path(), &[]);
    for sent in 0..=2 {
        let (sender, stream) = tokio::sync::mpsc::channel(8);
        let mut client = flight(&hub).await;
        let call = tokio::spawn(async move { client.do_put(ReceiverStream::new(stream)).await });
        for message in put_messages().into_iter().take(sent) {
            sender.send(message).await.expect("the call is open");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        // The client no longer listens; a real reset is shown by the tests of other clients.
        call.abort();
        drop(call);
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(sender);
        assert_eq!(hub.datasets(), Vec::<String>::new(), "after {sent} messages");
    }
    let mut answers =
        flight(&hub).await.do_put(futures::stream::iter(put_messages())).await.expect("taken").into_inner();
    let outcome = answers.next().await.expect("an answer").expect("an outcome");
    let outcome: serde_json::Value = serde_json::from_slice(&outcome.app_metadata).expect("JSON");
    assert_eq!(outcome["layers"][0]["rows_taken"], 1, "{outcome:#}");
    assert_eq!(hub.datasets(), ["a/put"]);
}

/// Every message of a push of these bytes.
fn push_messages(push_id: &str, bytes: &[u8]) -> Vec<v1::PushRequest> {
    use v1::push_request::Message;
    let header = v1::PushHeader {
        push_id: push_id.to_owned(),
        dataset: "a/given-up".to_owned(),
        file_name: "points.csv".to_owned(),
        ..v1::PushHeader::default()
    };
    let mut hasher = ukimet_hub::hashing::Hasher::default();
    hasher.update(bytes);
    let finish = v1::PushFinish { sha256: hasher.finish().0.to_vec().into(), size_bytes: bytes.len() as u64 };
    let mut messages = vec![Message::Header(header)];
    for (i, data) in bytes.chunks(1 << 20).enumerate() {
        let chunk = v1::PushChunk { offset: (i << 20) as u64, data: data.to_vec().into() };
        messages.push(Message::Chunk(chunk));
    }
    messages.push(Message::Finish(finish));
    messages.into_iter().map(|message| v1::PushRequest { message: Some(message) }).collect()
}

#[tokio::test]
async fn a_push_that_is_given_up_while_it_is_read_commits_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(dir.path(), &[]);
    wait_until_alone(hub.pid());
    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    let channel = endpoint.connect().await.expect("connects");
    let (sender, stream) = tokio::sync::mpsc::channel(64);
    let mut client = v1::ingest_service_client::IngestServiceClient::new(channel);
    let mut answers = client.push(ReceiverStream::new(stream)).await.expect("taken").into_inner();
    for message in push_messages("given-up", points(300_000).as_bytes()) {
        sender.send(message).await.expect("the call is open");
    }
    while children(hub.pid()).is_empty() {
        answers.message().await.expect("the push goes on");
    }
    drop((answers, sender, client));
    let pid = hub.pid();
    tokio::task::spawn_blocking(move || wait_until_alone(pid))
        .await
        .expect("the adapter of a push nobody waits for ends");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hub.datasets(), Vec::<String>::new());
}

#[test]
fn plain_http_is_answered_on_the_same_port() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&dir.path().join("data"), &[]);
    let file = dir.path().join("points.csv");
    fs::write(&file, points(3)).expect("written");
    hub.publish(&file, "a/b", &["--title", "en=<script>alert(1)</script>"]);
    let get = |path: &str| get(&hub, path);
    assert!(get("/health").contains(r#""status":"serving""#));
    assert!(get("/metrics").contains(r#"ukimet_pushes_total{outcome="published"} 1"#));
    let page = get("/");
    assert!(page.contains("a/b") && page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    assert!(get("/nothing").starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn the_conformance_classes_hold() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(dir.path(), &[]);
    let options =
        ukimet_conformance::Options { class: None, seed: 20_261_122, requirement_time_max: Duration::from_mins(5) };
    let report = ukimet_conformance::run_hub(&hub.url, &options).await.expect("runs");
    assert!(report.is_success(), "{}", report.to_text());
}
