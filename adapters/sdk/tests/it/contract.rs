//! What an adapter gives and what a client gets.

use crate::adapters::{data, finish, limits, options, read, read_bytes, serve};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use ukimet_adapter_sdk::{MemoryAdapter, ServeLimits};
use ukimet_proto::ipc::{IpcLimits, decode_batch, decode_schema};
use ukimet_proto::v1::read_response::Message;

const LINES: &str = "ukimet-lines 1\nlayer schools lon lat id name\n76.95\t43.25\t1\tАбай\n71.43\t51.13\t2\t\\N\nend 2\nlayer codes code\nx\nend 1\n";

#[tokio::test]
async fn layers_come_in_order_and_a_summary_ends_them() {
    let served = serve(MemoryAdapter, limits()).await;
    let responses = read_bytes(&served, LINES.as_bytes()).await.expect("rows");
    let [
        Message::LayerBegin(schools),
        Message::Batch(batch),
        Message::LayerEnd(report),
        Message::LayerBegin(codes),
        Message::Batch(_),
        Message::LayerEnd(_),
        Message::Summary(summary),
    ] = responses.as_slice()
    else {
        panic!("{responses:?}")
    };
    assert_eq!((schools.layer.as_str(), codes.layer.as_str()), ("schools", "codes"));
    assert_eq!((summary.layers, summary.batches, summary.rows), (2, 2, 3));
    let schema = decode_schema(&schools.schema, &IpcLimits::default()).expect("a schema");
    let rows = decode_batch(batch, &schema, &IpcLimits::default()).expect("rows");
    assert_eq!((rows.num_rows(), schema.field(2).name().as_str()), (2, "geometry"));
    assert_eq!(report.bbox.as_ref().map(|b| b.west), Some(71.43));
    assert_eq!(std::fs::read_dir(served.folder.path().join("scratch")).expect("a folder").count(), 0);
}

#[tokio::test]
async fn errors_arrive_as_their_codes() {
    let served = serve(MemoryAdapter, limits()).await;
    let ask = |change: fn(&mut ukimet_proto::v1::AssetOptions)| {
        vec![options(change), data(LINES.as_bytes()), finish(LINES.len())]
    };
    let cut = &LINES.as_bytes()[..LINES.len() - 8];
    for (requests, code, part) in [
        (ask(|o| o.all_layers = false), Code::FailedPrecondition, "--layer NAME"),
        (ask(|o| (o.layer, o.all_layers) = (Some("rivers".to_owned()), false)), Code::NotFound, "\"schools\""),
        (ask(|o| o.layer = Some("schools".to_owned())), Code::InvalidArgument, "found both"),
        (vec![options(|_| ()), data(b"hello"), finish(5)], Code::InvalidArgument, "ukimet-lines"),
        (vec![options(|_| ()), data(cut), finish(cut.len())], Code::DataLoss, "cut"),
        (vec![options(|_| ()), finish(0)], Code::InvalidArgument, "empty"),
        (vec![options(|_| ()), data(b"hello"), finish(6)], Code::DataLoss, "has 6 bytes, received 5"),
        (vec![options(|_| ()), data(b"hello")], Code::Aborted, "without a finish"),
        (vec![], Code::Aborted, "without a finish"),
        (vec![data(b"hello")], Code::InvalidArgument, "begins with its options"),
    ] {
        let status = read(&served, requests).await.expect_err(part);
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(part), "{status:?} should say {part:?}");
    }
}

#[tokio::test]
async fn a_path_is_read_only_below_the_granted_folder() {
    let served = serve(MemoryAdapter, limits()).await;
    let inside = served.folder.path().join("granted/a.lines");
    let outside = served.folder.path().join("b.lines");
    std::fs::write(&inside, LINES).expect("written");
    std::fs::write(&outside, LINES).expect("written");
    std::os::unix::fs::symlink(&outside, served.folder.path().join("granted/link")).expect("linked");
    let at = |path: String| vec![options(move |o| o.path = Some(path))];
    assert_eq!(read(&served, at(inside.display().to_string())).await.expect("granted").len(), 7);
    let granted = served.folder.path().join("granted");
    for refused in [
        outside.display().to_string(),
        granted.join("../b.lines").display().to_string(),
        granted.join("link").display().to_string(),
        granted.display().to_string(),
        "/etc/passwd".to_owned(),
    ] {
        let status = read(&served, at(refused.clone())).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{refused}");
    }
}

#[tokio::test]
async fn rows_larger_than_a_message_are_split_and_a_huge_row_reaches_the_limit() {
    let small = ServeLimits { batch_bytes_max: 4_000, row_bytes_max: 20_000, ..limits() };
    let served = serve(MemoryAdapter, small).await;
    let rows = format!("{}\n", "x".repeat(500)).repeat(100);
    let lines = format!("ukimet-lines 1\nlayer a text\n{rows}end 100\n");
    let responses = read_bytes(&served, lines.as_bytes()).await.expect("rows");
    let batches: Vec<usize> =
        responses.iter().filter_map(|m| if let Message::Batch(b) = m { Some(b.len()) } else { None }).collect();
    assert!(batches.len() > 10 && batches.iter().all(|bytes| *bytes <= 4_000), "{batches:?}");
    let lines = format!("ukimet-lines 1\nlayer a text\n{}\nend 1\n", "x".repeat(30_000));
    let status = read_bytes(&served, lines.as_bytes()).await.expect_err("huge");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    let served = serve(MemoryAdapter, limits()).await;
    let request = HealthCheckRequest { service: "ukimet.v1.AdapterService".to_owned() };
    let health = HealthClient::new(served.channel.clone()).check(request).await.expect("an answer");
    assert_eq!(health.into_inner().status, 1);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(served.channel.clone())
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .expect("an answer")
        .into_inner();
    let answer = answers.message().await.expect("an answer").expect("an answer").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == "ukimet.v1.AdapterService"));
}
