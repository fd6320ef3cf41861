//! KML and GML: what their readers leave out or rename.

use crate::formats::{only, text};
use crate::geojson::found;

#[tokio::test]
async fn data_of_kml_keep_their_names_and_links_are_told() {
    let kml = r#"<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><NetworkLink><Link><href>http://127.0.0.1:9/a.kml</href></Link></NetworkLink><Placemark><name>a</name><ExtendedData><Data name="Атауы"><value>Әсел</value></Data><Data name="Мәтін"><value>х</value></Data><Data name="b"><value>1</value></Data></ExtendedData><Point><coordinates>76,43</coordinates></Point></Placemark></Document></kml>"#;
    let layer = only("a.kml", kml.as_bytes()).await;
    assert_eq!(["atauy", "matin", "b"].map(|column| text(&layer, column, 0)), ["Әсел", "х", "1"]);
    assert_eq!(found(&layer, "kml.network_link").examples[0].found, "1 NetworkLink");
}

#[tokio::test]
async fn typed_data_that_no_schema_declares_are_kept_as_text() {
    let kml = r##"<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Schema name="width" id="s"><SimpleField name="a" type="int"/></Schema><Placemark/><Placemark><name>x</name><ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="a">1</SimpleData><SimpleData name="b">2</SimpleData><SimpleData name="Атауы">Әсел</SimpleData></SchemaData></ExtendedData><Point><coordinates>76,43</coordinates></Point></Placemark></Document></kml>"##;
    let layer = only("a.kml", kml.as_bytes()).await;
    assert_eq!(["a", "b", "atauy"].map(|column| text(&layer, column, 1)), ["1", "2", "Әсел"]);
    assert_eq!(found(&layer, "kml.undeclared_data_kept").count, 2);
}

#[tokio::test]
async fn references_and_second_geometries_of_gml_are_told() {
    let point = |id: &str| {
        format!(
            r#"<gml:Point srsName="urn:ogc:def:crs:OGC:1.3:CRS84" gml:id="{id}"><gml:pos>76 43</gml:pos></gml:Point>"#
        )
    };
    let gml = format!(
        r##"<ogr:FeatureCollection xmlns:ogr="http://ogr.maptools.org/" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="a"><ogr:featureMember><ogr:a gml:id="b1"><ogr:g>{}</ogr:g><ogr:h>{}</ogr:h><ogr:id>1</ogr:id></ogr:a></ogr:featureMember><ogr:featureMember><ogr:a gml:id="b2"><ogr:g xlink:href="#c"/><ogr:id>2</ogr:id></ogr:a></ogr:featureMember></ogr:FeatureCollection>"##,
        point("c"),
        point("d")
    );
    let layer = only("a.gml", gml.as_bytes()).await;
    assert_eq!(found(&layer, "gml.several_geometries").examples[0].found, "2 geometries in feature b1");
    assert_eq!(found(&layer, "gml.reference").examples[0].found, "#c");
}
