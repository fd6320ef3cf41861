//! Small files, made here.

use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip archive of these members.
pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(*name, options).expect("begins");
        zip.write_all(bytes).expect("writes");
    }
    zip.finish().expect("ends").into_inner()
}

/// A point Shapefile with one numeric attribute, in degrees: `.shp`, `.shx`, `.dbf`, `.prj`.
pub(crate) fn shapefile(rows: u32) -> [(&'static str, Vec<u8>); 4] {
    let header = |words: u32| {
        let mut header = vec![0, 0, 0x27, 0x0a];
        header.extend([0; 20]);
        header.extend(words.to_be_bytes());
        header.extend(1000_u32.to_le_bytes());
        header.extend(1_u32.to_le_bytes());
        for bound in [70.0_f64, 43.0, 80.0, 53.0, 0.0, 0.0, 0.0, 0.0] {
            header.extend(bound.to_le_bytes());
        }
        header
    };
    let mut shp = header(50 + 14 * rows);
    let mut shx = header(50 + 4 * rows);
    let mut dbf = vec![3, 126, 1, 1];
    dbf.extend(rows.to_le_bytes());
    dbf.extend([65, 0, 6, 0]);
    dbf.extend([0; 20]);
    dbf.extend(b"code\0\0\0\0\0\0\0N\0\0\0\0\x05\0");
    dbf.extend([0; 14]);
    dbf.push(0x0d);
    for row in 0..rows {
        shx.extend((50 + 14 * row).to_be_bytes());
        shx.extend(10_u32.to_be_bytes());
        shp.extend((row + 1).to_be_bytes());
        shp.extend(10_u32.to_be_bytes());
        shp.extend(1_u32.to_le_bytes());
        shp.extend((70.0 + f64::from(row % 1_000) / 100.0).to_le_bytes());
        shp.extend((43.0 + f64::from(row / 1_000) / 100.0).to_le_bytes());
        dbf.extend(format!(" {row:5}").bytes());
    }
    dbf.push(0x1a);
    let prj = br#"GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]"#;
    [("roads.shp", shp), ("roads.shx", shx), ("roads.dbf", dbf), ("roads.prj", prj.to_vec())]
}

/// The archive of a Shapefile.
pub(crate) fn shapefile_zip(parts: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    zip(&parts.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())
}

/// A workbook of these sheets: name, attributes of its entry, and what stands inside `<worksheet>`. Style 1 is a date, 2 a duration, 3 and 4 are percents.
pub(crate) fn xlsx(is_1904: bool, sheets: &[(&str, &str, &str)]) -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let relations = |inside: String| {
        format!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inside}</Relationships>"#
        )
    };
    let entry = |(i, (name, attributes, _)): (usize, &(&str, &str, &str))| {
        let n = i + 1;
        format!(r#"<sheet name="{name}" sheetId="{n}" {attributes} r:id="rId{n}"/>"#)
    };
    let target =
        |n: usize| format!(r#"<Relationship Id="rId{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>"#);
    let entries = sheets.iter().enumerate().map(entry).collect::<Vec<_>>().concat();
    let targets = (1..=sheets.len()).map(target).collect::<Vec<_>>().concat();
    let styles = format!(r#"<Relationship Id="rId99" Type="{office}/styles" Target="styles.xml"/>"#);
    let mut members = vec![
        (
            "[Content_Types].xml".to_owned(),
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#.to_owned(),
        ),
        (
            "_rels/.rels".to_owned(),
            relations(format!(r#"<Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/>"#)),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!(
                r#"<workbook xmlns="{main}" xmlns:r="{office}"><workbookPr date1904="{}"/><sheets>{entries}</sheets></workbook>"#,
                u8::from(is_1904)
            ),
        ),
        ("xl/_rels/workbook.xml.rels".to_owned(), relations(targets + &styles)),
        (
            "xl/styles.xml".to_owned(),
            format!(
                r#"<styleSheet xmlns="{main}"><numFmts count="2"><numFmt numFmtId="164" formatCode="dd.mm.yyyy"/><numFmt numFmtId="165" formatCode="0.0%"/></numFmts><cellXfs count="5"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="46"/><xf numFmtId="165"/><xf numFmtId="9"/></cellXfs></styleSheet>"#
            ),
        ),
    ];
    for (i, (_, _, inside)) in sheets.iter().enumerate() {
        members.push((
            format!("xl/worksheets/sheet{}.xml", i + 1),
            format!(r#"<worksheet xmlns="{main}">{inside}</worksheet>"#),
        ));
    }
    zip(&members.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect::<Vec<_>>())
}

/// Rows of a sheet from lines with `|` between cells: text, numbers as numbers, `=` a cell's own XML after its address.
pub(crate) fn sheet_data(text: &str) -> String {
    let cell = |row: usize, column: usize, cell: &str| {
        let place = format!("{}{}", char::from(b'A' + column as u8), row + 1);
        match cell.strip_prefix('=') {
            Some(own) => format!(r#"<c r="{place}" {own}</c>"#),
            None if cell.parse::<f64>().is_ok() => format!(r#"<c r="{place}"><v>{cell}</v></c>"#),
            None => format!(r#"<c r="{place}" t="inlineStr"><is><t>{cell}</t></is></c>"#),
        }
    };
    let line = |(row, line): (usize, &str)| {
        let cells = line.split('|').map(str::trim).enumerate().filter(|(_, text)| !text.is_empty());
        let cells: Vec<String> = cells.map(|(column, text)| cell(row, column, text)).collect();
        format!(r#"<row r="{}">{}</row>"#, row + 1, cells.concat())
    };
    let rows = text.lines().enumerate().map(line).collect::<Vec<_>>().concat();
    format!("<sheetData>{rows}</sheetData>")
}

/// GeoJSON with this many points.
pub(crate) fn geojson(rows: u32) -> Vec<u8> {
    let features: Vec<String> = (0..rows)
        .map(|row| {
            let longitude = 70.0 + f64::from(row % 1_000) / 100.0;
            format!(
                r#"{{"type":"Feature","properties":{{"id":{row},"name":"үй {row}"}},"geometry":{{"type":"Point","coordinates":[{longitude},43.5]}}}}"#
            )
        })
        .collect();
    format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(",\n")).into_bytes()
}

/// GML 2 with this many points.
pub(crate) fn gml(rows: u32) -> String {
    let members: Vec<String> = (0..rows)
        .map(|row| format!("<gml:featureMember><roads><id>{row}</id><gml:pointProperty><gml:Point srsName=\"EPSG:4326\"><gml:coordinates>76.{row},43.5</gml:coordinates></gml:Point></gml:pointProperty></roads></gml:featureMember>\n"))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gml:FeatureCollection xmlns:gml=\"http://www.opengis.net/gml\">\n{}</gml:FeatureCollection>",
        members.concat()
    )
}
