//! `FlatGeobuf`: times with their offset, and counts that lie.

use crate::adapter::{Adapter, Ask, read};
use crate::formats::{only, text};
use gdal::DriverManager;
use gdal::spatial_ref::SpatialRef;
use gdal::vector::{Feature, Geometry, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType};
use ukimet_model::ErrorKind;

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
