//! File Geodatabases: times as they were written.

use crate::cases::zip;
use crate::formats::{only, text};
use crate::geojson::found;
use gdal::DriverManager;
use gdal::spatial_ref::SpatialRef;
use gdal::vector::{Feature, Geometry, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType};

/// A geodatabase in a zip with a point for each time.
fn geodatabase(times: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gdb");
    let driver = DriverManager::get_driver_by_name("OpenFileGDB").expect("the driver");
    let mut dataset = driver.create_vector_only(&path).expect("a database");
    let srs = SpatialRef::from_epsg(4326).expect("known");
    let options = LayerOptions { name: "t", srs: Some(&srs), ty: OGRwkbGeometryType::wkbPoint, options: None };
    let layer = dataset.create_layer(options).expect("a layer");
    layer.create_defn_fields(&[("at", OGRFieldType::OFTDateTime)]).expect("a column");
    for time in times {
        let mut feature = Feature::new(layer.defn()).expect("a row");
        feature.set_geometry(Geometry::from_wkt("POINT (76 43)").expect("a point")).expect("set");
        feature.set_field_string(0, time).expect("set");
        feature.create(&layer).expect("written");
    }
    dataset.close().expect("closed");
    let mut members = Vec::new();
    for file in std::fs::read_dir(&path).expect("a folder") {
        let file = file.expect("a file");
        let name = format!("a.gdb/{}", file.file_name().to_str().expect("a name"));
        members.push((name, std::fs::read(file.path()).expect("read")));
    }
    zip(&members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect::<Vec<_>>())
}

#[tokio::test]
async fn times_before_1970_are_not_a_second_late() {
    let times = ["1899/12/31 23:59:59", "1960/02/29 12:00:00", "1970/01/01 00:00:01", "2024/03/01 00:00:00"];
    let layer = only("a.gdb.zip", &geodatabase(&times)).await;
    for (row, time) in times.iter().enumerate() {
        assert_eq!(text(&layer, "at", row), time.replace('/', "-").replace(' ', "T") + "Z");
    }
    assert_eq!(found(&layer, "read.late_second").count, 2);
}
