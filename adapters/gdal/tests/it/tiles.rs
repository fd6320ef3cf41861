//! Vector tiles: where they lie, what their features hold, and what is said about them.

use crate::adapter::{Adapter, Ask, ReadLayer, read};
use crate::cases::zip;
use crate::protobuf::{field, varint};
use arrow_array::{Array, cast::AsArray};
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use std::io::Write;
use ukimet_model::{Error, ErrorKind};

const MBTILES: &[u8] = include_bytes!("fixtures/places.mbtiles");
const PMTILES: &[u8] = include_bytes!("fixtures/places.pmtiles");

fn packed(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| varint(*value)).collect()
}

/// A tile with one layer of a point in the middle and a line, whose attributes are of several types.
fn tile() -> Vec<u8> {
    let feature = |id: u64, kind: u64, tags: &[u64], commands: &[u64]| {
        let parts = [
            [varint(1 << 3), varint(id)].concat(),
            field(2, &packed(tags)),
            [varint(3 << 3), varint(kind)].concat(),
            field(4, &packed(commands)),
        ];
        field(2, &parts.concat())
    };
    let layer = [
        [varint(15 << 3), varint(2)].concat(),
        field(1, "көше".as_bytes()),
        feature(7, 1, &[0, 0, 1, 1], &[9, 4_096, 4_096]),
        feature(8, 2, &[1, 2, 2, 3], &[9, 0, 0, 18, 20, 20, 20, 20]),
        feature(9, 2, &[], &[9, 0, 0, 18, 20]),
        field(3, b"name"),
        field(3, b"lanes"),
        field(3, b"paved"),
        field(4, &field(1, "Абай".as_bytes())),
        field(4, &[varint(4 << 3), varint(4)].concat()),
        field(4, &[varint(3 << 3 | 1), 2.5_f64.to_le_bytes().to_vec()].concat()),
        field(4, &[varint(7 << 3), varint(1)].concat()),
    ];
    field(3, &layer.concat())
}

fn text(layer: &ReadLayer, column: &str, row: usize) -> String {
    let position = layer.schema.index_of(column).expect(column);
    let column = layer.batches[0].column(position);
    if column.is_null(row) { "∅".to_owned() } else { array_value_to_string(column, row).expect("shown") }
}

async fn refused(adapter: &Adapter, name: &str, bytes: &[u8]) -> Error {
    read(adapter, &Ask::named(name), bytes).await.map(|_| ()).expect_err(name)
}

#[tokio::test]
async fn a_tile_is_read_where_its_name_or_its_path_says() {
    let adapter = Adapter::start(&[]).await;
    let tile = tile();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tile).expect("writes");
    let gzip = gzip.finish().expect("ends");
    let in_zip = zip(&[("tiles/1/1/0.pbf", &tile)]);
    for (name, bytes) in [("1-1-0.mvt", &tile), ("tile_1_1_0.pbf", &tile), ("1-1-0.mvt", &gzip), ("tiles.zip", &in_zip)]
    {
        let layers = read(&adapter, &Ask::named(name), bytes).await.expect(name);
        let layer = &layers[0];
        assert_eq!((layers.len(), layer.name.as_str(), layer.rows()), (1, "көше", 3), "{name}");
        let at = layer.schema.fields().iter().position(|field| field.data_type() == &DataType::Binary).expect("one");
        let point = layer.batches[0].column(at).as_binary::<i32>().value(0).to_vec();
        // The middle of the north-eastern quarter of the world.
        let lon = f64::from_le_bytes(point[5..13].try_into().expect("eight"));
        let lat = f64::from_le_bytes(point[13..21].try_into().expect("eight"));
        assert!((lon - 90.0).abs() < 1e-9 && (lat - 66.513_260_443).abs() < 1e-6, "{name}: {lon} {lat}");
        assert_eq!(
            (text(layer, "name", 0), text(layer, "mvt_id", 1), text(layer, "tile", 1)),
            ("Абай".to_owned(), "8".to_owned(), "1/1/0".to_owned())
        );
        assert_eq!(
            (text(layer, "lanes", 0), text(layer, "lanes", 1), text(layer, "paved", 1)),
            ("4.0".to_owned(), "2.5".to_owned(), "true".to_owned())
        );
        assert!(layer.rules().contains(&"tiles.generalized") && layer.rules().contains(&"tiles.broken_geometry"));
        assert_eq!(layer.report.source_crs.as_deref(), Some("EPSG:3857"));
    }
}

#[tokio::test]
async fn a_tile_that_lies_nowhere_and_broken_ones_are_refused() {
    let adapter = Adapter::start(&[]).await;
    let tile = tile();
    for name in ["tile.mvt", "1-2-0.mvt", "40-1-1.mvt"] {
        let error = refused(&adapter, name, &tile).await;
        assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("does not say where"), "{error}");
    }
    for end in [tile.len() - 1, tile.len() / 2, 5] {
        let error = refused(&adapter, "1-1-0.mvt", &tile[..end]).await;
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{end}: {error}");
    }
    let mut version = tile.clone();
    let at = version.windows(2).position(|bytes| bytes == [15 << 3, 2]).expect("a version");
    version[at + 1] = 9;
    let error = refused(&adapter, "1-1-0.mvt", &version).await;
    assert!(error.to_string().contains("version 1 or 2"), "{error}");
    let huge = [field(3, &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f][..]), Vec::new()].concat();
    assert_eq!(refused(&adapter, "1-1-0.mvt", &huge).await.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn pmtiles_and_mbtiles_give_the_highest_zoom() {
    let adapter = Adapter::start(&[]).await;
    for (name, bytes) in [("places.pmtiles", PMTILES), ("places.mbtiles", MBTILES)] {
        let layers = read(&adapter, &Ask::named(name), bytes).await.expect(name);
        let layer = &layers[0];
        // Two points, a line in two tiles, a polygon in four: as GDAL counts them.
        assert_eq!((layers.len(), layer.name.as_str(), layer.rows()), (1, "places", 8), "{name}");
        let mut names: Vec<String> = (0..8).map(|row| text(layer, "name", row)).collect();
        names.sort();
        assert_eq!(names, ["L", "L", "P", "P", "P", "P", "Алматы", "Астана"], "{name}");
        assert!((0..8).all(|row| text(layer, "tile", row).starts_with("5/")), "{name}");
        let bbox = layer.report.bbox.expect("a place");
        assert!((bbox.west - 70.0).abs() < 0.4 && (bbox.south - 43.25).abs() < 0.4, "{name}: {bbox:?}");
        assert!(layer.rules().contains(&"tiles.generalized"), "{:?}", layer.rules());
    }
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn broken_pmtiles_are_refused() {
    let adapter = Adapter::start(&[]).await;
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = PMTILES.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    for (bytes, kind, part) in [
        (PMTILES[..100].to_vec(), ErrorKind::DataLoss, "cut"),
        (PMTILES[..PMTILES.len() - 50].to_vec(), ErrorKind::DataLoss, "cut"),
        (changed(7, &[2]), ErrorKind::InvalidData, "version 3"),
        (changed(97, &[3]), ErrorKind::InvalidData, "Brotli"),
        (changed(98, &[4]), ErrorKind::InvalidData, "Zstandard"),
        (changed(99, &[2]), ErrorKind::InvalidData, "PNG images"),
        (changed(16, &u64::MAX.to_le_bytes()), ErrorKind::DataLoss, "cut"),
        (changed(64, &1_u64.to_le_bytes()), ErrorKind::DataLoss, "cut"),
    ] {
        let error = refused(&adapter, "a.pmtiles", &bytes).await;
        assert!(error.kind() == kind && error.to_string().contains(part), "{part}: {error}");
    }
}

/// `PMTiles` that are not packed, of these directories and one empty tile.
fn pmtiles(root: &[u8], leaves: &[u8]) -> Vec<u8> {
    let mut bytes = b"PMTiles\x03".to_vec();
    let leaves_at = 127 + root.len() as u64;
    let end = leaves_at + leaves.len() as u64;
    for number in [127, root.len() as u64, end, 0, leaves_at, leaves.len() as u64, end, 4, 0, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 1, 1, 1, 0, 0]);
    bytes.resize(127, 0);
    [&bytes, root, leaves, &[0x1a, 2, 0x0a, 0]].concat()
}

#[tokio::test]
async fn directories_in_a_circle_and_endless_runs_end() {
    let adapter = Adapter::start(&["--rows-max", "1000"]).await;
    // One entry of count 0: a leaf at place 0, which is itself such a directory.
    let circle = [1, 0, 0, 5, 1];
    let error = refused(&adapter, "a.pmtiles", &pmtiles(&circle, &circle)).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("entered twice"), "{error}");
    let chain: Vec<u8> = [6, 11, 16, 21, 26].iter().flat_map(|next| [1, 0, 0, 5, *next]).collect();
    let error = refused(&adapter, "a.pmtiles", &pmtiles(&circle, &chain)).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("at most 4 deep"), "{error}");
    let run = [&[1, 0][..], &varint(1 << 60), &[4, 1]].concat();
    let error = refused(&adapter, "a.pmtiles", &pmtiles(&run, &[])).await;
    assert!(error.kind() == ErrorKind::LimitReached && error.to_string().contains("at most 1000 tiles"), "{error}");
    let many = [0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1];
    assert_eq!(refused(&adapter, "a.pmtiles", &pmtiles(&many, &[])).await.kind(), ErrorKind::DataLoss);
}

/// A directory of 20 entries that are all the leaf at a place of so many bytes.
fn fan(at: u64, size: u64) -> Vec<u8> {
    [vec![20], [0, 0, size, at + 1].map(|value| packed(&[value; 20])).concat()].concat()
}

#[tokio::test]
async fn leaves_that_are_entered_again_and_again_are_refused() {
    let adapter = Adapter::start(&[]).await;
    // 20 times 20 times 20 ways to an empty directory; with a thousand entries each they take days.
    let leaves = [fan(81, 101), fan(182, 1), vec![0]].concat();
    assert_eq!(leaves.len(), 183);
    let error = refused(&adapter, "a.pmtiles", &pmtiles(&fan(0, 81), &leaves)).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("entered twice"), "{error}");
}

#[tokio::test]
async fn mbtiles_that_are_cut_or_hold_images_or_reach_out_are_refused() {
    let adapter = Adapter::start(&[]).await;
    let changed = |from: &[u8], to: &[u8]| {
        let mut bytes = MBTILES.to_vec();
        let at = bytes.windows(from.len()).position(|window| window == from).expect("there");
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    let error = refused(&adapter, "a.mbtiles", &changed(b"formatpbf", b"formatpng")).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("found \"png\""), "{error}");
    let error = refused(&adapter, "a.mbtiles", &changed(b"CREATE TABLE tiles", b"CREATE VIRTUAL til")).await;
    assert!(error.kind() == ErrorKind::InvalidData && error.to_string().contains("reach other files"), "{error}");
    for end in [50, 4_096, MBTILES.len() - 4_096] {
        let error = refused(&adapter, "a.mbtiles", &MBTILES[..end]).await;
        assert!(matches!(error.kind(), ErrorKind::DataLoss | ErrorKind::InvalidData), "{end}: {error}");
    }
}
