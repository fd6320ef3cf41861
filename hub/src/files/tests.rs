//! Each format written and read back.

use super::text::geojson;
use super::*;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Decimal128Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema};
use serde_json::json;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use ukimet_model::ErrorKind;
use ukimet_model::batch::{attribute_field, geometry_field};

fn position(code: u32, numbers: &[f64]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    [&[1][..], &code.to_le_bytes(), &numbers].concat()
}

fn point(x: f64, y: f64) -> Vec<u8> {
    position(1, &[x, y])
}

fn batch(columns: Vec<(&str, ArrayRef)>, shapes: Option<Vec<Option<Vec<u8>>>>) -> RecordBatch {
    let mut fields: Vec<_> =
        columns.iter().map(|(name, column)| attribute_field(name, name, column.data_type().clone())).collect();
    let mut columns: Vec<_> = columns.into_iter().map(|(_, column)| column).collect();
    if let Some(shapes) = shapes {
        fields.push(Arc::new(geometry_field()));
        columns.push(Arc::new(BinaryArray::from_iter(shapes)));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns fit")
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn rows() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(7)]));
    let names = texts(&[Some("Алматы, \"қала\""), None]);
    batch(vec![("name", names), ("n", numbers)], Some(vec![Some(point(76.9, 43.2)), None]))
}

/// Bytes that are kept by who reads them.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("one at a time").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn subject(schema: SchemaRef, folder: &Path, bytes_max: u64) -> FileSubject {
    let scratch = Scratch::new(folder.to_owned(), bytes_max);
    FileSubject { name: "schools".to_owned(), schema, published_s: Some(0), scratch, options: FileOptions::default() }
}

fn write(name: &str, rows: &RecordBatch, options: FileOptions, bytes_max: u64) -> Result<(Vec<u8>, Losses)> {
    let (kept, folder) = (Kept::default(), tempfile::tempdir().expect("a folder"));
    let subject = FileSubject { options, ..subject(rows.schema(), folder.path(), bytes_max) };
    let written = RowFile::begin(FileFormat::of_file(name)?, Box::new(kept.clone()), &subject).and_then(|mut file| {
        file.write(rows)?;
        file.finish()
    });
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing stays");
    let bytes = kept.0.lock().expect("one at a time").clone();
    written.map(|losses| (bytes, losses))
}

fn written(name: &str, rows: &RecordBatch) -> Vec<u8> {
    write(name, rows, FileOptions::default(), u64::MAX).expect(name).0
}

fn text(name: &str, rows: &RecordBatch) -> String {
    String::from_utf8(written(name, rows)).expect("text")
}

#[test]
fn geojson_keeps_nulls_and_letters() {
    let document: serde_json::Value = serde_json::from_slice(&written("x.geojson", &rows())).expect("JSON");
    let features = document["features"].as_array().expect("features");
    assert_eq!(features[0]["geometry"]["coordinates"], json!([76.9, 43.2]));
    assert_eq!(features[0]["properties"], json!({ "name": "Алматы, \"қала\"", "n": null }));
    assert_eq!(features[1]["geometry"], serde_json::Value::Null);
    assert_eq!(text("x.ndjson", &rows()).lines().count(), 2);
}

#[test]
fn csv_has_the_geometry_as_text() {
    let expected = "name,n,geometry\r\n\"Алматы, \"\"қала\"\"\",,POINT(76.9 43.2)\r\n,7,\r\n";
    assert_eq!(text("x.csv", &rows()), expected);
    assert_eq!(text("x.csv", &rows().slice(0, 0)), "name,n,geometry\r\n");
}

#[test]
fn csv_marks_text_that_would_be_calculated_and_touches_no_number() {
    let dangerous = ["=1+1", "+7 701", "-5", "@SUM(A1)", "\t=1", "\r=1", "a=1", "", "'=1"];
    let names = texts(&dangerous.map(Some));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![-5; 9]));
    let rows = batch(vec![("name", names), ("n", numbers)], None);
    let read = |options: FileOptions| {
        let (bytes, _) = write("x.csv", &rows, options, u64::MAX).expect("written");
        let mut reader = ::csv::Reader::from_reader(&bytes[..]);
        let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect::<Vec<_>>());
        rows.map(|row| (row[0].clone(), row[1].clone())).unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let (names, numbers) = read(FileOptions::default());
    assert_eq!(names, ["'=1+1", "'+7 701", "'-5", "'@SUM(A1)", "'\t=1", "'\r=1", "a=1", "", "'=1"]);
    assert_eq!(numbers, ["-5"; 9]);
    let (raw, _) = read(FileOptions { is_raw: true, has_bom: false });
    assert_eq!(raw, dangerous);
    let with_mark = FileOptions { is_raw: false, has_bom: true };
    let (bytes, _) = write("x.csv", &rows, with_mark, u64::MAX).expect("written");
    assert!(bytes.starts_with(b"\xEF\xBB\xBFname,"));
}

#[test]
fn lists_and_times_in_named_zones_are_written_as_text() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let time = TimestampMicrosecondArray::from(vec![0, 1]).with_timezone("Asia/Almaty");
    let rows = batch(vec![("list", Arc::new(list)), ("time", Arc::new(time))], None);
    for name in ["x.csv", "x.geojson"] {
        let text = text(name, &rows);
        assert!(text.contains("[1,null]") && text.contains("1970-01-01T0"), "{text}");
    }
}

#[test]
fn heights_are_written_and_measures_are_not_lost_silently() {
    let high = position(1001, &[76.9, 43.2, 850.5]);
    let document: serde_json::Value = serde_json::from_str(&geojson(&high).expect("GeoJSON")).expect("JSON");
    assert_eq!(document["coordinates"], json!([76.9, 43.2, 850.5]));
    assert_eq!(wkt(&high).expect("WKT"), "POINT(76.9 43.2 850.5)");
    let measured = position(2001, &[76.9, 43.2, 7.0]);
    assert!(geojson(&measured).expect_err("no place").message().contains("measures"));
    assert!(wkt(&measured).expect_err("ambiguous").message().contains("measure"));
}

#[test]
fn parquet_and_arrow_read_back_equal() {
    let bytes = bytes::Bytes::from(written("x.parquet", &rows()));
    let mut reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 100).expect("a file");
    assert_eq!(reader.next().expect("rows").expect("rows").columns(), rows().columns());
    let bytes = std::io::Cursor::new(written("x.arrow", &rows()));
    let mut reader = arrow_ipc::reader::FileReader::try_new(bytes, None).expect("a file");
    assert_eq!(reader.next().expect("rows").expect("rows"), rows());
    let bytes = std::io::Cursor::new(written("x.arrows", &rows()));
    let mut reader = arrow_ipc::reader::StreamReader::try_new(bytes, None).expect("a stream");
    assert_eq!(reader.next().expect("rows").expect("rows"), rows());
}

#[test]
fn texts_that_came_as_codes_are_written_as_values() {
    let names = texts(&[Some("a"), None, Some("a")]);
    let coded_type = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let coded = arrow_cast::cast(&names, &coded_type).expect("codes");
    let (coded, plain) = (batch(vec![("name", coded)], None), batch(vec![("name", names)], None));
    for name in ["x.arrow", "x.parquet", "x.csv", "x.ndjson"] {
        assert_eq!(written(name, &coded), written(name, &plain), "{name}");
    }
}

const STAGED: [&str; 4] = ["x.fgb", "x.gpkg", "x.shp.zip", "x.xlsx"];

/// The members of an archive, by name.
fn members(archive: Vec<u8>) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).expect("an archive");
    let count = archive.len();
    let read = |i| {
        let mut member = archive.by_index(i).expect("a member");
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).expect("read");
        (member.name().expect("text").into_owned(), bytes)
    };
    (0..count).map(read).collect()
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    for name in STAGED.into_iter().chain(["x.arrow", "x.arrows", "x.parquet", "x.csv", "x.geojson", "x.ndjson"]) {
        assert_eq!(written(name, &rows()), written(name, &rows()), "{name}");
        assert_eq!(written(name, &rows().slice(0, 0)).is_empty(), name == "x.ndjson", "{name} of no rows");
    }
}

#[test]
fn a_file_that_is_larger_than_it_may_be_is_a_limit_and_leaves_nothing() {
    let long = "я".repeat(1000);
    let names = texts(&[Some(long.as_str()); 200]);
    let rows = batch(vec![("name", names)], Some(vec![Some(point(76.9, 43.2)); 200]));
    for name in STAGED {
        let error = write(name, &rows, FileOptions::default(), 100_000).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::LimitReached, "{name}: {error}");
        assert!(error.message().contains("100000 bytes"), "{name}: {error}");
        write(name, &rows, FileOptions::default(), 10_000_000).expect(name);
    }
}

#[test]
fn a_geopackage_has_its_rows_its_boxes_and_says_what_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.gpkg");
    std::fs::write(&path, written("x.gpkg", &rows())).expect("written");
    let database = rusqlite::Connection::open(path).expect("a database");
    let text = |question: &str| database.query_row(question, [], |row| row.get::<_, String>(0)).expect(question);
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("SELECT group_concat(srs_id) FROM gpkg_spatial_ref_sys"), "-1,0,4326");
    let contents = "SELECT data_type || min_x || ' ' || max_y || last_change FROM gpkg_contents WHERE srs_id = 4326";
    assert_eq!(text(contents), "features76.9 43.21970-01-01T00:00:00.000Z");
    assert_eq!(text("SELECT geometry_type_name || z || m FROM gpkg_geometry_columns"), "POINT00");
    assert_eq!(text("SELECT type FROM pragma_table_info('schools') WHERE name = 'geometry'"), "POINT");
    assert_eq!(
        text("SELECT group_concat(id || ':' || (minx < 76.9 AND maxx > 76.8)) FROM rtree_schools_geometry"),
        "1:1"
    );
    assert_eq!(text("SELECT name || coalesce(n, '-') FROM schools WHERE fid = 1"), "Алматы, \"қала\"-");
    assert_eq!(text("SELECT coalesce(name, '-') || n || (geometry IS NULL) FROM schools WHERE fid = 2"), "-71");
    assert_eq!(
        text("SELECT group_concat(name) FROM sqlite_master WHERE type = 'trigger'").matches("rtree_").count(),
        6
    );
}

#[test]
fn shapefiles_tell_what_they_have_no_place_for() {
    let long = "ж".repeat(200);
    let names = texts(&[Some("a"), Some(long.as_str()), Some(""), None]);
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX; 4]));
    let path = super::place::tests::wkb("LINESTRING(76 43,77 44)");
    let shapes = vec![Some(point(76.9, 43.2)), Some(path), None, Some(point(77.0, 43.0))];
    let rows = batch(vec![("number_of_pupils", names), ("number_of_places", counts)], Some(shapes));
    let (archive, losses) = write("x.shp.zip", &rows, FileOptions::default(), u64::MAX).expect("written");
    let told = "cut-texts=1, empty-texts=1, layers=3, number-columns-as-text=1, renamed-columns=2";
    assert_eq!(losses.to_string(), told);
    let members = members(archive);
    let notes = String::from_utf8(members["LOSSES.txt"].clone()).expect("text");
    assert!(notes.contains("number_o_1 = number_of_places (number_of_places)\r\n"), "{notes}");
    let rows_of = |layer: &str| {
        let table = &members[&format!("schools{layer}.dbf")];
        u32::from_le_bytes(table[4..8].try_into().expect("four"))
    };
    assert_eq!(["_points", "_lines", "_no_geometry"].map(rows_of), [2, 1, 1]);
    assert!(!members.contains_key("schools_no_geometry.shp") && members["schools_points.cpg"] == b"UTF-8");
    let (archive, losses) = write("x.shp.zip", &self::rows(), FileOptions::default(), u64::MAX).expect("written");
    assert!(losses.is_empty(), "{losses}");
    let names: Vec<_> = self::members(archive).into_keys().collect();
    assert_eq!(names, ["LOSSES.txt", "schools.cpg", "schools.dbf", "schools.prj", "schools.shp", "schools.shx"]);
}

#[test]
fn a_spreadsheet_takes_text_for_text_and_refuses_what_it_has_no_place_for() {
    let names = texts(&[Some("=1+1"), Some("https://example.org/")]);
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(i64::MAX)]));
    let decimals = |digits: u8| {
        let values = Decimal128Array::from(vec![1_234_567_890_125, -5]);
        Arc::new(values.with_precision_and_scale(digits, 2).expect("fits")) as ArrayRef
    };
    let columns = vec![("name", names), ("n", counts), ("price", decimals(15)), ("sum", decimals(16))];
    let rows = batch(columns, None);
    let (book, losses) = write("x.xlsx", &rows, FileOptions::default(), u64::MAX).expect("written");
    assert_eq!(losses.to_string(), "numbers-as-text=3");
    let members = members(book);
    let sheet = String::from_utf8(members["xl/worksheets/sheet1.xml"].clone()).expect("text");
    assert!(!sheet.contains("<f>") && !sheet.contains("hyperlink"), "{sheet}");
    assert!(sheet.contains("=1+1") && sheet.contains("<v>7</v>") && sheet.contains("9223372036854775807"), "{sheet}");
    assert!(sheet.contains("<v>12345678901.25</v>") && sheet.contains("<t>12345678901.25</t>"), "{sheet}");
    let long = "я".repeat(32_768);
    let too_long = batch(vec![("name", texts(&[Some(long.as_str())]))], None);
    let error = write("x.xlsx", &too_long, FileOptions::default(), u64::MAX).expect_err("no place");
    assert!(error.message().contains("name of row 1 has 32768"), "{error}");
}

#[test]
fn a_flatgeobuf_has_all_rows_and_an_index_unless_one_has_no_place() {
    use ::flatgeobuf::{FallibleStreamingIterator, FeatureProperties, FgbReader};
    let read = |rows: &RecordBatch| {
        let bytes = std::io::Cursor::new(written("x.fgb", rows));
        let mut features = FgbReader::open(bytes).expect("a file").select_all().expect("features");
        let header = features.header();
        let of_all = (header.features_count(), header.index_node_size(), header.geometry_type());
        let mut names = Vec::new();
        while let Some(feature) = features.next().expect("a feature") {
            names.push(feature.property::<String>("name").ok());
        }
        (of_all, names)
    };
    let (of_all, names) = read(&rows());
    assert_eq!(of_all, (2, 0, ::flatgeobuf::GeometryType::Point));
    assert_eq!(names, [Some("Алматы, \"қала\"".to_owned()), None]);
    let (of_all, _) = read(&rows().slice(0, 1));
    assert_eq!(of_all, (1, 16, ::flatgeobuf::GeometryType::Point));
    let mixed = vec![Some(point(76.9, 43.2)), Some(position(1001, &[76.9, 43.2, 850.0]))];
    let mixed = batch(vec![("name", texts(&[None, None]))], Some(mixed));
    let error = write("x.fgb", &mixed, FileOptions::default(), u64::MAX).expect_err("no place");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
}

#[test]
fn more_columns_and_rows_than_a_format_has_place_for_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, columns_max) in [("x.gpkg", 1999), ("x.shp.zip", 255), ("x.xlsx", 16_384)] {
        let begun = |columns: usize| {
            let fields = (0..columns).map(|i| attribute_field(&format!("c{i}"), "c", DataType::Int32));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let subject = subject(schema, folder.path(), u64::MAX);
            StagedFile::begin(FileFormat::of_file(name).expect("known"), &subject).map(drop)
        };
        begun(columns_max).expect(name);
        let error = begun(columns_max + 1).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::LimitReached, "{name}: {error}");
    }
    let rows = batch(vec![("n", Arc::new(Int64Array::new_null(1_048_576)))], None);
    let error = write("x.xlsx", &rows, FileOptions::default(), u64::MAX).expect_err("one too many");
    assert!(error.message().contains("1048575 rows"), "{error}");
    write("x.xlsx", &rows.slice(0, 1_048_575), FileOptions::default(), u64::MAX).expect("just fits");
}
