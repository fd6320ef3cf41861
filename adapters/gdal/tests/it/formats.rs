//! What single formats keep: text, types, geometry.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::cases::{geojson, shapefile, shapefile_zip, zip};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Date64Array, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, Time64NanosecondArray, TimestampNanosecondArray, TimestampSecondArray, types::Int32Type,
};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, Field, Schema};
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::ErrorKind;

pub(crate) async fn only(name: &str, bytes: &[u8]) -> ReadLayer {
    let adapter = Adapter::start(&[]).await;
    let mut layers = read(&adapter, &Ask::named(name), bytes).await.expect(name);
    assert_eq!(layers.len(), 1, "{name}");
    layers.remove(0)
}

pub(crate) fn text(layer: &ReadLayer, column: &str, row: usize) -> String {
    let position = layer.schema.index_of(column).expect(column);
    let column = layer.batches[0].column(position);
    if column.is_null(row) { "∅".to_owned() } else { array_value_to_string(column, row).expect("shown") }
}

#[tokio::test]
async fn xml_and_csv_in_other_encodings_are_decoded_by_what_they_declare() {
    let kml = r#"<?xml version="1.0" encoding="windows-1251"?><kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><name>Алматы</name><Point><coordinates>76.9,43.2</coordinates></Point></Placemark></kml>"#;
    let layer = only("a.kml", &encoding_rs::WINDOWS_1251.encode(kml).0).await;
    assert_eq!(
        (text(&layer, "name", 0).as_str(), layer.report.source_encoding.as_deref()),
        ("Алматы", Some("windows-1251"))
    );
    let utf16: Vec<u8> = "\u{feff}id\tатауы\r\n1\tӘсел\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let layer = only("a.tsv", &utf16).await;
    assert_eq!(text(&layer, "atauy", 0), "Әсел");
}

#[tokio::test]
async fn a_media_type_is_enough_for_a_csv_without_a_name() {
    let adapter = Adapter::start(&[]).await;
    let ask = Ask { media_type: "text/csv".to_owned(), ..Ask::named("export") };
    let layers = read(&adapter, &ask, b"id,\"empty\",none\n1,\"\",\n").await.expect("a CSV");
    assert_eq!(layers[0].name, "export");
    assert_eq!((text(&layers[0], "empty", 0), text(&layers[0], "none", 0)), (String::new(), "∅".to_owned()));
}

#[tokio::test]
async fn a_dbf_is_decoded_by_its_cpg_or_its_language_byte() {
    let name = encoding_rs::IBM866.encode("Дом").0.into_owned();
    for (language, cpg, expected) in [(0x26, None, "Дом"), (0, Some(&b"CP866"[..]), "Дом"), (0xc9, Some(b"866"), "Дом")]
    {
        let mut parts = shapefile(1);
        let dbf = &mut parts[2].1;
        dbf[29] = language;
        dbf[32 + 11] = b'C';
        let end = dbf.len();
        dbf[end - 6..end - 1].copy_from_slice(&[&name[..], b"  "].concat());
        let mut members: Vec<(&str, &[u8])> = parts.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        members.extend(cpg.map(|cpg| ("roads.cpg", cpg)));
        let layer = only("roads.zip", &zip(&members)).await;
        assert_eq!(text(&layer, "code", 0), expected);
        assert_eq!(layer.report.source_encoding.as_deref(), Some("IBM866"));
    }
}

/// A shapefile of points with a text column: language byte, `.cpg`, width of the column and its values.
fn named_shapefile(language: u8, cpg: Option<&str>, width: u8, values: &[&[u8]]) -> Vec<u8> {
    let mut parts = shapefile(values.len() as u32);
    let header = [
        &[3, 124, 1, 1][..],
        &(values.len() as u32).to_le_bytes(),
        &65_u16.to_le_bytes(),
        &(u16::from(width) + 1).to_le_bytes(),
        &[0; 17],
        &[language, 0, 0],
        b"name\0\0\0\0\0\0\0C\0\0\0\0",
        &[width, 0],
        &[0; 14],
        b"\x0d",
    ];
    let mut dbf = header.concat();
    for value in values {
        dbf.push(b' ');
        dbf.extend(*value);
        dbf.resize(dbf.len() + usize::from(width) - value.len(), b' ');
    }
    parts[2].1 = dbf;
    let mut members: Vec<(&str, &[u8])> = parts.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    members.extend(cpg.map(|cpg| ("roads.cpg", cpg.as_bytes())));
    zip(&members)
}

fn rules(layer: &ReadLayer) -> Vec<&str> {
    layer
        .report
        .diagnostics
        .iter()
        .map(|diagnostic| diagnostic.rule.as_str())
        .filter(|r| r.starts_with("text."))
        .collect()
}

#[tokio::test]
async fn kazakh_bytes_that_a_dbf_declares_as_windows_1251_are_read_rightly_and_said() {
    // Қызылорда облысы and Шығыс Қазақстан in KZ-1048.
    let values: [&[u8]; 2] = [
        b"\x8d\xfb\xe7\xfb\xeb\xee\xf0\xe4\xe0 \xee\xe1\xeb\xfb\xf1\xfb",
        b"\xd8\xfb\xba\xfb\xf1 \x8d\xe0\xe7\xe0\x9d\xf1\xf2\xe0\xed",
    ];
    for (language, cpg) in [(0xc9, None), (0, Some("1251")), (0xc9, Some("ANSI 1251"))] {
        let layer = only("roads.zip", &named_shapefile(language, cpg, 20, &values)).await;
        assert_eq!(
            (text(&layer, "name", 0).as_str(), text(&layer, "name", 1).as_str()),
            ("Қызылорда облысы", "Шығыс Қазақстан")
        );
        assert_eq!(layer.report.source_encoding.as_deref(), Some("KZ-1048"));
        assert_eq!(rules(&layer), ["text.encoding_contradicted"]);
    }
}

#[tokio::test]
async fn utf_8_that_a_field_cuts_in_a_letter_is_still_utf_8_and_said() {
    let values: [&[u8]; 3] = ["Қарағанды".as_bytes(), "Алматы".as_bytes(), &"Шымкентскі".as_bytes()[..19]];
    for (language, cpg) in [(0, None), (0, Some("UTF-8")), (0xc9, None)] {
        let layer = only("roads.zip", &named_shapefile(language, cpg, 19, &values)).await;
        assert_eq!((text(&layer, "name", 0).as_str(), text(&layer, "name", 2).as_str()), ("Қарағанды", "Шымкентск"));
        assert!(rules(&layer).contains(&"text.cut"), "{:?}", rules(&layer));
        assert_eq!(rules(&layer).contains(&"text.encoding_contradicted"), language == 0xc9);
    }
}

#[tokio::test]
async fn utf_8_under_another_declaration_of_the_publisher_is_refused_naming_both() {
    let adapter = Adapter::start(&[]).await;
    let dbf = named_shapefile(0, None, 20, &["Алматы".as_bytes()]);
    for (name, bytes) in [("a.csv", "id,атауы\n1,Әсел\n".as_bytes()), ("roads.zip", &dbf)] {
        let ask = Ask { encoding: Some("windows-1251".to_owned()), ..Ask::named(name) };
        let error = read(&adapter, &ask, bytes).await.expect_err("a contradiction");
        assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
        assert!(error.message().contains("UTF-8") && error.message().contains("windows-1251"), "{error}");
    }
}

#[tokio::test]
async fn an_xml_prolog_that_the_bytes_contradict_is_not_believed() {
    let kml = r#"<?xml version="1.0" encoding="windows-1251"?><kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><name>Қазақстан</name><Point><coordinates>76.9,43.2</coordinates></Point></Placemark></kml>"#;
    let layer = only("a.kml", kml.as_bytes()).await;
    assert_eq!((text(&layer, "name", 0).as_str(), rules(&layer)), ("Қазақстан", vec!["text.encoding_contradicted"]));
}

#[tokio::test]
async fn a_neutral_charset_of_mapinfo_with_utf_8_is_utf_8() {
    let mif = "Version 300\nCharset \"Neutral\"\nDelimiter \",\"\nCoordSys Earth Projection 1, 104\nColumns 2\n  Name Char(11)\n  Наименование_учреждения Char(20)\nData\n\nPoint 76.9 43.2\n    Symbol (35,0,12)\nPoint 76.9 43.2\n    Symbol (35,0,12)\n";
    let mid = "\"Қазақстан\",\"мектеп\"\n\"Ақтау\",\"\"\n";
    let layer = only("a.zip", &zip(&[("a.mif", mif.as_bytes()), ("a.mid", mid.as_bytes())])).await;
    assert_eq!(text(&layer, "name", 0), "Қазақстан");
    assert_eq!(text(&layer, "name", 1), "Ақтау");
    // However many bytes of a long name GDAL keeps.
    assert!(layer.schema.field(1).name().starts_with("naimenovanie_uc"), "{:?}", layer.schema);
    assert_eq!(layer.report.source_encoding.as_deref(), Some("UTF-8"));
}

#[tokio::test]
async fn a_shapefile_alone_and_a_table_alone_are_read() {
    let parts = shapefile(4);
    let adapter = Adapter::start(&[]).await;
    let ask = Ask { crs: Some("EPSG:4326".to_owned()), ..Ask::named("roads.shp") };
    let layers = read(&adapter, &ask, &parts[0].1).await.expect("shapes");
    assert_eq!((layers[0].rows(), layers[0].report.geometry_types["Point"]), (4, 4));
    let layers = read(&adapter, &Ask::named("roads.dbf"), &parts[2].1).await.expect("a table");
    assert_eq!((layers[0].rows(), text(&layers[0], "code", 3).as_str()), (4, "3"));
    assert_eq!(only("roads.zip", &shapefile_zip(&parts)).await.rows(), 4);
}

#[tokio::test]
async fn mapinfo_interchange_files_are_read_with_their_charset() {
    let mif = "Version 300\nCharset \"WindowsCyrillic\"\nDelimiter \",\"\nCoordSys Earth Projection 1, 104\nColumns 1\n  Name Char(20)\nData\n\nPoint 76.9 43.2\n    Symbol (35,0,12)\n";
    let mid = encoding_rs::WINDOWS_1251.encode("\"Алматы\"\n").0.into_owned();
    let layer = only("a.zip", &zip(&[("города.mif", mif.as_bytes()), ("города.mid", &mid)])).await;
    assert_eq!((layer.name.as_str(), text(&layer, "name", 0).as_str()), ("города", "Алматы"));
    assert_eq!(layer.report.source_encoding.as_deref(), Some("windows-1251"));
}

#[tokio::test]
async fn mapinfo_text_without_a_charset_is_utf8_where_all_of_it_is() {
    for charset in ["Charset \"Neutral\"\n", ""] {
        let mif = format!(
            "Version 300\n{charset}Delimiter \",\"\nCoordSys Earth Projection 1, 104\nColumns 1\n  Name Char(20)\nData\n\nPoint 76.9 43.2\n    Symbol (35,0,12)\n"
        );
        let members = [("a.mif", mif.as_bytes()), ("a.mid", "\"Әсел үйі\"\n".as_bytes())];
        let layer = only("a.zip", &zip(&members)).await;
        assert_eq!(text(&layer, "name", 0), "Әсел үйі", "{charset}: {:?}", layer.report.source_encoding);
    }
}

#[tokio::test]
async fn sequences_of_geojson_are_read_by_line_and_by_record_separator() {
    let feature = |i: u32| {
        format!(
            r#"{{"type":"Feature","properties":{{"i":{i},"tags":["a","ә"]}},"geometry":{{"type":"Point","coordinates":[76.{i},43]}}}}"#
        )
    };
    let lines = format!("{}\n{}\n", feature(1), feature(2));
    assert_eq!(only("a.geojsonl", lines.as_bytes()).await.rows(), 2);
    let layer = only("a.geojsons", format!("\u{1e}{}\n\u{1e}{}\n", feature(1), feature(2)).as_bytes()).await;
    assert_eq!((layer.rows(), layer.report.format.as_str()), (2, "GeoJSONSeq"));
    assert_eq!(text(&layer, "tags", 1), "[a, ә]");
}

#[tokio::test]
async fn gml_without_a_schema_keeps_leading_zeros_and_types_the_rest() {
    let member = |id: u32, code: &str, height: &str| {
        format!(
            r#"<ogr:featureMember><ogr:post gml:id="p{id}"><ogr:g><gml:Point srsName="urn:ogc:def:crs:EPSG::4326" gml:id="g{id}"><gml:pos>43 76</gml:pos></gml:Point></ogr:g><ogr:nomer>{code}</ogr:nomer><ogr:height>{height}</ogr:height></ogr:post></ogr:featureMember>"#
        )
    };
    let gml = format!(
        r#"<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="a">{}{}</ogr:FeatureCollection>"#,
        member(1, "007", "1.5"),
        member(2, "12", "2")
    );
    let layer = only("a.gml", gml.as_bytes()).await;
    assert_eq!((text(&layer, "nomer", 0).as_str(), text(&layer, "nomer", 1).as_str()), ("007", "12"));
    assert_eq!(layer.schema.field_with_name("height").expect("a column").data_type(), &DataType::Float64);
    assert!((layer.report.bbox.expect("a place").west - 76.0).abs() < 1e-12);
}

#[tokio::test]
async fn a_crs_that_nobody_knows_and_an_address_are_named_as_such() {
    let adapter = Adapter::start(&[]).await;
    for (crs, message) in [
        (r#"{"type":"name","properties":{"name":"EPSG:999999"}}"#, "crs that is not known"),
        (r#"{"type":"link","properties":{"href":"http://127.0.0.1:9/crs"}}"#, "address, which is not followed"),
    ] {
        let json = format!(
            r#"{{"type":"FeatureCollection","crs":{crs},"features":[{{"type":"Feature","properties":{{}},"geometry":{{"type":"Point","coordinates":[76,43]}}}}]}}"#
        );
        let error = read(&adapter, &Ask::named("a.geojson"), json.as_bytes()).await.expect_err("refused");
        assert!(error.kind() == ErrorKind::InvalidData && error.message().contains(message), "{error}");
    }
}

#[tokio::test]
async fn days_before_1970_and_impossible_ones_are_read_as_they_are() {
    let feature = |day: &str| {
        format!(
            r#"{{"type":"Feature","properties":{{"day":"{day}"}},"geometry":{{"type":"Point","coordinates":[76,43]}}}}"#
        )
    };
    let days = ["1969-12-31", "1950-02-28", "1970-01-01", "2024-02-29"];
    let features = days.map(feature).join(",");
    let json = format!(r#"{{"type":"FeatureCollection","features":[{features}]}}"#);
    let layer = only("a.geojson", json.as_bytes()).await;
    let read: Vec<String> = (0..days.len()).map(|row| text(&layer, "day", row)).collect();
    assert_eq!(read, days);
}

#[tokio::test]
async fn times_with_offsets_are_instants_and_stay_text_beside_others_without() {
    let feature =
        |a: &str, b: &str| format!(r#"{{"type":"Feature","properties":{{"a":"{a}","b":"{b}"}},"geometry":null}}"#);
    let features = [
        feature("2024-03-01T00:00:00+05:00", "2024-03-01T00:00:00+05:00"),
        feature("1950-01-01T00:00:00Z", "2024-03-01T00:00:00"),
    ];
    let json = format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","));
    let layer = only("a.geojson", json.as_bytes()).await;
    assert_eq!(text(&layer, "a", 0), "2024-02-29T19:00:00Z");
    assert_eq!(text(&layer, "a", 1), "1950-01-01T00:00:00Z");
    assert_eq!(text(&layer, "b", 0), "2024-03-01T00:00:00+05:00");
    assert_eq!(text(&layer, "b", 1), "2024-03-01T00:00:00");
    assert!(layer.rules().contains(&"geojson.mixed_offsets"), "{:?}", layer.rules());
}

#[tokio::test]
async fn a_line_that_is_no_feature_is_not_left_out_in_silence() {
    let adapter = Adapter::start(&[]).await;
    let feature = r#"{"type":"Feature","properties":{"a":1},"geometry":{"type":"Point","coordinates":[76,43]}}"#;
    let lines = format!("{feature}\n{{\"a\":1}}\n{feature}\n");
    let error = read(&adapter, &Ask::named("a.geojsonl"), lines.as_bytes()).await.expect_err("refused");
    assert!(error.kind() == ErrorKind::InvalidData && error.message().contains("3 values, of which 2"), "{error}");
}

#[tokio::test]
async fn arcs_become_lines_and_the_report_says_so() {
    let gml = r#"<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="a"><ogr:featureMember><ogr:arc gml:id="b"><ogr:geometryProperty><gml:Curve srsName="urn:ogc:def:crs:OGC:1.3:CRS84" gml:id="c"><gml:segments><gml:Arc><gml:posList>76 43 76.5 43.5 77 43</gml:posList></gml:Arc></gml:segments></gml:Curve></ogr:geometryProperty><ogr:id>1</ogr:id></ogr:arc></ogr:featureMember></ogr:FeatureCollection>"#;
    let layer = only("a.gml", gml.as_bytes()).await;
    assert_eq!(layer.report.geometry_types.keys().collect::<Vec<_>>(), ["LineString"]);
    assert!(layer.rules().contains(&"geometry.linearized"), "{:?}", layer.rules());
    let bbox = layer.report.bbox.expect("a place");
    assert!((bbox.north - 43.5).abs() < 0.001 && (bbox.west - 76.0).abs() < 1e-9, "{bbox:?}");
}

pub(crate) fn point(x: f64, y: f64) -> Vec<u8> {
    [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat()
}

/// A batch with nested, dictionary and nanosecond columns, and two geometries.
fn rich() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Int64, true)),
        Arc::new(Int64Array::from(vec![5, 6])) as ArrayRef,
    )]);
    let wkb = [point(76.0, 43.0), point(77.0, 44.0)];
    let wkb = || Arc::new(BinaryArray::from_iter_values(&wkb)) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("kind", Arc::new(["x", "y"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("time", Arc::new(TimestampNanosecondArray::from(vec![1_000, 2_000_000]))),
        ("list", Arc::new(list)),
        ("inner", Arc::new(inner)),
        ("name", Arc::new(StringArray::from(vec!["Ақтау", ""]))),
        ("geom", wkb()),
        ("entrance", wkb()),
    ];
    RecordBatch::try_from_iter(columns).expect("valid")
}

#[tokio::test]
async fn geoparquet_keeps_nested_types_and_its_second_geometry() {
    let geo = r#"{"version":"1.1.0","primary_column":"geom","columns":{"geom":{"encoding":"WKB","geometry_types":[]},"entrance":{"encoding":"WKB","geometry_types":[],"crs":null}}}"#;
    let rows = rich();
    let metadata = HashMap::from([("geo".to_owned(), geo.to_owned())]);
    let schema = Arc::new(Schema::new_with_metadata(rows.schema().fields().clone(), metadata));
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_key_value_metadata(Some(vec![parquet::file::metadata::KeyValue::new("geo".to_owned(), geo.to_owned())]))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, Arc::clone(&schema), Some(properties)).expect("begins");
    writer.write(&rows.with_schema(schema).expect("the same columns")).expect("writes");
    writer.close().expect("ends");
    let layer = only("a.parquet", &bytes).await;
    assert_eq!((layer.rows(), layer.report.geometry_types["Point"]), (2, 2));
    assert_eq!((text(&layer, "kind", 1).as_str(), text(&layer, "name", 0).as_str()), ("y", "Ақтау"));
    assert_eq!(layer.schema.field_with_name("entrance").expect("kept").data_type(), &DataType::Binary);
    assert_eq!(text(&layer, "list", 0), "[1, ]");
    assert_eq!(layer.report.source_crs.as_deref(), Some("OGC:CRS84"));
}

#[tokio::test]
async fn an_arrow_file_is_read_with_its_extension_types() {
    let rows = rich();
    let fields: Vec<Field> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "geom" => field.as_ref().clone().with_metadata(HashMap::from([
                ("ARROW:extension:name".to_owned(), "geoarrow.wkb".to_owned()),
                ("ARROW:extension:metadata".to_owned(), r#"{"crs":"EPSG:4326"}"#.to_owned()),
            ])),
            _ => field.as_ref().clone(),
        })
        .collect();
    let rows = rows.with_schema(Arc::new(Schema::new(fields))).expect("the same columns");
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), rows.schema_ref()).expect("begins");
    writer.write(&rows).expect("writes");
    let bytes = writer.into_inner().expect("ends");
    let layer = only("a.arrow", &bytes).await;
    assert_eq!((layer.rows(), layer.report.source_crs.as_deref()), (2, Some("EPSG:4326")));
    assert_eq!(layer.report.format, "Arrow IPC file");
}

pub(crate) fn arrow_file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns.iter().cloned()).expect("valid");
    let mut writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), rows.schema_ref()).expect("begins");
    writer.write(&rows).expect("writes");
    writer.into_inner().expect("ends")
}

pub(crate) fn parquet_file(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns.iter().cloned()).expect("valid");
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, rows.schema(), None).expect("begins");
    writer.write(&rows).expect("writes");
    writer.close().expect("ends");
    bytes
}

#[tokio::test]
async fn digits_that_are_cut_off_times_are_counted() {
    let columns: [(&str, ArrayRef); 3] = [
        ("time", Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001]))),
        ("clock", Arc::new(Time64NanosecondArray::from(vec![2_001, 2_000]))),
        ("day", Arc::new(Date64Array::from(vec![86_400_000, 86_400_001]))),
    ];
    for (name, bytes) in [("a.arrow", arrow_file(&columns)), ("a.parquet", parquet_file(&columns[..2]))] {
        let layer = only(name, &bytes).await;
        let found = layer.report.diagnostics.iter().find(|found| found.rule == "types.precision").expect("counted");
        let expected = if name == "a.arrow" { 3 } else { 2 };
        assert_eq!((found.count, found.examples[0].row), (expected, Some(1)), "{name}");
    }
    let layer = only("a.arrow", &arrow_file(&columns)).await;
    assert_eq!(layer.schema.field(2).data_type(), &DataType::Date32);
    assert_eq!(text(&layer, "time", 1), "1970-01-01T00:00:00.000001");
}

#[tokio::test]
async fn times_that_do_not_fit_microseconds_are_an_error_and_no_null() {
    let adapter = Adapter::start(&[]).await;
    for (name, column) in [
        ("far", Arc::new(TimestampSecondArray::from(vec![i64::MAX])) as ArrayRef),
        ("day", Arc::new(Date64Array::from(vec![i64::MAX]))),
    ] {
        let bytes = arrow_file(&[(name, column)]);
        let error = read(&adapter, &Ask::named("a.arrow"), &bytes).await.map(|_| ()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains(&format!("column \"{name}\"")), "{error}");
    }
}

#[tokio::test]
async fn bytes_named_as_a_geometry_are_one_if_all_are_wkb() {
    let adapter = Adapter::start(&[]).await;
    let wkb = [point(76.0, 43.0), point(77.0, 44.0)];
    let places: ArrayRef = Arc::new(BinaryArray::from_iter([None, Some(&wkb[0]), Some(&wkb[1])]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    for column in ["geometry", "geom", "wkb", "the_geom"] {
        let columns = [("name", Arc::clone(&names)), (column, Arc::clone(&places))];
        for (name, bytes) in [("a.arrow", arrow_file(&columns)), ("a.parquet", parquet_file(&columns))] {
            let error = read(&adapter, &Ask::named(name), &bytes).await.map(|_| ()).expect_err("no CRS");
            assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
            let ask = Ask { crs: Some("EPSG:4326".to_owned()), ..Ask::named(name) };
            let layers = read(&adapter, &ask, &bytes).await.expect(name);
            assert_eq!((layers[0].rows(), layers[0].report.geometry_types["Point"]), (3, 2), "{name}");
            assert!(layers[0].rules().contains(&"read.geometry_by_name"), "{:?}", layers[0].rules());
        }
    }
    let other: ArrayRef = Arc::new(BinaryArray::from_iter_values([&wkb[0][..], &[1, 1, 0]]));
    let layer = only("a.arrow", &arrow_file(&[("geom", other)])).await;
    assert_eq!(layer.report.geometry_types.len(), 0);
    let note = layer.report.diagnostics.iter().find(|found| found.rule == "geometry.none").expect("a note");
    assert!(note.message.contains("binary values"), "{}", note.message);
}

#[tokio::test]
async fn a_declared_encoding_and_crs_reach_the_rules() {
    let adapter = Adapter::start(&[]).await;
    let ask = Ask { encoding: Some("UTF-8".to_owned()), crs: Some("EPSG:4326".to_owned()), ..Ask::named("a.geojson") };
    let layers = read(&adapter, &ask, &geojson(3)).await.expect("rows");
    assert_eq!(text(&layers[0], "name", 2), "үй 2");
    let ask = Ask { encoding: Some("no-such".to_owned()), ..Ask::named("a.geojson") };
    let error = read(&adapter, &ask, &geojson(3)).await.map(|_| ()).expect_err("an unknown label");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("no-such"), "{error}");
}
