//! Ways in that must stay shut: other files, the network, archives that are traps, bytes that lie about what they are.

use crate::adapter::{Adapter, Ask, read};
use crate::cases::{geojson, gml, shapefile, zip};
use std::io::{Cursor, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use ukimet_model::{Error, ErrorKind};
use zip::write::SimpleFileOptions;

async fn refusal(adapter: &Adapter, name: &str, bytes: &[u8]) -> Error {
    read(adapter, &Ask::named(name), bytes).await.map(|layers| layers.len()).expect_err(name)
}

async fn check(adapter: &Adapter, name: &str, bytes: &[u8], kind: ErrorKind, part: &str) {
    let error = refusal(adapter, name, bytes).await;
    assert_eq!(error.kind(), kind, "{name}: {error}");
    assert!(error.to_string().contains(part), "{name}: {error} should say {part:?}");
}

#[tokio::test]
async fn bytes_that_are_not_what_their_name_or_media_type_says_are_refused_with_both_names() {
    let adapter = Adapter::start(&[]).await;
    let vrt = b"<OGRVRTDataSource><OGRVRTLayer name=\"a\"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>";
    for name in ["a.shp", "a.gpkg", "a.geojson", "a.csv", "a.vrt"] {
        let error = refusal(&adapter, name, vrt).await;
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{name}");
        assert!(error.to_string().contains("VRT"), "{name}: {error}");
    }
    check(
        &adapter,
        "a.gpkg",
        &geojson(1),
        ErrorKind::InvalidData,
        "named .gpkg, which is GeoPackage, but its bytes are GeoJSON",
    )
    .await;
    check(&adapter, "a.geojson", &zip(&[("a.csv", b"id\n1\n")]), ErrorKind::InvalidData, "bytes are a zip archive")
        .await;
    let ask = Ask { media_type: "application/geo+json".to_owned(), ..Ask::named("a") };
    let error = read(&adapter, &ask, &zip(&[("a.csv", b"id\n1\n")])).await.map(|_| ()).expect_err("a zip");
    assert!(error.to_string().contains("application/geo+json") && error.to_string().contains("zip"), "{error}");
    let ask = Ask { media_type: "text/csv; charset=utf-8".to_owned(), ..Ask::named("a.json") };
    let error = read(&adapter, &ask, &geojson(1)).await.map(|_| ()).expect_err("GeoJSON");
    assert!(error.to_string().contains("text/csv") && error.to_string().contains("GeoJSON"), "{error}");
    check(&adapter, "a.bin", b"", ErrorKind::InvalidData, "empty file").await;
    check(&adapter, "a.bin", &[7, 0, 1, 2, 3], ErrorKind::InvalidData, "unknown bytes").await;
    check(&adapter, "a.tif", b"II*\0\x08\0\0\0", ErrorKind::InvalidData, "driver GTiff").await;
    let empty = br#"{"type":"FeatureCollection","features":[]}"#;
    check(&adapter, "a.geojson", empty, ErrorKind::InvalidData, "GeoJSON").await;
}

#[tokio::test]
async fn nothing_in_a_file_reaches_the_network() {
    let adapter = Adapter::start(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let reached = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&reached);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            seen.store(true, Ordering::SeqCst);
        }
    });
    let schema = gml(2).replace(
        "xmlns:gml=",
        &format!("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://x {url}/x.xsd\" xmlns:gml="),
    );
    assert_eq!(read(&adapter, &Ask::named("a.gml"), schema.as_bytes()).await.expect("rows")[0].rows(), 2);
    let kml = format!(
        "<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document><NetworkLink><Link><href>{url}/a.kml</href></Link></NetworkLink><Placemark><name>a</name><styleUrl>{url}/s.kml#s</styleUrl><Point><coordinates>76,43</coordinates></Point></Placemark></Document></kml>"
    );
    assert_eq!(read(&adapter, &Ask::named("a.kml"), kml.as_bytes()).await.expect("rows")[0].rows(), 1);
    for bytes in [
        format!("<OGRWFSDataSource><URL>{url}</URL></OGRWFSDataSource>"),
        format!("/vsicurl/{url}/a.gpkg"),
        format!("{{\"type\":\"Topology\",\"url\":\"{url}\",\"objects\":{{}},\"arcs\":[]}}"),
        format!(
            "{{\"type\":\"FeatureCollection\",\"crs\":{{\"type\":\"link\",\"properties\":{{\"href\":\"{url}/crs\"}}}},\"features\":[{{\"type\":\"Feature\",\"properties\":{{\"a\":1}},\"geometry\":{{\"type\":\"Point\",\"coordinates\":[76,43]}}}}]}}"
        ),
    ] {
        for name in ["a.gml", "a.json", "a.geojson", "a.txt", &format!("/vsicurl/{url}/a.gpkg")] {
            // Whatever the answer is, it comes without a look outside.
            let _ = read(&adapter, &Ask::named(name), bytes.as_bytes()).await;
        }
    }
    assert!(!reached.load(Ordering::SeqCst), "something connected");
}

#[tokio::test]
async fn a_dtd_is_refused_wherever_it_stands() {
    let adapter = Adapter::start(&[]).await;
    let doctype = "<?xml version=\"1.0\"?>\n<!-- x --><!DOCTYPE k [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>";
    let kml =
        format!("{doctype}<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Placemark><name>&e;</name></Placemark></kml>");
    check(&adapter, "a.kml", kml.as_bytes(), ErrorKind::InvalidData, "DTD").await;
    let body = gml(1);
    let gml = format!("{doctype}{}", body.split_once("?>").expect("a declaration").1);
    check(&adapter, "a.gml", gml.as_bytes(), ErrorKind::InvalidData, "DTD").await;
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(kml.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    check(&adapter, "a.kml", &utf16, ErrorKind::InvalidData, "DTD").await;
    check(&adapter, "a.kmz", &zip(&[("doc.kml", kml.as_bytes())]), ErrorKind::InvalidData, "DTD").await;
    let sheet = format!("{doctype}<worksheet/>");
    let xlsx = zip(&[("xl/workbook.xml", b"<workbook/>"), ("xl/worksheets/sheet1.xml", sheet.as_bytes())]);
    check(&adapter, "a.xlsx", &xlsx, ErrorKind::InvalidData, "DTD").await;
    // Behind the part of a member that is looked at, the first character cut off or not.
    for size in [5_000, 4_096 - 1 - "<!---->".len()] {
        let sheet = format!("<!--{}--><!DOCTYPE k [<!ENTITY e \"x\">]><worksheet/>", " ".repeat(size));
        let xlsx = zip(&[("xl/workbook.xml", b"<workbook/>"), ("xl/worksheets/sheet1.xml", sheet.as_bytes())]);
        check(&adapter, "a.xlsx", &xlsx, ErrorKind::InvalidData, "DTD").await;
    }
}

#[tokio::test]
async fn archives_that_are_traps_are_refused_naming_the_member() {
    let adapter = Adapter::start(&[]).await;
    let csv: &[u8] = b"id,name\n1,a\n";
    for (name, part) in [
        ("../a.csv", "../a.csv"),
        ("/etc/a.csv", "/etc/a.csv"),
        ("x/../../a.csv", "stay inside"),
        ("C:/a.csv", "stay inside"),
        ("b.7z", "zip, tar or gzip archives only"),
        ("a.vrt", "file not allowed"),
        ("a.aux.xml", "file not allowed"),
        ("a.ovr", "file not allowed"),
        ("a.exe", "file not allowed"),
        ("A.CSV", "twice"),
    ] {
        let bytes = zip(&[("a.csv", csv), (name, csv)]);
        check(&adapter, "a.zip", &bytes, ErrorKind::InvalidData, part).await;
    }
    check(&adapter, "a.zip", &zip(&[("readme.txt", b"hello")]), ErrorKind::InvalidData, "found none").await;
}

#[tokio::test]
async fn links_and_encrypted_members_are_refused() {
    let adapter = Adapter::start(&[]).await;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("a.csv", "/etc/passwd", SimpleFileOptions::default()).expect("a link");
    let bytes = zip.finish().expect("ends").into_inner();
    check(&adapter, "a.zip", &bytes, ErrorKind::InvalidData, "is a link").await;
    let mut bytes = crate::cases::zip(&[("a.csv", b"id\n1\n")]);
    // Bit 0 of the flags, in the local header and in the directory at the end.
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
    bytes[6] |= 1;
    bytes[directory + 8] |= 1;
    check(&adapter, "a.zip", &bytes, ErrorKind::InvalidData, "encrypted").await;
}

#[tokio::test]
async fn archives_with_folders_pictures_and_several_datasets_are_read() {
    let adapter = Adapter::start(&[]).await;
    let parts = shapefile(3);
    let json = geojson(2);
    let members: Vec<(String, &[u8])> = parts
        .iter()
        .map(|(name, bytes)| (format!("данные/{}", name.replace("roads", "Дороги")), bytes.as_slice()))
        .chain([("данные/үйлер.geojson".to_owned(), json.as_slice()), ("readme.txt".to_owned(), b"x".as_slice())])
        .collect();
    let bytes = zip(&members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect::<Vec<_>>());
    let layers = read(&adapter, &Ask::named("all.zip"), &bytes).await.expect("two datasets");
    let found: Vec<(&str, usize)> = layers.iter().map(|layer| (layer.name.as_str(), layer.rows())).collect();
    assert_eq!(found, [("Дороги", 3), ("үйлер", 2)]);
}

#[tokio::test]
async fn datasets_of_one_name_in_several_folders_keep_their_rows_apart() {
    let adapter = Adapter::start(&[]).await;
    let (parts, json) = (shapefile(3), geojson(2));
    let mut members: Vec<(String, &[u8])> = vec![("parks.geojson".to_owned(), &json)];
    for folder in ["medeu", "auezov", "bostandyk", "2026/turksib"] {
        members.extend(parts.iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes.as_slice())));
    }
    let bytes = zip(&members.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect::<Vec<_>>());
    let layers = read(&adapter, &Ask::named("all.zip"), &bytes).await.expect("five datasets");
    let found: Vec<(&str, usize)> = layers.iter().map(|layer| (layer.name.as_str(), layer.rows())).collect();
    let expected =
        [("2026/turksib/roads", 3), ("auezov/roads", 3), ("bostandyk/roads", 3), ("medeu/roads", 3), ("parks", 2)];
    assert_eq!(found, expected);
    let ask = Ask { layer: Some("medeu/roads".to_owned()), all_layers: false, ..Ask::named("all.zip") };
    assert_eq!(read(&adapter, &ask, &bytes).await.expect("one of them").len(), 1);
}

#[tokio::test]
async fn a_bomb_is_stopped_by_its_ratio() {
    let adapter = Adapter::start(&[]).await;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("doc.kml", SimpleFileOptions::default()).expect("begins");
    for _ in 0..64 {
        zip.write_all(&vec![b' '; 1 << 20]).expect("writes");
    }
    let bytes = zip.finish().expect("ends").into_inner();
    check(&adapter, "a.kmz", &bytes, ErrorKind::LimitReached, "ratio").await;
    // A directory that lies about the size is found while the bytes come.
    let mut lie = bytes;
    let directory = lie.windows(4).position(|w| w == b"PK\x01\x02").expect("a directory");
    lie[directory + 24..directory + 28].copy_from_slice(&100_u32.to_le_bytes());
    let error = refusal(&adapter, "a.kmz", &lie).await;
    assert!(matches!(error.kind(), ErrorKind::LimitReached | ErrorKind::DataLoss), "{error}");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}
