//! Each limit, reached; and what lies below it, read.

use crate::adapter::{Adapter, Ask, read};
use crate::cases::{geojson, zip};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use ukimet_model::ErrorKind;

async fn check(flags: &[&str], name: &str, bytes: &[u8], part: &str) {
    let adapter = Adapter::start(flags).await;
    let error = read(&adapter, &Ask::named(name), bytes).await.map(|_| ()).expect_err(part);
    assert_eq!(error.kind(), ErrorKind::LimitReached, "{error}");
    assert!(error.to_string().contains(part), "{error} should say {part:?}");
    assert_eq!(adapter.left_behind(), Vec::<String>::new());
}

#[tokio::test]
async fn rows_positions_columns_and_bytes_have_limits() {
    let points = geojson(1_000);
    check(&["--rows-max", "999"], "a.geojson", &points, "at most 999 rows").await;
    check(&["--vertices-max", "999"], "a.geojson", &points, "at most 999 positions").await;
    check(&["--fields-max", "1"], "a.geojson", &points, "at most 1 columns").await;
    check(&["--fields-max", "2"], "a.csv", b"a,b,c\n1,2,3\n", "at most 2 columns").await;
    check(&["--asset-bytes", "1000"], "a.geojson", &points, "at most 1000 bytes").await;
    let adapter = Adapter::start(&["--rows-max", "1000", "--vertices-max", "2000", "--fields-max", "2"]).await;
    assert_eq!(read(&adapter, &Ask::named("a.geojson"), &points).await.expect("within")[0].rows(), 1_000);
}

#[tokio::test]
async fn archives_have_limits() {
    let json = geojson(1_000);
    let two = zip(&[("a.geojson", &json), ("b.geojson", &json)]);
    check(&["--archive-members", "1"], "a.zip", &two, "at most 1 members").await;
    check(&["--unpacked-bytes", "100000"], "a.zip", &two, "at most 100000 bytes").await;
    check(&["--layers-max", "1"], "a.zip", &two, "at most 1 layers").await;
    let thrice = zip(&[("b.zip", &zip(&[("c.zip", &zip(&[("a.geojson", &json)]))]))]);
    check(&[], "a.zip", &thrice, "at most 2 deep").await;
    let adapter = Adapter::start(&["--archives-max", "3"]).await;
    assert_eq!(read(&adapter, &Ask::named("a.zip"), &thrice).await.expect("within")[0].rows(), 1_000);
    let large = geojson(20_000);
    check(&["--unpack-ratio", "2"], "a.zip", &zip(&[("a.geojson", &large)]), "at most 2 times").await;
}

#[tokio::test]
async fn only_csv_up_to_a_limit_is_looked_through_for_more_than_a_header_and_rows() {
    let two_tables = "A\nx,n\na,1\nb,2\n\nB\nx,k,m\na,1,2\nb,3,4\n";
    let size = two_tables.len();
    for (examined_bytes, expected) in [(size, &[2, 2][..]), (size - 1, &[7])] {
        let adapter = Adapter::start(&["--examined-bytes", &examined_bytes.to_string()]).await;
        let read = read(&adapter, &Ask::named("a.csv"), two_tables.as_bytes()).await;
        let rows: Vec<_> = read.expect("rows").iter().map(crate::adapter::ReadLayer::rows).collect();
        assert_eq!(rows, expected, "{examined_bytes} bytes");
    }
}

#[tokio::test]
async fn a_workbook_in_an_archive_has_the_limits_of_the_operator() {
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
    let workbook = r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Мектептер" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
    let root = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    let relations = r#"<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
    let padding = " ".repeat(2 << 20);
    let sheet = format!(
        r#"<worksheet><sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="A2"><v>2</v></c></row></sheetData>{padding}</worksheet>"#
    );
    let xlsx = zip(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", root.as_bytes()),
        ("xl/workbook.xml", workbook.as_bytes()),
        ("xl/_rels/workbook.xml.rels", relations.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ]);
    let archive = zip(&[("schools.xlsx", &xlsx)]);
    check(&[], "a.zip", &archive, "at most 100 times").await;
    let adapter = Adapter::start(&["--unpack-ratio", "5000"]).await;
    let layers = read(&adapter, &Ask::named("a.zip"), &archive).await.expect("within");
    assert_eq!((layers[0].name.as_str(), layers[0].rows()), ("Мектептер", 2));
}

#[tokio::test]
async fn values_inside_each_other_have_a_limit() {
    let deep = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let point = r#"{"type":"Point","coordinates":[76.5,43.5]}"#;
    let json = |depth: usize| {
        format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"a":{}}},"geometry":{point}}}]}}"#,
            deep("[", "]", depth)
        )
    };
    check(&[], "a.geojson", json(1_000_000).as_bytes(), "at most 128 deep").await;
    check(&["--nesting-max", "8"], "a.geojson", json(8).as_bytes(), "at most 8 deep").await;
    let kml = |depth: usize| {
        let placemark = "<Placemark><name>a</name><Point><coordinates>76,43</coordinates></Point></Placemark>";
        let folders = format!("{}{placemark}{}", "<Folder>".repeat(depth), "</Folder>".repeat(depth));
        format!("<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document>{folders}</Document></kml>")
    };
    check(&[], "a.kml", kml(100_000).as_bytes(), "at most 128 deep").await;
    let archive = zip(&[("doc.kml", kml(100_000).as_bytes())]);
    check(&["--unpack-ratio", "100000"], "a.kmz", &archive, "at most 128 deep").await;
    let gml = format!(
        "<gml:FeatureCollection xmlns:gml=\"http://www.opengis.net/gml\">{}</gml:FeatureCollection>",
        deep("<gml:MultiGeometry>", "</gml:MultiGeometry>", 100_000)
    );
    check(&[], "a.gml", gml.as_bytes(), "at most 128 deep").await;
    let sheet = deep("<row>", "</row>", 1_000);
    let xlsx = zip(&[("xl/workbook.xml", b"<workbook/>"), ("xl/worksheets/sheet1.xml", sheet.as_bytes())]);
    check(&[], "a.xlsx", &xlsx, "at most 128 deep").await;
    let adapter = Adapter::start(&["--nesting-max", "32"]).await;
    let layers = read(&adapter, &Ask::named("a.kml"), kml(10).as_bytes()).await.expect("within");
    assert_eq!(layers.iter().map(crate::adapter::ReadLayer::rows).sum::<usize>(), 1);
    assert_eq!(read(&adapter, &Ask::named("a.geojson"), json(8).as_bytes()).await.expect("within")[0].rows(), 1);
}

#[tokio::test]
async fn time_has_a_limit() {
    let adapter = Adapter::start(&["--wall-seconds", "0"]).await;
    let error = read(&adapter, &Ask::named("a.geojson"), &geojson(10)).await.map(|_| ()).expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

#[tokio::test]
async fn open_files_have_a_limit() {
    let parts = crate::cases::shapefile(3);
    let shapefile = zip(&parts.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>());
    let mut refused = Vec::new();
    // Each count hits another of the files that a job opens.
    for open_files in 13..=24 {
        let adapter = Adapter::start(&["--open-files", &open_files.to_string()]).await;
        let ask = Ask::named("a.zip");
        let ended = tokio::time::timeout(Duration::from_mins(1), read(&adapter, &ask, &shapefile)).await;
        match ended.unwrap_or_else(|_| panic!("with {open_files} open files the job does not end")) {
            Ok(layers) => assert_eq!(layers[0].rows(), 3),
            Err(error) => refused.push((error.kind(), error.to_string())),
        }
    }
    assert!((1..12).contains(&refused.len()), "{refused:#?}");
    // A library does not always say why it could not open a file; what we open ourselves we name.
    let named = |(kind, text): &&(ErrorKind, String)| {
        *kind == ErrorKind::LimitReached && text.contains("adapter-open-files-max")
    };
    assert!(refused.iter().filter(named).count() >= 2, "{refused:#?}");
}

#[tokio::test]
async fn a_file_that_takes_too_much_memory_ends_only_its_process() {
    let mut adapter = Adapter::start(&["--memory-bytes", "600000000"]).await;
    let coordinates = "[76.5,43.5],".repeat(6_000_000);
    let line = format!(
        r#"{{"type":"Feature","properties":{{"a":1}},"geometry":{{"type":"LineString","coordinates":[{coordinates}[76.5,43.6]]}}}}"#
    );
    let error = read(&adapter, &Ask::named("a.geojson"), line.as_bytes()).await.map(|_| ()).expect_err("memory");
    if error.kind() == ErrorKind::LimitReached {
        assert!(error.to_string().contains("adapter-memory-max"), "{error}");
        assert_eq!(read(&adapter, &Ask::named("a.geojson"), &geojson(3)).await.expect("rows")[0].rows(), 3);
        return;
    }
    // Where the allocation that fails is our own, the process ends, and its parent sees how.
    assert!(crate::process::ends(&mut adapter).await, "{error}");
    let status = adapter.child.try_wait().expect("a child").expect("ended");
    assert_eq!(status.signal(), Some(6), "{status}: {error}");
}
