//! `TopoJSON` and Esri JSON: every geometry and every value, or a word about what is missing.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use arrow_array::{Array, cast::AsArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, TimeUnit};
use ukimet_model::{Error, ErrorKind};

fn text(layer: &ReadLayer, column: &str, row: usize) -> String {
    let position = layer.schema.index_of(column).expect(column);
    let column = layer.batches[0].column(position);
    if column.is_null(row) { "∅".to_owned() } else { array_value_to_string(column, row).expect("shown") }
}

fn wkb(layer: &ReadLayer, row: usize) -> Vec<u8> {
    let at = layer.schema.fields().iter().position(|field| field.data_type() == &DataType::Binary).expect("one");
    layer.batches[0].column(at).as_binary::<i32>().value(row).to_vec()
}

async fn refused(name: &str, bytes: &[u8]) -> Error {
    let adapter = Adapter::start(&[]).await;
    read(&adapter, &Ask::named(name), bytes).await.map(|_| ()).expect_err(name)
}

const TOPOLOGY: &str = r#"{"type":"Topology","transform":{"scale":[0.01,0.02],"translate":[70,40]},
"crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}},
"objects":{"аудандар":{"type":"GeometryCollection","geometries":[
{"type":"Polygon","id":"007","properties":{"zeta":"Аудан","alpha":1},"arcs":[[0]]},
{"type":"MultiPolygon","properties":{"zeta":"B"},"arcs":[[[0]],[[2]]]},
{"type":null,"properties":{"zeta":"none"}},
{"type":"GeometryCollection","properties":{"zeta":"nest"},"geometries":[{"type":"Point","coordinates":[10,10]},{"type":"LineString","arcs":[1]}]}]},
"places":{"type":"MultiPoint","coordinates":[[100,50],[0,0]],"properties":{"name":"P"}},
"roads":{"type":"LineString","arcs":[-2],"properties":{"name":"R"}}},
"arcs":[[[0,0],[100,0],[0,100],[-100,0],[0,-100]],[[5,5],[10,10],[20,0]],[[200,200],[50,0],[0,50],[-50,-50]]]}"#;

#[tokio::test]
async fn every_geometry_of_a_quantized_topology_becomes_a_row_of_its_object() {
    let adapter = Adapter::start(&[]).await;
    let layers = read(&adapter, &Ask::named("a.topojson"), TOPOLOGY.as_bytes()).await.expect("a topology");
    let names: Vec<(&str, usize)> = layers.iter().map(|layer| (layer.name.as_str(), layer.rows())).collect();
    assert_eq!(names, [("аудандар", 4), ("places", 1), ("roads", 1)]);
    let types = &layers[0].report.geometry_types;
    assert_eq!((types["Polygon"], types["MultiPolygon"], types["GeometryCollection"]), (1, 1, 1));
    assert_eq!(layers[0].report.geometry_nulls, 1);
    assert_eq!((text(&layers[0], "id", 0), text(&layers[0], "zeta", 3)), ("007".to_owned(), "nest".to_owned()));
    // The road is arc 1 backwards: it begins where the arc ends, at 35, 15.
    let road = wkb(&layers[2], 0);
    assert_eq!(road[9..17], (35.0 * 0.01 + 70.0_f64).to_le_bytes());
    assert_eq!(road[17..25], (15.0 * 0.02 + 40.0_f64).to_le_bytes());
    assert_eq!(layers[0].report.format, "TopoJSON");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn broken_topologies_are_refused() {
    for (from, to, kind, part) in [
        ("[[0]]},", "[[9]]},", ErrorKind::InvalidData, "arc 9"),
        ("\"arcs\":[-2]", "\"arcs\":[[-2]]", ErrorKind::InvalidData, "whole"),
        ("[5,5]", "[5]", ErrorKind::InvalidData, "two numbers"),
        ("\"MultiPoint\"", "\"Circle\"", ErrorKind::InvalidData, "Circle"),
        ("\"coordinates\":[[100,50],[0,0]]", "\"coordinates\":[100,50]", ErrorKind::InvalidData, "nested"),
        ("\"crs\"", "\"no-crs\"", ErrorKind::Undeclared, "crs"),
    ] {
        let changed = TOPOLOGY.replacen(from, to, 1);
        let error = refused("a.topojson", changed.as_bytes()).await;
        assert!(error.kind() == kind && error.to_string().contains(part), "{from}: {error}");
    }
    let error = refused("a.topojson", &TOPOLOGY.as_bytes()[..TOPOLOGY.len() - 2]).await;
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
}

#[tokio::test]
async fn a_topology_that_repeats_an_arc_without_end_is_a_bomb() {
    let arc: Vec<String> = (0..20_000).map(|i| format!("[{},{}]", i % 100, i % 50)).collect();
    let lines = vec![r#"{"type":"LineString","arcs":[0]}"#; 2_000].join(",");
    let bomb = format!(
        r#"{{"type":"Topology","objects":{{"a":{{"type":"GeometryCollection","geometries":[{lines}]}}}},"arcs":[[{}]]}}"#,
        arc.join(",")
    );
    assert_eq!(refused("a.topojson", bomb.as_bytes()).await.kind(), ErrorKind::LimitReached);
}

const FEATURES: &str = r#"{"fieldAliases":{"name":"n"},"geometryType":"esriGeometryPolygon","spatialReference":{"wkid":102100,"latestWkid":3857},
"fields":[{"name":"OBJECTID","type":"esriFieldTypeOID"},{"name":"name","type":"esriFieldTypeString","length":50},{"name":"day","type":"esriFieldTypeDate"},{"name":"big","type":"esriFieldTypeBigInteger"},{"name":"odd","type":"esriFieldTypeDate"}],
"features":[{"attributes":{"OBJECTID":1,"name":"007","day":1577934245123,"big":9007199254740993,"odd":"2020"},"geometry":{"rings":[[[0,0],[0,10000],[10000,10000],[10000,0],[0,0]],[[2000,2000],[4000,2000],[4000,4000],[2000,4000],[2000,2000]],[[20000,20000],[20000,30000],[30000,30000],[30000,20000],[20000,20000]]]}},
{"attributes":{"OBJECTID":2,"name":null,"day":null,"big":null,"odd":"soon"},"geometry":null},
{"attributes":{"OBJECTID":3,"name":"c","day":-1,"big":-1,"odd":null},"geometry":{"xmin":1,"ymin":2,"xmax":3,"ymax":4}}]CUT}"#;

#[tokio::test]
async fn esri_json_keeps_dates_large_numbers_and_says_what_the_service_cut() {
    let adapter = Adapter::start(&[]).await;
    let json = FEATURES.replace("CUT", ",\"exceededTransferLimit\":true");
    let layers = read(&adapter, &Ask::named("a.json"), json.as_bytes()).await.expect("features");
    let layer = &layers[0];
    assert_eq!((layer.rows(), layer.report.geometry_nulls, layer.report.geometry_types["MultiPolygon"]), (3, 2, 1));
    assert_eq!((text(layer, "name", 0).as_str(), text(layer, "big", 0).as_str()), ("007", "9007199254740993"));
    assert_eq!(
        (text(layer, "day", 0).as_str(), text(layer, "day", 2).as_str()),
        ("2020-01-02T03:04:05.123Z", "1969-12-31T23:59:59.999Z")
    );
    let day = layer.schema.field_with_name("day").expect("a column").data_type().clone();
    assert_eq!(day, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert_eq!(text(layer, "odd", 1), "soon");
    for rule in ["esri.transfer_limit", "esri.geometry_left_out", "esri.misfit"] {
        assert!(layer.rules().contains(&rule), "{rule}: {:?}", layer.rules());
    }
    let whole = read(&adapter, &Ask::named("a.json"), FEATURES.replace("CUT", "").as_bytes()).await.expect("features");
    assert!(!whole[0].rules().contains(&"esri.transfer_limit"));
}

#[tokio::test]
async fn esri_curves_are_refused_with_what_to_ask_for() {
    let json = FEATURES.replace("CUT", "").replace("\"rings\"", "\"curveRings\"");
    let error = refused("a.json", json.as_bytes()).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("returnTrueCurves=false"), "{error}");
}
