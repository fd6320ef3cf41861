//! GPX and OpenStreetMap files: layers, values and geometry kept, broken ones refused.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::protobuf::{field, varint};
use arrow_array::{Array, cast::AsArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, TimeUnit};
use ukimet_model::ErrorKind;

fn text(layer: &ReadLayer, column: &str, row: usize) -> String {
    let position = layer.schema.index_of(column).expect(column);
    let column = layer.batches[0].column(position);
    if column.is_null(row) { "∅".to_owned() } else { array_value_to_string(column, row).expect("shown") }
}

fn names(layers: &[ReadLayer]) -> Vec<(&str, usize)> {
    layers.iter().map(|layer| (layer.name.as_str(), layer.rows())).collect()
}

/// The WKB type number of a row's geometry and its first coordinates, as they lie at `at`.
fn wkb(layer: &ReadLayer, row: usize) -> Vec<u8> {
    let position = layer.schema.fields().iter().position(|field| field.data_type() == &DataType::Binary).expect("one");
    layer.batches[0].column(position).as_binary::<i32>().value(row).to_vec()
}

const GPX: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1">
<wpt lat="43.25" lon="76.9"><ele>850.5</ele><time>2024-05-01T10:00:00+05:00</time><name>Шыңбұлақ</name></wpt>
<rte><name>R</name><rtept lat="43.1" lon="76.8"><ele>1</ele></rtept><rtept lat="43.2" lon="76.9"><ele>2</ele></rtept></rte>
<trk><name>T</name><trkseg><trkpt lat="43.2" lon="76.9"><ele>700</ele><time>2024-05-01T05:00:00Z</time></trkpt>
<trkpt lat="43.3" lon="77"><ele>701.25</ele><time>2024-05-01T05:00:10Z</time></trkpt></trkseg>
<trkseg><trkpt lat="43.4" lon="77.1"><ele>3</ele></trkpt><trkpt lat="43.5" lon="77.2"><ele>4</ele></trkpt></trkseg></trk>
</gpx>"#;

#[tokio::test]
async fn a_gpx_keeps_elevations_times_and_segments() {
    let adapter = Adapter::start(&[]).await;
    let layers = read(&adapter, &Ask::named("walk.gpx"), GPX.as_bytes()).await.expect("GPX");
    let expected = [("waypoints", 1), ("routes", 1), ("tracks", 1), ("route_points", 2), ("track_points", 4)];
    assert_eq!(names(&layers), expected);
    assert_eq!((text(&layers[0], "name", 0), text(&layers[0], "ele", 0)), ("Шыңбұлақ".to_owned(), "850.5".to_owned()));
    assert_eq!(text(&layers[0], "time", 0), "2024-05-01T05:00:00Z");
    let point = wkb(&layers[0], 0);
    assert_eq!(point[21..29], 850.5_f64.to_le_bytes());
    assert_eq!(layers[2].report.geometry_types.keys().collect::<Vec<_>>(), ["MultiLineString"]);
    let segments: Vec<String> = (0..4).map(|row| text(&layers[4], "track_seg_id", row)).collect();
    assert_eq!(segments, ["0", "0", "1", "1"]);
    assert_eq!(text(&layers[4], "time", 1), "2024-05-01T05:00:10Z");
    assert_eq!(layers[0].report.source_crs.as_deref(), Some("EPSG:4326"));
}

#[tokio::test]
async fn a_gpx_with_waypoints_alone_is_one_layer() {
    let adapter = Adapter::start(&[]).await;
    let gpx = r#"<gpx version="1.0" creator="a"><wpt lat="43" lon="76"><name>a</name></wpt></gpx>"#;
    let mut ask = Ask::named("a.gpx");
    ask.all_layers = false;
    let layers = read(&adapter, &ask, gpx.as_bytes()).await.expect("one layer needs no choice");
    assert_eq!(names(&layers), [("waypoints", 1)]);
}

#[tokio::test]
async fn a_broken_gpx_is_refused() {
    let adapter = Adapter::start(&[]).await;
    for end in [GPX.len() - 10, GPX.len() / 2, 420] {
        let end = (end..end + 4).find(|end| GPX.is_char_boundary(*end)).expect("one");
        let error = read(&adapter, &Ask::named("a.gpx"), &GPX.as_bytes()[..end]).await.map(|_| ()).expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{end}: {error}");
    }
    let empty = r#"<gpx version="1.1" creator="a"><metadata/></gpx>"#;
    let error = read(&adapter, &Ask::named("a.gpx"), empty.as_bytes()).await.map(|_| ()).expect_err("no rows");
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    let dtd = r#"<!DOCTYPE gpx SYSTEM "x"><gpx version="1.1" creator="a"/>"#;
    let error = read(&adapter, &Ask::named("a.gpx"), dtd.as_bytes()).await.map(|_| ()).expect_err("a DTD");
    assert!(error.to_string().contains("DTD"), "{error}");
}

const OSM: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<osm version="0.6" generator="test">
<node id="1" version="3" timestamp="2020-01-02T03:04:05Z" lat="43.1" lon="76.1"><tag k="source" v="a &quot;b&quot;"/></node>
<node id="2" version="1" timestamp="2020-01-02T03:04:05Z" lat="43.1" lon="76.2"/>
<node id="3" version="1" timestamp="2020-01-02T03:04:05Z" lat="43.2" lon="76.2"/>
<node id="4" version="1" timestamp="2020-01-02T03:04:05Z" lat="43.2" lon="76.1"><tag k="name" v="Шам"/><tag k="note" v="x"/><tag k="addr:street" v="Абай"/></node>
<way id="10" version="1" timestamp="2020-01-02T03:04:05Z"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="path"/><tag k="created_by" v="me"/></way>
<way id="11" version="1" timestamp="2020-01-02T03:04:05Z"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/><tag k="building" v="yes"/></way>
<relation id="20" version="1" timestamp="2020-01-02T03:04:05Z"><member type="way" ref="10" role=""/><tag k="type" v="route"/></relation>
<relation id="21" version="1" timestamp="2020-01-02T03:04:05Z"><member type="relation" ref="22" role=""/><member type="node" ref="4" role="stop"/><tag k="type" v="site"/></relation>
<relation id="22" version="1" timestamp="2020-01-02T03:04:05Z"><member type="relation" ref="21" role=""/><member type="node" ref="1" role="stop"/><tag k="type" v="site"/></relation>
</osm>"#;

#[tokio::test]
async fn osm_xml_keeps_every_tag_and_ends_with_relations_in_a_circle() {
    let adapter = Adapter::start(&[]).await;
    let layers = read(&adapter, &Ask::named("a.osm"), OSM.as_bytes()).await.expect("OSM XML");
    let expected = [("points", 2), ("lines", 1), ("multilinestrings", 1), ("multipolygons", 1), ("other_relations", 2)];
    assert_eq!(names(&layers), expected);
    assert_eq!(text(&layers[0], "other_tags", 0), r#""source"=>"a \"b\"""#);
    assert_eq!(text(&layers[0], "other_tags", 1), r#""note"=>"x","addr:street"=>"Абай""#);
    assert_eq!((text(&layers[0], "osm_id", 0), text(&layers[0], "osm_version", 0)), ("1".to_owned(), "3".to_owned()));
    assert_eq!(text(&layers[1], "other_tags", 0), r#""created_by"=>"me""#);
    assert_eq!(
        (text(&layers[3], "osm_way_id", 0), text(&layers[3], "building", 0)),
        ("11".to_owned(), "yes".to_owned())
    );
    assert_eq!(text(&layers[0], "osm_timestamp", 0), "2020-01-02T03:04:05Z");
    let time = layers[0].schema.field_with_name("osm_timestamp").expect("a column").data_type().clone();
    assert_eq!(time, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert!(layers[0].rules().contains(&"osm.taken"), "{:?}", layers[0].rules());
    assert_eq!(layers[0].report.format, "OSM XML");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cut_osm_xml_is_refused() {
    let adapter = Adapter::start(&[]).await;
    for end in [OSM.len() - 8, OSM.len() - 100, 900] {
        let end = (end..end + 4).find(|end| OSM.is_char_boundary(*end)).expect("one");
        let error = read(&adapter, &Ask::named("a.osm"), &OSM.as_bytes()[..end]).await.map(|_| ()).expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{end}: {error}");
    }
}

/// A block whose content is not packed.
fn blob(kind: &[u8], content: &[u8]) -> Vec<u8> {
    blob_of(kind, &field(1, content))
}

fn blob_of(kind: &[u8], blob: &[u8]) -> Vec<u8> {
    let size = blob.len();
    let kind = [&[0x0a, kind.len() as u8][..], kind].concat();
    let header = [&kind[..], &[0x18, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8]].concat();
    [&(header.len() as u32).to_be_bytes()[..], &header, blob].concat()
}

/// An uncompressed PBF with one tagged node at 43.25, 76.5.
fn pbf() -> Vec<u8> {
    let zigzag = |value: u64| varint(value << 1);
    let header = [field(4, b"OsmSchema-V0.6"), field(4, b"DenseNodes")].concat();
    let strings = [&b""[..], b"name", "Тау".as_bytes()].map(|text| field(1, text)).concat();
    let node =
        [&[0x08][..], &zigzag(7), &[0x12, 1, 1, 0x1a, 1, 2, 0x40], &zigzag(432_500_000), &[0x48], &zigzag(765_000_000)];
    let block = [field(1, &strings), field(2, &field(1, &node.concat()))].concat();
    [blob(b"OSMHeader", &header), blob(b"OSMData", &block)].concat()
}

#[tokio::test]
async fn an_osm_pbf_is_read_and_a_cut_one_refused() {
    let adapter = Adapter::start(&[]).await;
    let pbf = pbf();
    let layers = read(&adapter, &Ask::named("a.osm.pbf"), &pbf).await.expect("PBF");
    assert_eq!(names(&layers), [("points", 1)]);
    assert_eq!((text(&layers[0], "osm_id", 0), text(&layers[0], "name", 0)), ("7".to_owned(), "Тау".to_owned()));
    assert_eq!(wkb(&layers[0], 0)[5..13], 76.5_f64.to_le_bytes());
    let data = blob(b"OSMHeader", &[field(4, b"OsmSchema-V0.6"), field(4, b"DenseNodes")].concat()).len();
    for end in [pbf.len() - 1, pbf.len() - 20, data + 3, data + 20] {
        let error = read(&adapter, &Ask::named("a.osm.pbf"), &pbf[..end]).await.map(|_| ()).expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{end}: {error}");
    }
    let mut huge = pbf.clone();
    huge[data..data + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let error = read(&adapter, &Ask::named("a.osm.pbf"), &huge).await.map(|_| ()).expect_err("a huge header");
    assert!(error.kind() == ErrorKind::InvalidData && error.message().contains("at most 65536 bytes"), "{error}");
    let packed = [&pbf[..data], &blob_of(b"OSMData", &field(7, b"zstd"))].concat();
    let error = read(&adapter, &Ask::named("a.osm.pbf"), &packed).await.map(|_| ()).expect_err("Zstandard");
    assert!(error.kind() == ErrorKind::InvalidData && error.message().contains("found Zstandard"), "{error}");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}
