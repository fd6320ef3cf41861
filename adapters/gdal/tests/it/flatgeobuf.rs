//! `FlatGeobuf`: times with their offset, and counts that lie.

use crate::adapter::{Adapter, Ask, read};
use crate::formats::{only, text};
use gdal::DriverManager;
use gdal::spatial_ref::SpatialRef;
use gdal::vector::{Feature, Geometry, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType};
use std::time::Duration;
use ukimet_model::ErrorKind;

/// Twenty points with two columns, true in every third row.
const TRUTH_VALUES: &[u8] = include_bytes!("fixtures/truth_values.fgb");
/// A header with an id and a number, and nothing after it.
const NO_ROWS: &[u8] = include_bytes!("fixtures/no_rows.fgb");

/// Three rows with a time and a day.
fn file() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.fgb");
    let driver = DriverManager::get_driver_by_name("FlatGeobuf").expect("the driver");
    let mut dataset = driver.create_vector_only(&path).expect("a file");
    let srs = SpatialRef::from_epsg(4326).expect("known");
    let options = LayerOptions {
        name: "a",
        srs: Some(&srs),
        ty: OGRwkbGeometryType::wkbPoint,
        options: Some(&["SPATIAL_INDEX=NO"]),
    };
    let layer = dataset.create_layer(options).expect("a layer");
    layer.create_defn_fields(&[("time", OGRFieldType::OFTDateTime), ("day", OGRFieldType::OFTDate)]).expect("columns");
    for row in 0..3 {
        let mut feature = Feature::new(layer.defn()).expect("a row");
        let time = ["2024/03/01 00:00:00+05", "2024/03/01 00:00:00+00", "1950/01/01 00:00:00+00"][row];
        feature.set_field_string(0, time).expect("a time");
        feature.set_field_string(1, "1969/12/31").expect("a day");
        feature.set_geometry(Geometry::from_wkt("POINT (76 43)").expect("a point")).expect("a place");
        feature.create(&layer).expect("written");
    }
    dataset.close().expect("written");
    std::fs::read(&path).expect("there")
}

#[tokio::test]
async fn times_keep_their_offset() {
    let layer = only("a.fgb", &file()).await;
    assert_eq!(layer.rows(), 3);
    let times = [0, 1, 2].map(|row| text(&layer, "time", row));
    assert_eq!(times, ["2024-02-29T19:00:00Z", "2024-03-01T00:00:00Z", "1950-01-01T00:00:00Z"]);
    assert_eq!(text(&layer, "day", 0), "1969-12-31T00:00:00");
}

#[tokio::test]
async fn a_file_that_is_cut_between_two_rows_is_data_loss() {
    let adapter = Adapter::start(&[]).await;
    let whole = file();
    for cut in 1..200 {
        let found = read(&adapter, &Ask::named("a.fgb"), &whole[..whole.len() - cut]).await;
        let error = found.map(|_| ()).expect_err("cut");
        assert!(matches!(error.kind(), ErrorKind::DataLoss | ErrorKind::InvalidData), "{cut}: {error}");
    }
}

#[tokio::test]
async fn truth_values_are_as_they_were_written() {
    let layer = only("a.fgb", TRUTH_VALUES).await;
    for row in 0..20 {
        assert_eq!(text(&layer, "a", row), (row % 3 == 0).to_string(), "row {row}");
        assert_eq!(text(&layer, "b", row), (row % 3 == 1).to_string(), "row {row}");
    }
}

#[tokio::test]
async fn a_file_without_rows_is_refused_as_such_and_does_not_hang() {
    let adapter = Adapter::start(&[]).await;
    let ask = Ask::named("a.fgb");
    let found = tokio::time::timeout(Duration::from_secs(20), read(&adapter, &ask, NO_ROWS)).await.expect("in time");
    let error = found.map(|_| ()).expect_err("nothing");
    assert!(error.kind() == ErrorKind::InvalidData && error.message().contains("no rows"), "{error}");
}
