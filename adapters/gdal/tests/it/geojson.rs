//! GeoJSON: every value as it was written, or a word about it.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::formats::{only, text};
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use ukimet_model::{Diagnostic, ErrorKind};

fn collection(features: &[&str]) -> Vec<u8> {
    format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",")).into_bytes()
}

fn feature(properties: &str) -> String {
    format!(r#"{{"type":"Feature","properties":{properties},"geometry":{{"type":"Point","coordinates":[76,43]}}}}"#)
}

async fn with_properties(properties: &[&str]) -> ReadLayer {
    let features: Vec<String> = properties.iter().map(|properties| feature(properties)).collect();
    only("a.geojson", &collection(&features.iter().map(String::as_str).collect::<Vec<_>>())).await
}

pub(crate) fn found<'a>(layer: &'a ReadLayer, rule: &str) -> &'a Diagnostic {
    let found = layer.report.diagnostics.iter().find(|found| found.rule == rule);
    found.unwrap_or_else(|| panic!("{rule} is not among {:?}", layer.rules()))
}

fn data_type<'a>(layer: &'a ReadLayer, column: &str) -> &'a DataType {
    layer.schema.field_with_name(column).expect(column).data_type()
}

#[tokio::test]
async fn items_that_are_no_features_are_told() {
    let layer = only("a.geojson", &collection(&[&feature(r#"{"a":1}"#), "null", "7", &feature(r#"{"a":2}"#)])).await;
    assert_eq!((layer.rows(), text(&layer, "a", 1).as_str()), (2, "2"));
    let told = found(&layer, "geojson.not_a_feature");
    assert_eq!((told.count, told.examples[0].row, told.examples[0].found.as_str()), (2, None, "null"), "it has no row");
}

#[tokio::test]
async fn a_geometry_that_cannot_be_read_is_null_and_told() {
    for damaged in [
        r#"{"type":"Circle","coordinates":[76,43]}"#,
        r#"{"type":"Point","coordinates":[76]}"#,
        r#"{"type":"Point","coordinates":[NaN,43]}"#,
        r#"{"type":"Point","coordinates":[1e400,43]}"#,
        r#"{"type":"LineString","coordinates":[[76,43],[77,"44"]]}"#,
        r#"{"type":"Point"}"#,
        "7",
    ] {
        let damaged = format!(r#"{{"type":"Feature","properties":{{"a":2}},"geometry":{damaged}}}"#);
        let layer = only("a.geojson", &collection(&[&feature(r#"{"a":1}"#), &damaged])).await;
        let told = found(&layer, "geojson.geometry_unreadable");
        assert_eq!((layer.rows(), told.count, told.examples[0].row), (2, 1, Some(1)), "{damaged}");
        assert_eq!(layer.report.geometry_nulls, 1);
    }
}

#[tokio::test]
async fn numbers_that_no_column_keeps_are_text() {
    let layer = with_properties(&[
        r#"{"wide":9007199254740993,"far":1e400,"huge":18446744073709551615,"kind":true,"long":9007199254740993}"#,
        r#"{"wide":1.5,"far":1,"huge":1,"kind":7,"long":1}"#,
    ])
    .await;
    assert_eq!((text(&layer, "wide", 0).as_str(), text(&layer, "wide", 1).as_str()), ("9007199254740993", "1.5"));
    assert_eq!((text(&layer, "far", 0).as_str(), text(&layer, "huge", 0).as_str()), ("1e400", "18446744073709551615"));
    assert_eq!((text(&layer, "kind", 0).as_str(), text(&layer, "kind", 1).as_str()), ("true", "7"));
    assert_eq!((data_type(&layer, "long"), text(&layer, "long", 0).as_str()), (&DataType::Int64, "9007199254740993"));
    assert_eq!((found(&layer, "geojson.wide_number").count, found(&layer, "geojson.mixed_kinds").count), (3, 1));
}

#[tokio::test]
async fn a_number_that_is_none_stays_one_and_is_told() {
    let layer = with_properties(&[r#"{"a":NaN}"#, r#"{"a":1.5}"#]).await;
    assert_eq!((data_type(&layer, "a"), text(&layer, "a", 0).as_str()), (&DataType::Float64, "NaN"));
    assert_eq!(found(&layer, "geojson.not_a_number").examples[0].field.as_deref(), Some("a"));
}

#[tokio::test]
async fn identifiers_of_features_are_a_column_of_their_own() {
    let feature =
        |id: &str, own: &str| format!(r#"{{"type":"Feature","id":{id},"properties":{{{own}"b":1}},"geometry":null}}"#);
    let read = async |a: String, b: String| only("a.geojson", &collection(&[&a, &b])).await;
    let layer = read(feature("7", r#""id":"x","#), feature("8", r#""id":"y","#)).await;
    assert_eq!((text(&layer, "feature_id", 1).as_str(), text(&layer, "id", 1).as_str()), ("8", "y"));
    let layer = read(feature("7", ""), feature("8", "")).await;
    assert_eq!(text(&layer, "id", 1), "8");
    let layer = read(feature("\"x\"", r#""id":"x","#), feature("\"y\"", r#""id":"y","#)).await;
    assert!(layer.schema.field_with_name("feature_id").is_err(), "it only repeats the property");
}

#[tokio::test]
async fn text_is_kept_to_its_last_letter() {
    let layer = with_properties(&[
        r#"{"nul":"a\u0000b","twice":1,"twice":2,"nested":{ "б": [1, {"c":null}] },"half":"\ud83d","list":[1,"a"]}"#,
    ])
    .await;
    assert_eq!((text(&layer, "nul", 0).as_str(), found(&layer, "text.control").count), ("ab", 1));
    assert_eq!((text(&layer, "twice", 0).as_str(), found(&layer, "geojson.repeated_name").count), ("2", 1));
    assert_eq!(text(&layer, "nested", 0), r#"{ "б": [1, {"c":null}] }"#);
    assert_eq!(text(&layer, "list", 0), r#"[1,"a"]"#);
    assert_eq!(found(&layer, "geojson.nested").count, 2);
    assert_eq!((text(&layer, "half", 0).as_str(), found(&layer, "geojson.half_letter").count), ("\u{fffd}", 1));
}

#[tokio::test]
async fn positions_beyond_three_numbers_and_missing_heights_are_told() {
    let line = r#"{"type":"Feature","properties":{},"geometry":{"bbox":[1,2,3,4],"type":"LineString","coordinates":[[76,43,5,99],[77,44]]}}"#;
    let layer = only("a.geojson", &collection(&[line])).await;
    assert_eq!(found(&layer, "geojson.long_position").count, 1);
    assert_eq!(found(&layer, "geojson.missing_height").count, 1);
    let wkb = layer.batches[0].column(layer.batches[0].num_columns() - 1).as_binary::<i32>().value(0).to_vec();
    assert_eq!(wkb.len(), 9 + 2 * 24);
}

#[tokio::test]
async fn other_encodings_are_decoded() {
    let json = collection(&[&feature(r#"{"атауы":"Әсел"}"#)]);
    let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    for bytes in [
        format!("\u{feff}{}", text_of(&json)).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        format!("\u{feff}{}", text_of(&json)).encode_utf16().flat_map(u16::to_be_bytes).collect(),
        text_of(&json).encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ] {
        let layer = only("a.geojson", &bytes).await;
        assert_eq!(text(&layer, "atauy", 0), "Әсел");
    }
}

#[tokio::test]
async fn the_crs_of_2008_is_taken_in_each_of_its_forms() {
    for (crs, expected) in [
        (r#"{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::32643"}}"#, "EPSG:32643"),
        (r#"{"type":"name","properties":{"name":"EPSG:32643"}}"#, "EPSG:32643"),
        (r#"{"type":"EPSG","properties":{"code":32643}}"#, "EPSG:32643"),
        (r#"{"type":"name","properties":{"name":"http://www.opengis.net/def/crs/EPSG/0/32643"}}"#, "EPSG:32643"),
    ] {
        let json = format!(
            r#"{{"features":[{{"type":"Feature","properties":{{}},"geometry":{{"type":"Point","coordinates":[500000,4800000]}}}}],"crs":{crs},"type":"FeatureCollection"}}"#
        );
        let layer = only("a.geojson", json.as_bytes()).await;
        assert_eq!(layer.report.source_crs.as_deref(), Some(expected), "{crs}");
    }
    let adapter = Adapter::start(&[]).await;
    let json = br#"{"type":"FeatureCollection","crs":null,"features":[{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[5000000,48]}}]}"#;
    let error = read(&adapter, &Ask::named("a.geojson"), json).await.map(|_| ()).expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::Undeclared, "{error}");
}

#[tokio::test]
async fn members_beside_the_properties_are_told_or_are_the_attributes() {
    let with = r#"{"type":"Feature","style":"red","properties":{"a":1},"geometry":null}"#;
    let layer = only("a.geojson", &collection(&[with])).await;
    assert_eq!(found(&layer, "geojson.feature_members").examples[0].field.as_deref(), Some("style"));
    let without = r#"{"type":"Feature","style":"red","geometry":null}"#;
    assert_eq!(text(&only("a.geojson", &collection(&[without])).await, "style", 0), "red");
}

#[tokio::test]
async fn nesting_is_kept_and_text_behind_the_collection_is_refused() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let layer = with_properties(&[&format!(r#"{{"a":{deep}}}"#)]).await;
    assert_eq!(text(&layer, "a", 0).len(), 200);
    let adapter = Adapter::start(&[]).await;
    let twice = [collection(&[&feature("{}")]), collection(&[&feature("{}")])].concat();
    let error = read(&adapter, &Ask::named("a.geojson"), &twice).await.map(|_| ()).expect_err("two");
    assert!(error.message().contains("more text behind it"), "{error}");
}
