//! Arrow and Parquet: types without a published form, and geometries in each of their forms.

use crate::adapter::{Adapter, Ask, read};
use crate::formats::{arrow_file, only, parquet_file, point, text};
use crate::geojson::found;
use arrow_array::builder::{Int32Builder, MapBuilder, StringBuilder};
use arrow_array::types::IntervalMonthDayNanoType;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Decimal256Array, DurationMillisecondArray, Float64Array, Int64Array,
    IntervalMonthDayNanoArray, ListArray, RecordBatch, StringArray, StructArray, UnionArray,
};
use arrow_buffer::{OffsetBuffer, i256};
use arrow_schema::{DataType, Field, Schema, UnionFields};
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::ErrorKind;

fn map() -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("a");
    map.values().append_value(1);
    map.append(true).expect("even");
    Arc::new(map.finish())
}

#[tokio::test]
async fn types_that_are_not_published_are_kept_as_lists_or_text() {
    let wide = i256::from_i128(i128::MAX).wrapping_mul(i256::from_i128(10));
    let fields: UnionFields = [(0, Arc::new(Field::new("word", DataType::Utf8, true)))].into_iter().collect();
    let words: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let union = UnionArray::try_new(fields, vec![0].into(), None, vec![words]).expect("a union");
    let times: ArrayRef = Arc::new(DurationMillisecondArray::from(vec![1_500]));
    let item = Arc::new(Field::new("item", times.data_type().clone(), true));
    let nested = ListArray::new(item, OffsetBuffer::from_lengths([1]), Arc::clone(&times), None);
    let columns: [(&str, ArrayRef); 6] = [
        ("map", map()),
        ("wide", Arc::new(Decimal256Array::from(vec![wide]).with_precision_and_scale(76, 2).expect("fits"))),
        ("span", times),
        ("interval", Arc::new(IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNanoType::make_value(1, 2, 3)]))),
        ("union", Arc::new(union)),
        ("nested", Arc::new(nested)),
    ];
    let layer = only("a.arrow", &arrow_file(&columns)).await;
    assert_eq!(text(&layer, "map", 0), "[{keys: a, values: 1}]");
    assert_eq!(text(&layer, "wide", 0), "17014118346046923173168730371588410572.70");
    assert_eq!(text(&layer, "span", 0), "PT1.5S");
    assert_eq!(text(&layer, "interval", 0), "1 mons 2 days 0.000000003 secs");
    assert_eq!(text(&layer, "union", 0), "{word=x}");
    assert_eq!(text(&layer, "nested", 0), "[PT1.5S]");
    assert_eq!(found(&layer, "read.kept_as_text").count, 5);
}

#[tokio::test]
async fn damaged_geometries_are_null_and_told() {
    let good = point(76.0, 43.0);
    let places: ArrayRef = Arc::new(BinaryArray::from_iter_values([&good[..], &good[..12], &good[..]]));
    let field = Field::new("geom", DataType::Binary, true).with_metadata(HashMap::from([
        ("ARROW:extension:name".to_owned(), "geoarrow.wkb".to_owned()),
        ("ARROW:extension:metadata".to_owned(), r#"{"crs":"EPSG:4326"}"#.to_owned()),
    ]));
    let layer = only("a.arrow", &with_field(field, places)).await;
    assert_eq!((layer.rows(), layer.report.geometry_nulls), (3, 1));
    assert_eq!(found(&layer, "read.geometry_unreadable").examples[0].row, Some(1));
}

fn with_field(field: Field, column: ArrayRef) -> Vec<u8> {
    let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("valid");
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), rows.schema_ref()).expect("begins");
    writer.write(&rows).expect("writes");
    writer.into_inner().expect("ends")
}

#[tokio::test]
async fn the_srid_of_the_geometries_is_the_crs_unless_they_disagree() {
    let ewkb = |srid: u32| {
        let point = point(500_000.0, 4_800_000.0);
        [&[1, 1, 0, 0, 0x20][..], &srid.to_le_bytes(), &point[5..]].concat()
    };
    let column = |srids: [u32; 2]| -> ArrayRef { Arc::new(BinaryArray::from_iter_values(srids.map(ewkb))) };
    let layer = only("a.parquet", &parquet_file(&[("geom", column([32643, 32643]))])).await;
    assert_eq!(layer.report.source_crs.as_deref(), Some("EPSG:32643"));
    assert_eq!(found(&layer, "read.srid_taken").count, 1);
    let adapter = Adapter::start(&[]).await;
    let bytes = parquet_file(&[("geom", column([32643, 32642]))]);
    let error = read(&adapter, &Ask::named("a.parquet"), &bytes).await.map(|_| ()).expect_err("mixed");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("row 2 has SRID 32642"), "{error}");
}

fn native_points() -> ArrayRef {
    let part = |name: &str, value: f64| {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![value]));
        (Arc::new(Field::new(name, DataType::Float64, false)), values)
    };
    Arc::new(StructArray::from(vec![part("x", 76.0), part("y", 43.0)]))
}

fn parquet_with_geo(geo: &str, columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns.iter().cloned()).expect("valid");
    let pair = parquet::file::metadata::KeyValue::new("geo".to_owned(), geo.to_owned());
    let properties =
        parquet::file::properties::WriterProperties::builder().set_key_value_metadata(Some(vec![pair])).build();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).expect("begins");
    writer.write(&rows).expect("writes");
    writer.close().expect("ends");
    bytes
}

#[tokio::test]
async fn native_coordinates_are_geometries() {
    let points = native_points();
    let field = Field::new("geom", points.data_type().clone(), true).with_metadata(HashMap::from([
        ("ARROW:extension:name".to_owned(), "geoarrow.point".to_owned()),
        ("ARROW:extension:metadata".to_owned(), r#"{"crs":"EPSG:4326"}"#.to_owned()),
    ]));
    let layer = only("a.arrow", &with_field(field, Arc::clone(&points))).await;
    assert_eq!(layer.report.geometry_types["Point"], 1);
    let geo = r#"{"version":"1.1.0","primary_column":"geom","columns":{"geom":{"encoding":"point","geometry_types":["Point"],"edges":"spherical"}}}"#;
    let layer = only("a.parquet", &parquet_with_geo(geo, &[("geom", points)])).await;
    assert_eq!((layer.report.geometry_types["Point"], layer.report.bbox.expect("a place").west), (1, 76.0));
    assert_eq!(found(&layer, "geoparquet.spherical_edges").examples[0].field.as_deref(), Some("geom"));
}

#[tokio::test]
async fn a_geometry_column_that_is_not_there_and_a_second_one_are_told() {
    let geo = r#"{"version":"1.1.0","primary_column":"gone","columns":{"gone":{"encoding":"WKB","geometry_types":[]},"other":{"encoding":"WKB","geometry_types":[]}}}"#;
    let places: ArrayRef = Arc::new(BinaryArray::from_iter_values([point(76.0, 43.0)]));
    let layer = only("a.parquet", &parquet_with_geo(geo, &[("other", places)])).await;
    assert_eq!(found(&layer, "read.missing_geometry").examples[0].field.as_deref(), Some("gone"));
    assert_eq!(found(&layer, "read.second_geometry").examples[0].field.as_deref(), Some("other"));
}

#[tokio::test]
async fn codes_in_columns_of_numbers_are_text_and_damaged_addresses_are_refused() {
    let numbers = |values: [Option<i64>; 2]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    let columns = [
        ("RKA", numbers([Some(1_201_300_001_234_567), None])),
        ("IIN", numbers([Some(990_140_000_384), Some(990_140_000_384)])),
        ("KATO", numbers([Some(750_000_000), Some(631_000_000)])),
    ];
    let layer = only("a.parquet", &parquet_file(&columns)).await;
    assert_eq!((layer.rows(), layer.report.rows_refused), (1, 1));
    assert_eq!(["rka", "iin", "kato"].map(|column| text(&layer, column, 0)), ["∅", "990140000384", "631000000"]);
    assert!(layer.schema.fields().iter().all(|field| field.data_type() == &DataType::Utf8), "{:?}", layer.schema);
    assert_eq!(layer.quarantined[0].values[0].as_deref(), Some("1201300001234567"));
}

/// Found by the fuzz target: the second column's page says that it unpacks to 1.7 GB.
const LARGE_PAGE: &[u8] = include_bytes!("fixtures/large_page.parquet");

#[tokio::test]
async fn pages_of_parquet_are_not_believed_to_unpack_to_what_they_say() {
    let refused = async |flags: &[&str], bytes: &[u8], kind, words: &str| {
        let adapter = Adapter::start(flags).await;
        let error = read(&adapter, &Ask::named("a.parquet"), bytes).await.map(|_| ()).expect_err(words);
        assert!(error.kind() == kind && error.to_string().contains(words), "{error}");
    };
    // Far below what the page says: the decoder made room for it before it read.
    let memory = ["--memory-bytes", "1000000000"];
    refused(&memory, LARGE_PAGE, ErrorKind::InvalidData, "declares 11 bytes that unpack to -2550136832").await;
    let size = [0xff, 0xff, 0xff, 0xff, 0x12];
    let at = LARGE_PAGE.windows(5).position(|bytes| bytes == size).expect("the size");
    let mut possible = LARGE_PAGE.to_vec();
    possible[at..at + 5].copy_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x09]);
    refused(&memory, &possible, ErrorKind::LimitReached, "at most 1073741824 bytes").await;
}

#[tokio::test]
async fn pages_that_are_unpacked_at_the_same_time_have_a_limit() {
    let numbers = |from: i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(from..from + 1_000)) };
    let bytes = parquet_file(&[("a", numbers(0)), ("b", numbers(7))]);
    let limited = async |limit: &str| {
        let adapter = Adapter::start(&["--pages-bytes", limit]).await;
        read(&adapter, &Ask::named("a.parquet"), &bytes).await.map(|layers| layers[0].rows())
    };
    assert_eq!(limited("24000").await.expect("room for two dictionaries and their indices"), 1_000);
    // One column alone has room.
    let error = limited("12000").await.expect_err("no room for both");
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("at most 12000 bytes"), "{error}");
    assert!(error.to_string().contains("\"b\""), "{error}");
}

#[tokio::test]
async fn every_packing_of_parquet_is_read() {
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    use parquet::file::properties::WriterProperties;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    let rows = RecordBatch::try_from_iter([("n", numbers)]).expect("valid");
    for packing in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let properties = WriterProperties::builder().set_compression(packing).build();
        let mut writer =
            parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).expect("begins");
        writer.write(&rows).expect("writes");
        let layer = only("a.parquet", &writer.into_inner().expect("ends")).await;
        assert_eq!((layer.rows(), text(&layer, "n", 999)), (1_000, "999".to_owned()), "{packing}");
    }
}
