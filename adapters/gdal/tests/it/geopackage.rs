//! `GeoPackage`: cells of any kind in columns of another.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::formats::text;
use crate::geojson::found;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use gdal::DriverManager;
use gdal::spatial_ref::SpatialRef;
use gdal::vector::sql::Dialect;
use gdal::vector::{Geometry, LayerAccess, LayerOptions, OGRFieldType, OGRwkbGeometryType};

/// A database with three points and these columns, changed by these statements.
fn database(columns: &[(&str, OGRFieldType::Type)], statements: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gpkg");
    let driver = DriverManager::get_driver_by_name("GPKG").expect("the driver");
    let mut dataset = driver.create_vector_only(&path).expect("a database");
    let srs = SpatialRef::from_epsg(4326).expect("known");
    let mut layer = dataset
        .create_layer(LayerOptions {
            name: "t",
            srs: Some(&srs),
            ty: OGRwkbGeometryType::wkbPoint,
            options: Some(&["SPATIAL_INDEX=NO"]),
        })
        .expect("a layer");
    layer.create_defn_fields(columns).expect("columns");
    for row in 0..3 {
        let place = Geometry::from_wkt(&format!("POINT ({} 43)", 76 + row)).expect("a point");
        layer.create_feature(place).expect("a row");
    }
    for statement in statements {
        drop(dataset.execute_sql(statement, None, Dialect::DEFAULT).expect(statement));
    }
    dataset.close().expect("written");
    std::fs::read(&path).expect("there")
}

async fn only(bytes: &[u8]) -> ReadLayer {
    let adapter = Adapter::start(&[]).await;
    let mut layers = read(&adapter, &Ask::named("a.gpkg"), bytes).await.expect("rows");
    assert_eq!((layers.len(), layers[0].rows()), (1, 3));
    layers.remove(0)
}

fn data_type<'a>(layer: &'a ReadLayer, column: &str) -> &'a DataType {
    layer.schema.field_with_name(column).expect(column).data_type()
}

#[tokio::test]
async fn cells_that_contradict_their_column_are_text_and_the_others_typed() {
    let columns = [
        ("small", OGRFieldType::OFTInteger),
        ("number", OGRFieldType::OFTReal),
        ("day", OGRFieldType::OFTDate),
        ("word", OGRFieldType::OFTString),
        ("fine", OGRFieldType::OFTInteger),
        ("bytes", OGRFieldType::OFTBinary),
    ];
    let bytes = database(
        &columns,
        &[
            "UPDATE t SET small = 1, number = 0.1, day = '2024-02-29', word = 'b', fine = 7",
            "UPDATE t SET small = 5000000000, number = 'abc', day = '2024-02-30', word = 'a' || char(0) || 'b', bytes = 'text' \
             WHERE fid = 2",
        ],
    );
    let layer = only(&bytes).await;
    for (column, first, second) in [
        ("small", "1", "5000000000"),
        ("number", "0.1", "abc"),
        ("day", "2024-02-29", "2024-02-30"),
        ("word", "b", "ab"),
        ("bytes", "\u{2205}", "text"),
    ] {
        assert_eq!((text(&layer, column, 0).as_str(), text(&layer, column, 1).as_str()), (first, second), "{column}");
    }
    assert_eq!((data_type(&layer, "fine"), text(&layer, "fine", 2).as_str()), (&DataType::Int32, "7"));
    let told = found(&layer, "gpkg.contradicting_cells");
    assert_eq!((told.count, told.examples[0].field.as_deref()), (5, Some("small")));
    assert!(told.examples[0].found.contains("5000000000"), "{}", told.examples[0].found);
}

#[tokio::test]
async fn cells_that_are_read_again_stay_in_their_rows_over_many_batches() {
    let insert = "INSERT INTO t (number) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) \
                  SELECT 'n' || i FROM n";
    let columns = [("number", OGRFieldType::OFTReal)];
    let gaps = "DELETE FROM t WHERE fid % 7 = 0 OR fid <= 3";
    let adapter = Adapter::start(&[]).await;
    let layers = read(&adapter, &Ask::named("a.gpkg"), &database(&columns, &[insert, gaps])).await.expect("rows");
    assert!(layers[0].batches.len() > 1, "{} batches", layers[0].batches.len());
    let mut expected = (4..=200_003_u32).filter(|fid| fid % 7 != 0).map(|fid| format!("n{}", fid - 3));
    for batch in &layers[0].batches {
        let numbers = batch.column_by_name("number").expect("a column").as_string::<i32>();
        assert!(numbers.iter().all(|number| number == expected.next().as_deref()));
    }
    assert_eq!(expected.next(), None);
}

#[tokio::test]
async fn times_in_utc_are_instants_and_mixed_ones_text() {
    let time = OGRFieldType::OFTDateTime;
    let columns = [("utc", time), ("local", time), ("mixed", time), ("offset", time)];
    let bytes = database(
        &columns,
        &[
            "UPDATE t SET utc = '2024-03-01T00:00:00.250Z', local = '2024-03-01T00:00:00', mixed = '2024-03-01T00:00:00'",
            "UPDATE t SET mixed = '1969-03-01T00:00:00Z', offset = '2024-03-01T00:00:00+05:00', \
             utc = '1950-03-01T00:00:00Z' WHERE fid = 2",
        ],
    );
    let layer = only(&bytes).await;
    assert_eq!(text(&layer, "utc", 0), "2024-03-01T00:00:00.250Z");
    assert_eq!(text(&layer, "utc", 1), "1950-03-01T00:00:00Z");
    assert_eq!(text(&layer, "local", 1), "2024-03-01T00:00:00");
    assert_eq!(text(&layer, "mixed", 1), "1969-03-01T00:00:00Z");
    assert_eq!(text(&layer, "offset", 1), "2024-03-01T00:00:00+05:00");
}

#[tokio::test]
async fn identifiers_of_rows_are_kept() {
    let layer = only(&database(&[("a", OGRFieldType::OFTInteger)], &["UPDATE t SET fid = 1000 + fid, a = 1"])).await;
    assert_eq!((text(&layer, "fid", 0).as_str(), text(&layer, "fid", 2).as_str()), ("1001", "1003"));
}

#[tokio::test]
async fn geometries_that_are_none_and_those_of_another_system_are_told() {
    let bytes = database(
        &[("a", OGRFieldType::OFTInteger)],
        &[
            "UPDATE t SET geom = x'00112233' WHERE fid = 1",
            "UPDATE t SET geom = CAST(substr(geom, 1, 4) || x'21690000' || substr(geom, 9) AS BLOB) WHERE fid = 3",
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('pictures', 'tiles', 'pictures')",
        ],
    );
    let layer = only(&bytes).await;
    assert_eq!((layer.report.geometry_nulls, found(&layer, "read.geometry_unreadable").count), (1, 1));
    assert!(found(&layer, "gpkg.other_system").examples[0].found.contains("26913"), "{:?}", layer.report.diagnostics);
    assert_eq!(found(&layer, "gpkg.contents_left_out").examples[0].found, "pictures (tiles)");
    let mut logged = bytes;
    logged[18..20].copy_from_slice(&[2, 2]);
    assert_eq!(found(&only(&logged).await, "gpkg.write_ahead_log").count, 1);
}

#[tokio::test]
async fn codes_in_columns_of_numbers_are_text_and_damaged_addresses_are_refused() {
    let whole = OGRFieldType::OFTInteger64;
    let bytes = database(
        &[("RKA", OGRFieldType::OFTReal), ("IIN", whole), ("KATO", whole)],
        &["UPDATE t SET IIN = 990140000384, KATO = 750000000", "UPDATE t SET RKA = 1201300001234567.0 WHERE fid = 2"],
    );
    let adapter = Adapter::start(&[]).await;
    let layer = read(&adapter, &Ask::named("a.gpkg"), &bytes).await.expect("rows").remove(0);
    assert_eq!((layer.rows(), layer.report.rows_refused), (2, 1));
    assert_eq!(["iin", "kato"].map(|column| text(&layer, column, 0)), ["990140000384", "750000000"]);
    assert_eq!(["rka", "iin", "kato"].map(|column| data_type(&layer, column)), [&DataType::Utf8; 3]);
    let at = layer.source_columns.iter().position(|name| name == "RKA").expect("a column");
    assert_eq!(layer.quarantined[0].values[at].as_deref(), Some("1201300001234567"));
}

#[tokio::test]
async fn a_layer_of_more_columns_than_one_query_counts_is_read() {
    let names: Vec<String> = (0..700).map(|i| format!("n{i}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), OGRFieldType::OFTInteger)).collect();
    let layer = only(&database(&columns, &["UPDATE t SET n699 = 'abc' WHERE fid = 2"])).await;
    assert_eq!((data_type(&layer, "n698"), data_type(&layer, "n699")), (&DataType::Int32, &DataType::Utf8));
}

#[tokio::test]
async fn truth_values_are_as_they_were_written_and_days_beside_them() {
    let columns = [("id", OGRFieldType::OFTInteger), ("day", OGRFieldType::OFTDate)];
    let rows = (4..=20_000).map(|row| format!("({row})")).collect::<Vec<_>>().join(",");
    let bytes = database(
        &columns,
        &[
            "ALTER TABLE t ADD COLUMN open BOOLEAN",
            &format!("INSERT INTO t (fid) VALUES {rows}"),
            "UPDATE t SET id = fid, open = (fid % 3 = 0), day = '1950-02-28'",
            "UPDATE t SET open = NULL WHERE fid = 5",
        ],
    );
    let adapter = Adapter::start(&[]).await;
    let layer = read(&adapter, &Ask::named("a.gpkg"), &bytes).await.expect("rows").remove(0);
    assert_eq!(layer.rows(), 20_000);
    assert_eq!(data_type(&layer, "open"), &DataType::Boolean);
    let mut row = 0;
    for batch in &layer.batches {
        let open = batch.column_by_name("open").expect("a column").as_boolean().clone();
        for value in &open {
            row += 1;
            assert_eq!(value, (row != 5).then_some(row % 3 == 0), "row {row}");
        }
    }
    assert_eq!(text(&layer, "day", 0), "1950-02-28");
}

#[tokio::test]
async fn a_table_of_many_columns_is_read() {
    let statements: Vec<String> =
        (0..300).map(|i| format!("ALTER TABLE t ADD COLUMN c{i} INTEGER DEFAULT {i}")).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let layer = only(&database(&[("a", OGRFieldType::OFTInteger)], &statements)).await;
    assert_eq!((text(&layer, "c0", 0).as_str(), text(&layer, "c299", 2).as_str()), ("0", "299"));
}
