//! Workbooks. The first byte chooses: an XLS or ODS file as it is, or parts of an XLSX or ODS package, parted by zero bytes,
//! which are put into a zip here: inside one with checksums no change would reach a reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Write};
use ukimet_adapter_gdal::fuzzing::read_as;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#;
const RELATIONS: &str = r#"<Relationships><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
const WORKBOOK: &str = r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>"#;

fuzz_target!(init: ukimet_fuzz::let_libraries_give_up(), |bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    match *choice % 4 {
        0 => drop(read_as("XLS", "a.xls", bytes)),
        1 => drop(read_as("XLSX", "a.xlsx", bytes)),
        2 => {
            let fixed = [
                ("[Content_Types].xml", TYPES),
                ("xl/_rels/workbook.xml.rels", RELATIONS),
                ("xl/workbook.xml", WORKBOOK),
            ];
            let names = ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"];
            drop(read_as("XLSX", "a.xlsx", &package(&fixed, &names, bytes)));
        }
        _ => {
            let fixed = [
                ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
                ("META-INF/manifest.xml", "<manifest/>"),
            ];
            drop(read_as("ODS", "a.ods", &package(&fixed, &["content.xml", "styles.xml"], bytes)));
        }
    }
});

fn package(fixed: &[(&str, &str)], names: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let parts = names.iter().copied().zip(bytes.split(|b| *b == 0));
    for (name, part) in fixed.iter().map(|(name, text)| (*name, text.as_bytes())).chain(parts) {
        zip.start_file(name, options).expect("a member");
        zip.write_all(part).expect("bytes in memory");
    }
    zip.finish().expect("an archive").into_inner()
}
