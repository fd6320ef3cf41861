//! Files that are cut, and counts that lie: nothing ends early in silence.

use crate::adapter::{Adapter, Ask, ReadLayer, read, request};
use crate::cases::{geojson, gml, shapefile, shapefile_zip};
use crate::data::data;
use ukimet_model::{Error, ErrorKind};
use ukimet_proto::v1::asset_request::Message;

async fn read_named(adapter: &Adapter, name: &str, bytes: &[u8]) -> Result<Vec<ReadLayer>, Error> {
    read(adapter, &Ask::named(name), bytes).await
}

/// Whether a read failed because something is missing; the message says what.
fn assert_cut(found: Result<Vec<ReadLayer>, Error>, what: &str) {
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::DataLoss | ErrorKind::InvalidData) => (),
        Err(error) => panic!("{what}: {error:?}"),
        Ok(layers) => panic!("{what}: {} rows came out", layers.iter().map(ReadLayer::rows).sum::<usize>()),
    }
}

#[tokio::test]
async fn text_that_is_cut_anywhere_gives_no_rows() {
    let adapter = Adapter::start(&[]).await;
    let whole = gml(500).into_bytes();
    assert_eq!(read_named(&adapter, "a.gml", &whole).await.expect("whole")[0].rows(), 500);
    for percent in [30, 60, 90, 99] {
        assert_cut(read_named(&adapter, "a.gml", &whole[..whole.len() * percent / 100]).await, "GML");
    }
    let whole = geojson(500);
    assert_eq!(read_named(&adapter, "a.geojson", &whole).await.expect("whole")[0].rows(), 500);
    for percent in [30, 60, 90, 99] {
        assert_cut(read_named(&adapter, "a.geojson", &whole[..whole.len() * percent / 100]).await, "GeoJSON");
    }
    let error = read_named(&adapter, "a.csv", b"id;name\n1;x\n2;\"y\n3;z\n").await.map(|_| ()).expect_err("cut");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn xml_that_is_cut_anywhere_is_data_loss() {
    let adapter = Adapter::start(&[]).await;
    let placemark = "<Placemark><name>a</name><Point><coordinates>76,43</coordinates></Point></Placemark>\n";
    let kml =
        format!("<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document>{}</Document></kml>", placemark.repeat(50));
    for (name, whole) in [("a.gml", gml(50)), ("a.kml", kml)] {
        assert_eq!(read_named(&adapter, name, whole.as_bytes()).await.expect("whole")[0].rows(), 50);
        for size in (whole.len() / 2..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]) {
            let error = read_named(&adapter, name, &whole.as_bytes()[..size]).await.map(|_| ()).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::DataLoss, "{name} cut at {size}: {error}");
        }
    }
}

#[tokio::test]
async fn binary_files_that_are_cut_anywhere_give_no_rows() {
    let Some(folder) = data() else { return };
    let adapter = Adapter::start(&[]).await;
    for file in [
        "legacy/settlements_east.fgb",
        "legacy/kz_3_layers.gpkg",
        "city/geoparquet_example.parquet",
        "legacy/rayony_s42_cp1251.zip",
    ] {
        let whole = std::fs::read(folder.join(file)).expect("there");
        let name = file.rsplit('/').next().expect("a name");
        for percent in [20, 60, 95] {
            assert_cut(read_named(&adapter, name, &whole[..whole.len() * percent / 100]).await, file);
        }
    }
}

#[tokio::test]
async fn a_shapefile_whose_parts_disagree_is_data_loss_naming_both() {
    let adapter = Adapter::start(&[]).await;
    let whole = shapefile(2_000);
    let layers = read_named(&adapter, "roads.zip", &shapefile_zip(&whole)).await.expect("whole");
    assert_eq!((layers[0].name.as_str(), layers[0].rows()), ("roads", 2_000));
    for (part, message) in [(0, ".shp declares"), (1, ".shx declares"), (2, ".dbf declares 2000 rows")] {
        let mut cut = whole.clone();
        let half = cut[part].1.len() / 2;
        cut[part].1.truncate(half);
        let error = read_named(&adapter, "roads.zip", &shapefile_zip(&cut)).await.map(|_| ()).expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let mut fewer = whole.clone();
    fewer[2] = shapefile(1_999)[2].clone();
    let error = read_named(&adapter, "roads.zip", &shapefile_zip(&fewer)).await.map(|_| ()).expect_err("fewer");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(error.to_string().contains("1999 rows") && error.to_string().contains("2000 shapes"), "{error}");
    let mut lie = whole;
    lie[2].1[4..8].copy_from_slice(&i32::MAX.to_le_bytes());
    let error = read_named(&adapter, "roads.zip", &shapefile_zip(&lie)).await.map(|_| ()).expect_err("a lie");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("2147483647 rows") && error.to_string().contains("limit"), "{error}");
}

fn arrow_stream(names: [&str; 2]) -> Vec<u8> {
    let names = std::sync::Arc::new(arrow_array::StringArray::from_iter_values(names));
    let rows = arrow_array::RecordBatch::try_from_iter([("name", names as arrow_array::ArrayRef)]).expect("valid");
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), rows.schema_ref()).expect("begins");
    writer.write(&rows).expect("writes");
    writer.into_inner().expect("ends")
}

#[tokio::test]
async fn an_arrow_stream_without_its_end_is_data_loss() {
    let adapter = Adapter::start(&[]).await;
    let whole = arrow_stream(["a", "b"]);
    assert_eq!(read_named(&adapter, "a.arrows", &whole).await.expect("whole")[0].rows(), 2);
    let error = read_named(&adapter, "a.arrows", &whole[..whole.len() - 8]).await.map(|_| ()).expect_err("cut");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(error.to_string().contains("end-of-stream"), "{error}");
}

#[tokio::test]
async fn arrow_messages_that_say_they_are_longer_than_the_file_are_data_loss() {
    let adapter = Adapter::start(&[]).await;
    let changed = |bytes: &[u8], at: usize, value: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    let huge = i32::MAX.to_le_bytes();
    let stream = arrow_stream(["a", "b"]);
    let second = 8 + u32::from_le_bytes(stream[4..8].try_into().expect("four bytes")) as usize;
    let numbers: arrow_array::ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::from(vec![0; 1_000]));
    let rows = arrow_array::RecordBatch::try_from_iter([("n", numbers)]).expect("valid");
    let options = arrow_ipc::writer::IpcWriteOptions::default();
    let options = options.try_with_compression(Some(arrow_ipc::CompressionType::ZSTD)).expect("known");
    let writer = arrow_ipc::writer::FileWriter::try_new_with_options(Vec::new(), rows.schema_ref(), options);
    let mut writer = writer.expect("begins");
    writer.write(&rows).expect("written");
    let packed = writer.into_inner().expect("ends");
    let prefix = packed.windows(8).position(|window| window == 8_000_i64.to_le_bytes()).expect("a packed buffer");
    assert_eq!(read_named(&adapter, "a.arrow", &packed).await.expect("whole")[0].rows(), 1_000);
    for (name, bytes, kind, part) in [
        ("a.arrows", changed(&stream, 4, &huge), ErrorKind::DataLoss, "was expected to end before byte"),
        // A message that begins with its length alone, as before Arrow 0.15.
        ("a.arrows", changed(&stream, second, &huge), ErrorKind::DataLoss, "was expected to end before byte"),
        ("a.arrow", b"ARROW1".to_vec(), ErrorKind::DataLoss, "it is cut"),
        ("a.arrow", changed(&packed, packed.len() - 10, &huge), ErrorKind::DataLoss, "was expected to end before byte"),
        (
            "a.arrow",
            changed(&packed, prefix, &(1_i64 << 40).to_le_bytes()),
            ErrorKind::LimitReached,
            "unpacks to at most",
        ),
    ] {
        let error = read_named(&adapter, name, &bytes).await.map(|_| ()).expect_err(name);
        assert!(error.kind() == kind && error.to_string().contains(part), "{part}: {error}");
    }
    assert_eq!(read_named(&adapter, "a.arrows", &stream).await.expect("whole")[0].rows(), 2);
}

#[tokio::test]
async fn a_second_arrow_stream_in_the_file_is_data_loss_naming_both_offsets() {
    let adapter = Adapter::start(&[]).await;
    let stream = arrow_stream(["a", "b"]);
    let two = [stream.clone(), arrow_stream(["c", "d"])].concat();
    let error = read_named(&adapter, "a.arrows", &two).await.map(|_| ()).expect_err("two streams");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let offsets = format!("the stream ends at byte {} of {}", stream.len(), two.len());
    assert!(error.to_string().contains(&offsets), "{error}");
}

#[tokio::test]
async fn only_a_finish_with_the_right_count_makes_an_asset() {
    let adapter = Adapter::start(&[]).await;
    let ask = Ask::named("a.geojson");
    let bytes = geojson(10);
    let data = request(Message::Data(bytes.clone().into()));
    for (messages, kind, part) in [
        (vec![ask.options(), data.clone()], ErrorKind::Conflict, "without a finish after 2 messages"),
        (vec![ask.options(), data.clone(), request(Message::Finish(7))], ErrorKind::DataLoss, "has 7 bytes, received"),
        (vec![data.clone()], ErrorKind::InvalidData, "begins with its options"),
        (vec![ask.options(), data, ask.options()], ErrorKind::InvalidData, "found twice"),
    ] {
        let status = adapter.client.clone().read(tokio_stream::iter(messages)).await.map(|_| ()).expect_err(part);
        let error = ukimet_proto::status::from_status(&status);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn a_flipped_length_anywhere_in_an_arrow_file_or_stream_is_an_answer_and_no_crash() {
    let adapter = Adapter::start(&[]).await;
    for (name, whole) in [("a.arrow", PACKED_FILE), ("a.arrows", PACKED_STREAM)] {
        assert!(read(&adapter, &Ask::named(name), whole).await.is_ok(), "{name} as it was written");
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x7f;
            if let Err(error) = read(&adapter, &Ask::named(name), &bytes).await {
                let kind = error.kind();
                assert!(!matches!(kind, ErrorKind::Internal | ErrorKind::Unavailable), "{name}, byte {at}: {error}");
            }
        }
    }
}

/// Eight rows of a text and a number, packed by LZ4.
const PACKED_FILE: &[u8] = include_bytes!("fixtures/packed.arrow");
/// The same as a stream.
const PACKED_STREAM: &[u8] = include_bytes!("fixtures/packed.arrows");
