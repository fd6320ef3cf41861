//! Files of every format that can name another file or an address, and listeners that nobody may come to.
//!
//! Each file is read twice: confined, and with confinement off, so that what the readers refuse themselves is shown
//! without the system's help. What the system refuses without the readers' help is shown in `confined` of the SDK.

use crate::adapter::{Adapter, Ask, read};
use crate::cases::{gml, shapefile, zip};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A secret that a file may try to reach, and a listener that it may name.
struct Bait {
    folder: tempfile::TempDir,
    listener: TcpListener,
}

impl Bait {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("secret.csv"), "id,word\n1,xyzzy\n").expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        Self { folder, listener }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("an address"))
    }

    fn secret(&self) -> String {
        self.folder.path().join("secret.csv").display().to_string()
    }

    /// A `GeoPackage` changed by these statements.
    fn geopackage(&self, statements: &str) -> Vec<u8> {
        let file = self.folder.path().join("a.gpkg");
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/kz_3_layers.gpkg");
        fs::copy(demo, &file).expect("copied");
        let status = Command::new("sqlite3").arg(&file).arg(statements).status().expect("sqlite3 runs");
        assert!(status.success(), "{statements}");
        fs::read(file).expect("read")
    }

    /// Reads a file, confined and not: whatever the answer is, nothing of the secret is in it and nobody came.
    async fn check(&self, name: &str, bytes: &[u8]) {
        for strictness in ["best-effort", "off"] {
            let adapter = Adapter::start(&["--confine", strictness]).await;
            let answer = read(&adapter, &Ask::named(name), bytes).await;
            assert!(!format!("{answer:?}").contains("xyzzy"), "{name}, {strictness}: {answer:?}");
            let came = self.listener.accept();
            assert!(came.is_err(), "{name}, {strictness}: somebody came from {came:?}");
        }
    }
}

/// Makes a view that is listed as a table.
fn view(select: &str) -> String {
    format!(
        "CREATE VIEW bait AS {select}; INSERT INTO gpkg_contents (table_name, data_type, identifier) \
         VALUES ('bait', 'attributes', 'bait');"
    )
}

#[tokio::test]
async fn a_geopackage_reaches_no_other_file_and_no_address() {
    let bait = Bait::new();
    let (secret, url) = (bait.secret(), bait.url());
    for statements in [
        view("SELECT 1 AS id, ogr_geocode('Almaty') AS word"),
        view(&format!("SELECT 1 AS id, ogr_datasource_load_layers('{secret}') AS word")),
        view("SELECT 1 AS id, ogr_SetConfigOption('GDAL_HTTP_PROXY', '') AS word"),
        view(&format!("SELECT 1 AS id, load_extension('{secret}') AS word")),
        view(&format!("SELECT 1 AS id, readfile('{secret}') AS word")),
        view(&format!("SELECT 1 AS id, CAST(BlobFromFile('{secret}') AS TEXT) AS word")),
        view(&format!("SELECT 1 AS id, gdal_get_pixel_value('/vsicurl/{url}/a.tif', 1, 'pixel', 0, 0) AS word")),
        view(&format!("SELECT 1 AS id, XB_Create(CAST('<a/>' AS BLOB), 1, '{url}/a.xsd') AS word")),
        // Long enough to go on in other pages, the name across the border of two.
        view(&format!(
            "SELECT 1 AS id, /*{}*/ XB_Create(CAST('<a/>' AS BLOB), 1, '{url}/b.xsd') AS word",
            "x".repeat(9_000)
        )),
        view(&format!("SELECT 1 AS id, XB_SchemaValidate(XB_Create(CAST('<a/>' AS BLOB)), '{url}/c.xsd') AS word")),
        view(&format!("SELECT 1 AS id, SqlProc_Execute(SqlProc_FromText('ATTACH ''{secret}'' AS s')) AS word")),
        // The program refuses to make these tables, whose modules it does not have: they are written as they lie.
        format!(
            "PRAGMA writable_schema=ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES \
             ('table', 'bait', 'bait', 0, 'CREATE VIRTUAL TABLE bait USING VirtualText(''{secret}'', ''UTF-8'', 0)'); \
             INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('bait', 'attributes', 'bait');"
        ),
        format!(
            "PRAGMA writable_schema=ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES \
             ('table', 'bait', 'bait', 0, 'CREATE VIRTUAL TABLE bait USING VirtualOGR(''{secret}'')'); \
             INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('bait', 'attributes', 'bait');"
        ),
        format!(
            "PRAGMA writable_schema=ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES \
             ('table', 'bait', 'bait', 0, 'CREATE VIRTUAL TABLE bait USING VirtualOGR(''/vsicurl/{url}/a.csv'')'); \
             INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('bait', 'attributes', 'bait');"
        ),
    ] {
        bait.check("a.gpkg", &bait.geopackage(&statements)).await;
    }
}

#[tokio::test]
async fn xml_reaches_no_schema_no_link_and_no_inclusion() {
    let bait = Bait::new();
    let (secret, url) = (bait.secret(), bait.url());
    let body = gml(1);
    for attributes in [
        format!("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://x {url}/x.xsd\""),
        format!(
            "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://x file://{secret}\""
        ),
        format!("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:noNamespaceSchemaLocation=\"{secret}\""),
    ] {
        bait.check("a.gml", body.replace("xmlns:gml=", &format!("{attributes} xmlns:gml=")).as_bytes()).await;
    }
    for (from, to) in [
        ("<id>0</id>", format!("<id xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:href=\"{url}/a.gml#a\"/>")),
        (
            "<id>0</id>",
            format!(
                "<id xmlns:xi=\"http://www.w3.org/2001/XInclude\"><xi:include href=\"{secret}\" parse=\"text\"/></id>"
            ),
        ),
        ("EPSG:4326", format!("{url}/crs.xml")),
    ] {
        assert!(body.contains(from));
        bait.check("a.gml", body.replace(from, &to).as_bytes()).await;
    }
    for inside in [
        format!("<NetworkLink><Link><href>{url}/a.kml</href></Link></NetworkLink>"),
        format!("<NetworkLink><Link><href>{secret}</href></Link></NetworkLink>"),
        format!("<GroundOverlay><Icon><href>{url}/a.png</href></Icon></GroundOverlay>"),
        format!(
            "<Schema name=\"s\" id=\"s\" parent=\"{url}/s\"/><Style id=\"s\"><IconStyle><Icon><href>{url}/i.png</href></Icon></IconStyle></Style>"
        ),
        format!("<xi:include xmlns:xi=\"http://www.w3.org/2001/XInclude\" href=\"{secret}\" parse=\"text\"/>"),
    ] {
        let placemark = "<Placemark><name>a</name><Point><coordinates>76,43</coordinates></Point></Placemark>";
        let kml =
            format!("<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document>{inside}{placemark}</Document></kml>");
        bait.check("a.kml", kml.as_bytes()).await;
        bait.check("a.kmz", &zip(&[("doc.kml", kml.as_bytes())])).await;
    }
}

#[tokio::test]
async fn json_tables_and_sidecars_reach_no_other_file_and_no_address() {
    let bait = Bait::new();
    let (secret, url) = (bait.secret(), bait.url());
    let feature = r#"{"type":"Feature","properties":{"a":1},"geometry":{"type":"Point","coordinates":[76,43]}}"#;
    for target in [format!("{url}/crs"), secret.clone(), format!("/vsicurl/{url}/crs.prj")] {
        let link = format!("{{\"type\":\"link\",\"properties\":{{\"href\":\"{target}\",\"type\":\"esriwkt\"}}}}");
        let json = format!("{{\"type\":\"FeatureCollection\",\"crs\":{link},\"features\":[{feature}]}}");
        bait.check("a.geojson", json.as_bytes()).await;
        let named = json.replace("\"link\"", "\"name\"").replace("\"href\"", "\"name\"");
        bait.check("a.geojson", named.as_bytes()).await;
        let parts = shapefile(1);
        let mut members: Vec<(&str, &[u8])> =
            parts.iter().filter(|(name, _)| *name != "roads.prj").map(|(n, b)| (*n, b.as_slice())).collect();
        members.push(("roads.prj", target.as_bytes()));
        bait.check("a.zip", &zip(&members)).await;
    }
    let table = format!("!table\n!version 300\n\nDefinition Table\n  Type LINKED\n  FileName \"{secret}\"\n");
    bait.check("a.zip", &zip(&[("a.tab", table.as_bytes()), ("a.dat", b"x")])).await;
    let view = format!("!table\n!version 300\nopen table \"{secret}\" as b\ncreate view a as Select * from b\n");
    bait.check("a.zip", &zip(&[("a.tab", view.as_bytes()), ("a.dat", b"x")])).await;
    let drawing = format!(
        "  0\nSECTION\n  2\nBLOCKS\n  0\nBLOCK\n  2\nx\n 70\n4\n  1\n{secret}\n  0\nENDBLK\n  0\nENDSEC\n  0\nSECTION\n  2\nENTITIES\n  0\nPOINT\n  8\n0\n 10\n76.0\n 20\n43.0\n  0\nENDSEC\n  0\nEOF\n"
    );
    bait.check("a.dxf", drawing.as_bytes()).await;
    for sidecar in ["a.csvt", "a.prj", "a.vrt", "a.aux.xml", "a.csv.aux.xml", "gdalrc", ".gdal/gdalrc", "a.gfs"] {
        let csv: &[u8] = b"id,lon,lat\n1,76,43\n";
        let content = format!(
            "<OGRVRTDataSource><OGRVRTLayer name=\"a\"><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
        );
        bait.check("a.zip", &zip(&[("a.csv", csv), (sidecar, content.as_bytes())])).await;
    }
}

#[tokio::test]
async fn a_workbook_reaches_no_other_workbook() {
    let bait = Bait::new();
    let types = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;
    let workbook = r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets><externalReferences><externalReference r:id="rId2"/></externalReferences></workbook>"#;
    let sheet = r#"<worksheet><sheetData><row r="1"><c r="A1"><f>[1]a!A1</f><v>1</v></c></row><row r="2"><c r="A2"><f>WEBSERVICE("URL")</f><v>2</v></c></row></sheetData></worksheet>"#
        .replace("URL", &bait.url());
    for target in [bait.url(), bait.secret(), format!("file://{}", bait.secret())] {
        let base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let relations = format!(
            r#"<Relationships><Relationship Id="rId1" Type="{base}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="{base}/externalLink" Target="{target}" TargetMode="External"/></Relationships>"#
        );
        let xlsx = zip(&[
            ("[Content_Types].xml", types.as_bytes()),
            ("xl/workbook.xml", workbook.as_bytes()),
            ("xl/_rels/workbook.xml.rels", relations.as_bytes()),
            ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
        ]);
        bait.check("a.xlsx", &xlsx).await;
    }
}
