//! The process as whoever starts it sees it: one line, one job, and an end.

use crate::adapter::{Adapter, Ask, messages, read};
use crate::cases::geojson;
use std::process::Command;
use std::time::{Duration, Instant};
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;

pub(crate) async fn ends(adapter: &mut Adapter) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        if adapter.child.try_wait().expect("a child").is_some() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn an_adapter_says_who_it_is_and_what_a_file_holds() {
    let adapter = Adapter::start(&[]).await;
    let description = adapter.client.clone().describe(v1::DescribeRequest {}).await.expect("an answer").into_inner();
    assert_eq!(description.name, "gdal");
    assert!(description.libraries["GDAL"].starts_with('3'), "{:?}", description.libraries);
    assert!(description.formats.iter().any(|f| f.name == "GeoPackage" && f.extensions == ["gpkg"]));
    let asked = tokio_stream::iter(messages(&Ask::named("үйлер.geojson"), &geojson(5)));
    let inspection = adapter.client.clone().inspect(asked).await.expect("an answer").into_inner();
    assert_eq!((inspection.format.as_str(), inspection.media_type.as_str()), ("GeoJSON", "application/geo+json"));
    assert_eq!(inspection.layers[0].name, "үйлер");
    assert_eq!(inspection.layers[0].fields, ["id", "name"]);
    assert_eq!(inspection.layers[0].crs.as_deref(), Some("EPSG:4326"));
}

#[tokio::test]
async fn a_single_job_adapter_ends_after_its_job() {
    let mut adapter = Adapter::start(&["--single-job"]).await;
    adapter.client.clone().describe(v1::DescribeRequest {}).await.expect("describing is no job");
    assert_eq!(read(&adapter, &Ask::named("a.geojson"), &geojson(10)).await.expect("rows")[0].rows(), 10);
    let unused = AdapterServiceClient::connect("http://127.0.0.1:9").await;
    assert!(unused.is_err());
    assert!(ends(&mut adapter).await, "it ended");
    let mut late = Adapter::start(&["--single-job", "--wall-seconds", "0"]).await;
    assert!(read(&late, &Ask::named("a.geojson"), &geojson(10)).await.is_err());
    assert!(ends(&mut late).await, "it ended although its job failed");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_job_and_leaves_nothing() {
    let adapter = Adapter::start(&[]).await;
    let bytes = geojson(200_000);
    let mut stream = adapter
        .client
        .clone()
        .read(tokio_stream::iter(messages(&Ask::named("a.geojson"), &bytes)))
        .await
        .expect("begins")
        .into_inner();
    stream.message().await.expect("a message").expect("a layer begins");
    drop(stream);
    let begin = Instant::now();
    while !adapter.left_behind().is_empty() {
        assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", adapter.left_behind());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(read(&adapter, &Ask::named("a.geojson"), &geojson(3)).await.expect("rows")[0].rows(), 3);
}

#[test]
fn the_executable_exports_no_symbol_of_the_coordinate_library() {
    let listed = Command::new("nm").args(["-D", "--defined-only", env!("CARGO_BIN_EXE_ukimet-adapter-gdal")]).output();
    let listed = listed.expect("nm is there, as where anything is linked");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let symbols = String::from_utf8_lossy(&listed.stdout);
    let exported: Vec<&str> =
        symbols.lines().filter(|line| line.contains(" proj_") || line.contains(" sqlite3_")).collect();
    assert!(exported.is_empty(), "{exported:?}");
}
