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
