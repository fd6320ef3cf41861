//! Regions, grids and shares, from the flags of the process to the report.

use crate::adapter::{Adapter, Ask, read};
use std::process::{Command, Stdio};
use ukimet_model::ErrorKind;

/// Six points in the third-degree zone of Almaty as a table, and one that lies in Astana.
const METRES: &str = "name;X;Y\na;26402000;4785000\nb;26403000;4786000\nc;26404000;4787000\n";

fn in_region(name: &str, region: &str) -> Ask {
    Ask { region: Some(region.to_owned()), ..Ask::named(name) }
}

#[tokio::test]
async fn a_declared_region_lets_a_table_of_metres_be_placed_and_marked_as_inferred() {
    let adapter = Adapter::start(&[]).await;
    let layers = read(&adapter, &in_region("a.csv", "75"), METRES.as_bytes()).await.expect("inferred");
    assert_eq!(layers[0].report.source_crs.as_deref(), Some("EPSG:2542 (inferred)"));
    assert!(layers[0].rules().contains(&"crs.inferred"), "{:?}", layers[0].rules());
    let error =
        read(&adapter, &in_region("a.csv", "Almaty"), METRES.as_bytes()).await.map(|_| ()).expect_err("no region");
    assert!(error.to_string().contains("a region is a KATO code"), "{error}");
}

#[tokio::test]
async fn rows_outside_the_region_are_refused_up_to_the_share() {
    let table = "lat,lon\n43.2,76.9\n43.3,76.9\n51.1,71.4\n";
    let tolerant = Adapter::start(&[]).await;
    let layers = read(&tolerant, &in_region("a.csv", "KZ-75"), table.as_bytes()).await.expect("a third");
    assert_eq!((layers[0].rows(), layers[0].report.rows_refused), (2, 1));
    assert!(layers[0].rules().contains(&"place.outside_region"), "{:?}", layers[0].rules());
    let strict = Adapter::start(&["--misplaced-share-max", "0.3"]).await;
    let error = read(&strict, &in_region("a.csv", "KZ-75"), table.as_bytes()).await.map(|_| ()).expect_err("a third");
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("1 of the 3 rows"), "{error}");
}

#[tokio::test]
async fn a_repair_above_the_share_of_the_operator_is_refused() {
    let polygon = |ring: &str| {
        format!(r#"{{"type":"Feature","properties":{{"a":1}},"geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}"#)
    };
    let (bow, square) =
        (polygon("[[70,50],[72,52],[72,50],[70,52],[70,50]]"), polygon("[[70,50],[72,50],[72,52],[70,50]]"));
    let json = format!(r#"{{"type":"FeatureCollection","features":[{bow},{square}]}}"#);
    for (flags, rows, rule) in
        [(&[][..], 1, "geometry.repair_too_large"), (&["--repair-area-change-max", "1"], 2, "geometry.invalid")]
    {
        let adapter = Adapter::start(flags).await;
        let layers = read(&adapter, &Ask::named("a.geojson"), json.as_bytes()).await.expect("read");
        assert_eq!(layers[0].rows(), rows);
        assert!(layers[0].rules().contains(&rule), "{:?}", layers[0].rules());
    }
}

/// What the process says when it does not start.
fn refusal(flags: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let ended = Command::new(env!("CARGO_BIN_EXE_ukimet-adapter-gdal"))
        .args(["--listen", "127.0.0.1:0", "--scratch"])
        .arg(folder.path())
        .args(flags)
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .output()
        .expect("the adapter starts");
    assert!(!ended.status.success(), "{flags:?}");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
fn a_broken_grid_or_share_keeps_the_process_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("qazgrid_kz.gsb"), b"<html>404</html>").expect("written");
    let said = refusal(&["--grids", folder.path().to_str().expect("text")]);
    assert!(said.contains("qazgrid_kz.gsb") && said.contains("it ends at byte 16"), "{said}");
    let said = refusal(&["--misplaced-share-max", "2"]);
    assert!(said.contains("misplaced_share_max is a share from 0 to 1, found 2"), "{said}");
}
