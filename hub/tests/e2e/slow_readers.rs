//! A client that asks what other rules would change and does not read the answer holds up nobody else.

use crate::hub::{Hub, points, ukimet, wait_until};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tonic::{Code, Status, Streaming};
use ukimet_proto::v1;
use ukimet_proto::v1::ingest_service_client::IngestServiceClient;

const ROWS: usize = 30_000;
/// Bytes of the value that changes in every row: the difference has 60 MB, more than stands between hub and client.
const NAME_BYTES: usize = 1000;

/// A hub with one adapter job, and a dataset of which every row would differ if it were read again.
fn hub_with_a_large_difference(dir: &Path, flags: &[&str]) -> Hub {
    let hub = Hub::start(&dir.join("data"), &[&["--adapter-jobs-max", "1"], flags].concat());
    let write = |name: &str, text: &str| {
        let file = dir.join(name);
        fs::write(&file, text).expect("written");
        file
    };
    let register = |letter: &str| write("kato.csv", &format!("code;name\n710000000;{}\n", letter.repeat(NAME_BYTES)));
    hub.publish(&register("a"), "kz/kato", &[]);
    let mapping = "[[column]]\nname = \"region\"\nfrom = \"КАТО\"\nlookup = { dataset = \"kz/kato\", key = \"code\", value = \"name\" }\n";
    let mapping = write("schools.toml", mapping);
    let mut schools = "Школа;КАТО\n".to_owned();
    (0..ROWS).for_each(|row| writeln!(schools, "№ {row};710000000").expect("text"));
    hub.publish(&write("schools.csv", &schools), "kz/schools", &["--mapping", mapping.to_str().expect("text")]);
    hub.publish(&register("b"), "kz/kato", &[]);
    hub
}

/// Asks for the difference and takes only its beginning.
async fn asked(hub: &Hub) -> Streaming<v1::RenormalizeResponse> {
    let endpoint = tonic::transport::Endpoint::from_shared(hub.url.clone()).expect("a URL");
    let mut client = IngestServiceClient::new(endpoint.connect().await.expect("connects"));
    let request =
        v1::RenormalizeRequest { dataset: "kz/schools".to_owned(), dry_run: true, ..v1::RenormalizeRequest::default() };
    let mut answers = client.renormalize(request).await.expect("taken").into_inner();
    let first = answers.message().await.expect("an answer").expect("a beginning");
    assert!(matches!(first.result, Some(v1::renormalize_response::Result::DifferenceBegin(_))), "{first:?}");
    answers
}

/// Takes what is left: how many messages, and how it ended.
async fn rest(mut answers: Streaming<v1::RenormalizeResponse>) -> (u64, Result<(), Status>) {
    let mut taken = 0;
    loop {
        match answers.message().await {
            Ok(Some(_)) => taken += 1,
            Ok(None) => return (taken, Ok(())),
            Err(status) => return (taken, Err(status)),
        }
    }
}

/// Pushes waiting beside others, at most this long.
const PUSH_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_a_difference_does_not_keep_a_push_from_being_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub_with_a_large_difference(dir.path(), &["--push-idle-max", "10min"]);
    let answers = asked(&hub).await;
    let file = dir.path().join("points.csv");
    fs::write(&file, points(3)).expect("written");
    let mut push = ukimet()
        .arg("push")
        .arg(&file)
        .args(["--dataset", "a/points", "--hub", &hub.url])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command runs");
    let begin = std::time::Instant::now();
    let ended = loop {
        match push.try_wait().expect("our child") {
            None if begin.elapsed() < PUSH_MAX => tokio::time::sleep(Duration::from_millis(50)).await,
            ended => break ended,
        }
    };
    if ended.is_none() {
        push.kill().expect("our child");
    }
    push.wait().expect("our child");
    assert!(ended.is_some_and(|status| status.success()), "the push was not read: {ended:?}");
    let (messages, end) = rest(answers).await;
    assert!(messages > 3 && end.is_ok(), "slow, and told to the end all the same: {messages} {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_of_a_difference_is_cut_and_told_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub_with_a_large_difference(dir.path(), &["--push-idle-max", "1s"]);
    let answers = asked(&hub).await;
    let staging = dir.path().join("data/staging");
    let staged = || fs::read_dir(&staging).map(Iterator::count).unwrap_or_default();
    tokio::task::block_in_place(|| wait_until("nothing of it stays behind", || staged() == 0));
    let (_, end) = rest(answers).await;
    let status = end.expect_err("cut");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    assert!(status.message().contains("the client took nothing of the answer about kz/schools for 1 s"), "{status}");
}
