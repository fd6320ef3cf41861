//! Segments are `GeoParquet` files that other software reads.

use crate::fixture::{Place, Push, open, options, points};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ukimet_catalog::{Catalog, CatalogOptions};
use ukimet_model::SystemClock;

fn segment(dir: &Path) -> PathBuf {
    let files = crate::fixture::files(dir);
    dir.join(&files.iter().find(|(file, _)| file.ends_with(".parquet")).expect("a segment").0)
}

#[test]
fn a_segment_has_the_metadata_that_geoparquet_asks_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let mut rows = points(0..4);
    rows.push((4, Place::Null));
    rows.push((5, Place::Triangle([(1.0, 1.0), (2.0, 1.0), (1.0, 2.0)])));
    Push::new("p1", "almaty/places", &rows).send(&catalog).expect("taken");
    let reader = SerializedFileReader::new(File::open(segment(dir.path())).expect("a file")).expect("Parquet");
    let metadata = reader.metadata().file_metadata().key_value_metadata().expect("metadata").clone();
    let geo = metadata.into_iter().find(|pair| pair.key == "geo").and_then(|pair| pair.value).expect("geo metadata");
    let geo: serde_json::Value = serde_json::from_str(&geo).expect("JSON");
    assert_eq!((&geo["version"], &geo["primary_column"]), (&"1.1.0".into(), &"geometry".into()));
    let column = &geo["columns"]["geometry"];
    assert_eq!(column["encoding"], "WKB");
    assert_eq!(column["crs"]["id"]["code"], "CRS84");
    assert_eq!(column["geometry_types"], serde_json::json!(["Point", "Polygon"]));
    assert_eq!(column["bbox"], serde_json::json!([1.0, 1.0, 70.03, 43.0]));
    assert_eq!(column["covering"]["bbox"]["ymax"], serde_json::json!(["bbox", "ymax"]));
}

#[test]
fn the_covering_column_holds_every_place_and_has_another_name_if_the_name_is_taken() {
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use ukimet_model::batch::attribute_field;
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = open(dir.path());
    let rows = crate::fixture::batch(&points(0..50)).into_rows();
    let mut fields = rows.schema().fields().to_vec();
    fields.insert(0, attribute_field("bbox", "bbox", arrow_schema::DataType::Utf8));
    let mut columns = rows.columns().to_vec();
    let own: ArrayRef = Arc::new(StringArray::from(vec!["own"; 50]));
    columns.insert(0, own);
    let rows = RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).expect("rows");
    let batch = ukimet_model::Batch::try_new(rows).expect("normalized");
    let (_, snapshot) = Push::of_batches("p1", "almaty/places", vec![batch]).send(&catalog).expect("taken");
    let (_, version) = snapshot.dataset(&"almaty/places".parse().expect("valid")).expect("there");
    assert!(snapshot.schema(&version).expect("a schema").index_of("bbox_").is_err(), "the covering is not published");
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(segment(dir.path())).expect("a file"));
    let batch = builder.expect("Parquet").build().expect("a reader").next().expect("rows").expect("rows");
    let boxes = batch.column_by_name("bbox_").expect("the covering").as_struct();
    let side = |name: &str| boxes.column_by_name(name).expect("a side").as_primitive::<Float32Type>().values().to_vec();
    for (row, wkb) in batch.column_by_name("geometry").expect("geometry").as_binary::<i32>().iter().enumerate() {
        let [min_x, min_y, max_x, max_y] =
            ukimet_model::wkb::inspect(wkb.expect("a place")).expect("WKB").bounds.expect("a place");
        assert!(f64::from(side("xmin")[row]) <= min_x && f64::from(side("ymin")[row]) <= min_y);
        assert!(f64::from(side("xmax")[row]) >= max_x && f64::from(side("ymax")[row]) >= max_y);
    }
}

#[test]
fn row_groups_are_large_and_pages_small() {
    let dir = tempfile::tempdir().expect("a directory");
    let small = CatalogOptions { row_group_rows: 2000, page_rows: 100, ..options() };
    let catalog = Catalog::open(dir.path(), small, Arc::new(SystemClock)).expect("a new store");
    Push::new("p1", "almaty/places", &points(0..5000)).send(&catalog).expect("taken");
    let options = parquet::file::serialized_reader::ReadOptionsBuilder::new().with_page_index().build();
    let file = File::open(segment(dir.path())).expect("a file");
    let reader = SerializedFileReader::new_with_options(file, options).expect("Parquet");
    let rows: Vec<i64> =
        reader.metadata().row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).collect();
    assert_eq!(rows, [2000, 2000, 1000]);
    let index = reader.metadata().offset_index().expect("a page index");
    for column in &index[0] {
        assert!(column.page_locations().len() >= 20, "{} pages", column.page_locations().len());
    }
}
