//! Each limit, reached; and what lies below it, read.

use crate::adapter::{Adapter, Ask, read};
use crate::cases::{geojson, zip};
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
    let large = geojson(20_000);
    check(&["--unpack-ratio", "2"], "a.zip", &zip(&[("a.geojson", &large)]), "at most 2 times").await;
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
async fn time_has_a_limit() {
    let adapter = Adapter::start(&["--wall-seconds", "0"]).await;
    let error = read(&adapter, &Ask::named("a.geojson"), &geojson(10)).await.map(|_| ()).expect_err("no time");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

#[tokio::test]
async fn a_file_that_takes_too_much_memory_ends_only_its_process() {
    let mut adapter = Adapter::start(&["--memory-bytes", "400000000"]).await;
    let coordinates = "[76.5,43.5],".repeat(6_000_000);
    let line = format!(
        r#"{{"type":"Feature","properties":{{"a":1}},"geometry":{{"type":"LineString","coordinates":[{coordinates}[76.5,43.6]]}}}}"#
    );
    let error = read(&adapter, &Ask::named("a.geojson"), line.as_bytes()).await.map(|_| ()).expect_err("memory");
    assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
    let _ = adapter.child.try_wait().expect("a child");
}
