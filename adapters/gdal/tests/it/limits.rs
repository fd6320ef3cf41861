//! Each limit, reached; and what lies below it, read.

use crate::adapter::{Adapter, Ask, read};
use crate::cases::{geojson, zip};
use ukimet_model::ErrorKind;

async fn check(flags: &[&str], name: &str, bytes: &[u8], part: &str) {
    let adapter = Adapter::start(flags).await;
    let error = read(&adapter, &Ask::named(name), bytes).await.map(|_| ()).expect_err(part);
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
    assert!(error.to_string().contains(part), "{error} should say {part:?}");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn rows_positions_columns_and_bytes_have_limits() {
    let points = geojson(1_000);
    check(&["--rows-max", "999"], "a.geojson", &points, "at most 999 rows").await;
    check(&["--vertices-max", "999"], "a.geojson", &points, "at most 999 positions").await;
    check(&["--fields-max", "1"], "a.geojson", &points, "at most 1 columns").await;
    check(&["--fields-max", "2"], "a.csv", b"a,b,c\n1,2,3\n", "at most 2 columns").await;
    check(&["--asset-bytes", "1000"], "a.geojson", &points, "at most 1000 bytes").await;
    let adapter = Adapter::start(&["--rows-max", "1000", "--vertices-max", "2000", "--fields-max", "2"]).await;
    assert_eq!(read(&adapter, &Ask::named("a.geojson"), &points).await.expect("within")[0].rows(), 1_000);
}

#[tokio::test]
async fn archives_have_limits() {
    let json = geojson(1_000);
    let two = zip(&[("a.geojson", &json), ("b.geojson", &json)]);
    check(&["--archive-members", "1"], "a.zip", &two, "at most 1 members").await;
    check(&["--unpacked-bytes", "100000"], "a.zip", &two, "at most 100000 bytes").await;
    check(&["--layers-max", "1"], "a.zip", &two, "at most 1 layers").await;
    let large = geojson(20_000);
    check(&["--unpack-ratio", "2"], "a.zip", &zip(&[("a.geojson", &large)]), "at most 2 times").await;
}

#[tokio::test]
async fn time_has_a_limit() {
    let adapter = Adapter::start(&["--wall-seconds", "0"]).await;
    let error = read(&adapter, &Ask::named("a.geojson"), &geojson(10)).await.map(|_| ()).expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

#[tokio::test]
async fn a_file_that_takes_too_much_memory_ends_only_its_process() {
    let mut adapter = Adapter::start(&["--memory-bytes", "400000000"]).await;
    let coordinates = "[76.5,43.5],".repeat(6_000_000);
    let line = format!(
        r#"{{"type":"Feature","properties":{{"a":1}},"geometry":{{"type":"LineString","coordinates":[{coordinates}[76.5,43.6]]}}}}"#
    );
    let error = read(&adapter, &Ask::named("a.geojson"), line.as_bytes()).await.map(|_| ()).expect_err("memory");
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    let _ = adapter.child.try_wait().expect("a child");
}
