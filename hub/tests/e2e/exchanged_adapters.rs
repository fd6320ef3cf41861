//! Adapters and hubs that are not, or not any more, what they are expected to be.

use crate::hub::{Hub, points, ukimet};
use crate::next_adapter::NextAdapter;
use std::fs;
use std::path::Path;
use std::process::Output;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use ukimet_proto::v1;
use ukimet_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};
use ukimet_proto::v1::renormalize_response::Result as Answer;

/// Runs `ukimet renormalize` for the whole catalog without changing anything.
fn dry_run(url: &str, more: &[&str]) -> Output {
    ukimet().args(["renormalize", "--all", "--dry-run", "--hub", url]).args(more).output().expect("the command runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn publish_feature(hub: &Hub, folder: &Path) {
    let feature = serde_json::json!({
        "type": "Feature",
        "properties": { "kad": "0001", "name": "Алатау" },
        "geometry": { "type": "Point", "coordinates": [76.9, 43.2] },
    });
    let file = folder.join("parcels.geojson");
    fs::write(&file, feature.to_string()).expect("written");
    hub.publish(&file, "almaty/parcels", &["--key", "kad"]);
}

#[test]
fn an_adapter_beside_that_does_not_answer_is_left_out_and_pushes_are_served() {
    let dir = tempfile::tempdir().expect("a folder");
    // Nobody listens at the one, and at the other nobody speaks.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = (format!("http://{}", silent.local_addr().expect("bound")), silent);
    let next = NextAdapter::start(dir.path(), "7");
    let flags =
        ["--adapter-beside", "http://127.0.0.1:1", "--adapter-beside", &silent.0, "--adapter-beside", &next.url];
    let hub = Hub::start(&dir.path().join("data"), &flags);
    let file = dir.path().join("points.csv");
    fs::write(&file, points(3)).expect("written");
    hub.publish(&file, "a/points", &[]);
    let told = stderr(&dry_run(&hub.url, &["--rules", "8"]));
    assert!(told.contains("rules \"8\" were asked for") && told.contains("\"7\""), "{told}");
}

#[test]
fn an_adapter_that_was_exchanged_for_one_with_other_rules_is_noticed_before_a_dry_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let next = NextAdapter::start(dir.path(), "7");
    let hub = Hub::start(&dir.path().join("data"), &["--adapter", &next.url]);
    publish_feature(&hub, dir.path());
    assert!(dry_run(&hub.url, &[]).status.success());
    next.exchange("8");
    let output = dry_run(&hub.url, &[]);
    let told = String::from_utf8_lossy(&output.stdout);
    let why = "applied rules \"7\" when the hub started and applies rules \"8\" now; start the hub again";
    assert!(!output.status.success() && told.contains(why), "{told}");
}

#[test]
fn what_the_switch_would_be_refused_for_is_told_beside_a_printed_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let next = NextAdapter::start(dir.path(), "nameless");
    let hub = Hub::start(&dir.path().join("data"), &["--adapter-beside", &next.url]);
    publish_feature(&hub, dir.path());
    let asked = ["renormalize", "almaty/parcels", "--rules", "nameless", "--dry-run", "--format", "csv"];
    let output = ukimet().args(asked).args(["--hub", &hub.url]).output().expect("the command runs");
    let (printed, told) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(output.status.success() && !printed.contains("refused"), "{printed}");
    assert!(told.starts_with("the switch would be refused without --new-major: "), "{told}");
}

/// A hub from before what would differ was told row by row.
struct OlderHub;

#[tonic::async_trait]
impl IngestService for OlderHub {
    type PushStream = ReceiverStream<Result<v1::PushResponse, Status>>;

    async fn push(&self, _: Request<Streaming<v1::PushRequest>>) -> Result<Response<Self::PushStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type RenormalizeStream = ReceiverStream<Result<v1::RenormalizeResponse, Status>>;

    async fn renormalize(
        &self,
        _: Request<v1::RenormalizeRequest>,
    ) -> Result<Response<Self::RenormalizeStream>, Status> {
        let (answers, stream) = tokio::sync::mpsc::channel(1);
        let result = Some(Answer::Difference(v1::Difference { rows_before: 5, ..v1::Difference::default() }));
        let answer =
            v1::RenormalizeResponse { dataset: "a/b".to_owned(), result, ..v1::RenormalizeResponse::default() };
        answers.send(Ok(answer)).await.expect("room");
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_older_than_the_command_is_named_as_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let service = tonic::transport::Server::builder().add_service(IngestServiceServer::new(OlderHub));
    tokio::spawn(service.serve_with_incoming(TcpListenerStream::new(listener)));
    let output = tokio::task::block_in_place(|| dry_run(&url, &[]));
    let told = stderr(&output);
    assert!(!output.status.success() && told.contains("the hub is older than this ukimet"), "{told}");
}
