//! ESRI Shapefile (and a dBASE table alone). Sizes and counts are checked against each other before GDAL sees them.
//!
//! GDAL is told to leave text as it is: the `.cpg` file or the language byte of the `.dbf` say how to decode it, and
//! where neither does, the normalizer looks at the text.

pub(crate) mod cells;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod headers;

use super::Format;
use crate::features::{OgrFile, OgrFormat, Text};
use crate::source::{Context, Source, Staged, finding};
use cells::DbfTable;
use encoding_rs::Encoding;
use headers::{check_dbf, check_shapes, language};
use std::fs;
use std::sync::Arc;
use ukimet_model::{Result, Severity};
use ukimet_normalize::text::encoding_for;

pub(super) const FORMAT: Format = Format {
    name: "ESRI Shapefile",
    driver: Some("ESRI Shapefile"),
    media_types: &["application/vnd.shp", "application/x-shapefile", "application/vnd.shp+zip", "x-gis/x-shapefile"],
    extensions: &["shp"],
    sidecars: &["shx", "dbf", "prj", "cpg"],
    recognize: |clues| clues.head.starts_with(b"\0\0\x27\x0a") && clues.head.extension == "shp",
    open: |staged, context| open(FORMAT.name, staged, context),
};

pub(super) const DBASE: Format = Format {
    name: "dBASE",
    driver: Some("ESRI Shapefile"),
    media_types: &["application/dbf", "application/x-dbf", "application/vnd.dbf"],
    extensions: &["dbf"],
    sidecars: &["cpg"],
    recognize: |clues| {
        clues.head.extension == "dbf"
            && matches!(clues.head.bytes.first(), Some(0x03 | 0x30 | 0x31 | 0x83 | 0x8b | 0xf5))
    },
    open: |staged, context| open(DBASE.name, staged, context),
};

fn open(name: &'static str, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let shapes = match staged.sibling("shp") {
        Some(shp) => check_shapes(&shp, staged.sibling("shx").as_deref())?,
        None => None,
    };
    let mut format = OgrFormat::plain(name, "ESRI Shapefile");
    if let Some(dbf) = staged.sibling("dbf") {
        check_dbf(&dbf, shapes)?;
        let table = DbfTable::look(&dbf)?;
        format.findings.extend(table.findings.iter().cloned());
        format.table = Some(Arc::new(table));
    } else {
        let message = "the shapes came without their table (.dbf): they have no attributes".to_owned();
        format.findings.push(finding("shapefile.no_table", Severity::Warning, message, 1, &[]));
    }
    format.options = vec!["ENCODING=".to_owned()];
    format.text = match declared_encoding(staged)? {
        Some((label, by)) => Text::Declared { label, by },
        None => Text::Unknown,
    };
    OgrFile::open(format, staged, context)
}

/// The encoding that the files declare, if one that can be decoded.
fn declared_encoding(staged: &Staged) -> Result<Option<(String, String)>> {
    if let Some(cpg) = staged.sibling("cpg") {
        let text = fs::read(cpg).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        if let Some(label) = code_page(&text) {
            return Ok(Some((label, format!(".cpg {text}"))));
        }
    }
    let Some(dbf) = staged.sibling("dbf") else { return Ok(None) };
    let language = language(&dbf)?;
    Ok(LANGUAGES
        .iter()
        .find(|(byte, _)| *byte == language)
        .map(|(byte, label)| ((*label).to_owned(), format!(".dbf language 0x{byte:02x}"))))
}

/// The encoding that a `.cpg` names: `1251`, `CP1251`, `ANSI 1251`, `UTF-8`, `65001`, `88595`, …
fn code_page(text: &str) -> Option<String> {
    if let Ok(encoding) = encoding_for(text) {
        return Some(encoding.name().to_owned());
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let name = match digits.as_str() {
        "65001" | "8" => Some("UTF-8"),
        "866" => Some("IBM866"),
        "932" => Some("Shift_JIS"),
        "936" => Some("GBK"),
        "949" => Some("EUC-KR"),
        "950" => Some("Big5"),
        "874" => Some("windows-874"),
        iso if iso.starts_with("8859") => {
            Encoding::for_label(format!("iso-8859-{}", &iso[4..]).as_bytes()).map(Encoding::name)
        }
        windows => Encoding::for_label(format!("windows-{windows}").as_bytes()).map(Encoding::name),
    };
    name.map(str::to_owned)
}

/// Language bytes that mean an encoding that can be decoded. 0x57 means "as on the writer's machine", so nothing.
const LANGUAGES: &[(u8, &str)] = &[
    (0x03, "windows-1252"),
    (0x26, "IBM866"),
    (0x65, "IBM866"),
    (0x4d, "GBK"),
    (0x4e, "EUC-KR"),
    (0x4f, "Big5"),
    (0x78, "Big5"),
    (0x79, "EUC-KR"),
    (0x7a, "GBK"),
    (0x7b, "Shift_JIS"),
    (0x7c, "windows-874"),
    (0xc8, "windows-1250"),
    (0xc9, "windows-1251"),
    (0xca, "windows-1254"),
    (0xcb, "windows-1253"),
    (0xcc, "windows-1257"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpg_names_an_encoding_in_many_ways() {
        for (text, label) in [
            ("1251", "windows-1251"),
            ("CP1251", "windows-1251"),
            ("ANSI 1251", "windows-1251"),
            ("UTF-8", "UTF-8"),
            ("65001", "UTF-8"),
            ("88595", "ISO-8859-5"),
            ("866", "IBM866"),
            ("KZ-1048", "KZ-1048"),
            ("RK1048", "KZ-1048"),
            ("STRK1048-2002", "KZ-1048"),
        ] {
            assert_eq!(code_page(text).as_deref(), Some(label), "{text}");
        }
        assert_eq!(code_page("SYSTEM"), None);
    }
}
