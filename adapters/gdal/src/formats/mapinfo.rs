//! `MapInfo` TAB (with its data, map and index files) and MIF/MID.
//!
//! GDAL decodes by the charset of the header where it knows it. It is set to `Neutral` in the scratch copy, so that the
//! bytes come as they are and the decoding stands in the receipt.

use super::{Clues, Format};
use crate::features::{OgrFile, OgrFormat, Text};
use crate::source::{Context, Source, Staged};
use crate::transcode::replace;
use std::fs;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

pub(super) const TAB: Format = Format {
    name: "MapInfo TAB",
    driver: Some("MapInfo File"),
    media_types: &["application/vnd.mapinfo.tab", "application/x-mapinfo-tab"],
    extensions: &["tab"],
    sidecars: &["dat", "map", "id", "ind", "dbf"],
    recognize: |clues| header(clues).starts_with("!table"),
    open: open_tab,
};

pub(super) const MIF: Format = Format {
    name: "MapInfo MIF",
    driver: Some("MapInfo File"),
    media_types: &["application/vnd.mapinfo.mif", "application/x-mapinfo-mif"],
    extensions: &["mif"],
    sidecars: &["mid"],
    recognize: |clues| {
        let header = header(clues);
        header.starts_with("version") && header.contains("columns") && clues.head.is_text()
    },
    open: |staged, context| {
        if staged.sibling("mid").is_none() {
            return Err(missing("MIF", ".mid"));
        }
        open(MIF.name, staged, context)
    },
};

fn header(clues: &Clues) -> String {
    clues.head.text().to_ascii_lowercase()
}

fn open_tab(staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let header = fs::read(&staged.main).map_err(|e| Error::unavailable("the asset could not be read").caused_by(e))?;
    let header = String::from_utf8_lossy(&header).to_lowercase();
    let kind = header.split("type").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    if !matches!(kind, "native" | "dbf") {
        return Err(Error::invalid_data(format!(
            "a MapInfo table of type native or dbf was expected, found {}",
            quoted(kind)
        )));
    }
    let data = if kind == "dbf" { "dbf" } else { "dat" };
    if staged.sibling(data).is_none() {
        return Err(missing("TAB", &format!(".{data} .map .id")));
    }
    open(TAB.name, staged, context)
}

fn open(name: &'static str, staged: &Staged, context: Context<'_>) -> Result<Box<dyn Source>> {
    let mut format = OgrFormat::plain(name, "MapInfo File");
    format.text = match neutralize(staged)? {
        Some((charset, label)) => Text::Declared { label: label.to_owned(), by: format!("charset {charset}") },
        None => Text::Unknown,
    };
    OgrFile::open(format, staged, context)
}

/// Replaces the charset by `Neutral` in the scratch copy; gives the charset and its IANA name.
fn neutralize(staged: &Staged) -> Result<Option<(String, &'static str)>> {
    let bytes = fs::read(&staged.main).map_err(|e| Error::unavailable("the asset could not be read").caused_by(e))?;
    let head_end = bytes.len().min(4_096);
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let Some((charset, label)) = CHARSETS.iter().find(|(charset, _)| head.contains(charset)) else { return Ok(None) };
    let at = bytes[..head_end].windows(charset.len()).position(|w| w == charset.as_bytes());
    let Some(at) = at else { return Ok(None) };
    let mut copy = bytes[..at].to_vec();
    copy.extend(b"Neutral");
    let rest = &bytes[at + charset.len()..];
    // The charset stands twice in a TAB: in the version lines and in the definition.
    match rest[..rest.len().min(4_096)].windows(charset.len()).position(|w| w == charset.as_bytes()) {
        Some(again) => {
            copy.extend(&rest[..again]);
            copy.extend(b"Neutral");
            copy.extend(&rest[again + charset.len()..]);
        }
        None => copy.extend(rest),
    }
    replace(&staged.main, &copy)?;
    Ok(Some(((*charset).to_owned(), label)))
}

const CHARSETS: &[(&str, &str)] = &[
    ("WindowsCyrillic", "windows-1251"),
    ("WindowsLatin1", "windows-1252"),
    ("WindowsLatin2", "windows-1250"),
    ("WindowsGreek", "windows-1253"),
    ("WindowsTurkish", "windows-1254"),
    ("WindowsBalticRim", "windows-1257"),
    ("WindowsSimpChinese", "gbk"),
    ("WindowsTradChinese", "big5"),
    ("WindowsJapanese", "shift_jis"),
    ("WindowsKorean", "euc-kr"),
    ("ISO8859_5", "iso-8859-5"),
    ("ISO8859_1", "iso-8859-1"),
    ("UTF-8", "utf-8"),
];

fn missing(kind: &str, endings: &str) -> Error {
    Error::invalid_data(format!(
        "a MapInfo {kind} has {endings} beside it, found it alone: send all of its files as a zip"
    ))
}
