//! The table of formats served, and the formats that are known by name only to be refused.

mod arrow;
mod csv;
mod dxf;
mod esri_json;
mod flatgeobuf;
mod geodatabase;
mod geojson;
mod geojson_sequence;
mod geopackage;
mod geoparquet;
mod geotiff;
mod gml;
mod gpx;
mod gtfs;
mod kml;
mod mapinfo;
mod netcdf;
mod osm;
mod shapefile;
mod spreadsheet;
mod sqlite;
mod tiles;
mod topojson;
mod unserved;
mod wrapping;

#[cfg(fuzzing)]
pub(crate) use csv::fuzzing as csv_fuzzing;
#[cfg(fuzzing)]
pub(crate) use osm::fuzzing as osm_fuzzing;
pub(crate) use shapefile::cells::{DbfRows, DbfTable, name_of_bytes};
#[cfg(fuzzing)]
pub(crate) use shapefile::fuzzing as shapefile_fuzzing;

use crate::archive::ArchiveKind;
use crate::head::Head;
use crate::json::{Outline, outline};
use crate::limits::ReadLimits;
use crate::source::{Context, Source, Staged};
use crate::xml::{Prolog, check_depth, prolog};
use std::path::Path;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
pub(crate) use wrapping::{Wrapping, check_wrapping};

/// A format and how it is read.
pub(crate) struct Format {
    /// Its name, as in reports.
    pub(crate) name: &'static str,
    /// The GDAL driver that opens it; `None` if we read it ourselves.
    pub(crate) driver: Option<&'static str>,
    /// Its media types, the best known first.
    pub(crate) media_types: &'static [&'static str],
    /// File name endings, the usual one first.
    pub(crate) extensions: &'static [&'static str],
    /// Endings of files that belong to it and may lie beside it.
    pub(crate) sidecars: &'static [&'static str],
    /// Whether these clues are of this format.
    pub(crate) recognize: fn(&Clues) -> bool,
    /// Checks the staged files and opens them.
    pub(crate) open: fn(&Staged, Context<'_>) -> Result<Box<dyn Source>>,
}

/// Every format served, the more telling recognition before the vaguer one.
pub(crate) const FORMATS: &[Format] = &[
    geopackage::FORMAT,
    tiles::MBTILES,
    tiles::PMTILES,
    flatgeobuf::FORMAT,
    geoparquet::FORMAT,
    arrow::FILE,
    arrow::STREAM,
    shapefile::FORMAT,
    shapefile::DBASE,
    mapinfo::TAB,
    mapinfo::MIF,
    kml::FORMAT,
    gml::FORMAT,
    gpx::FORMAT,
    osm::PBF,
    osm::XML,
    topojson::FORMAT,
    esri_json::FORMAT,
    geojson_sequence::FORMAT,
    geojson::FORMAT,
    gtfs::FORMAT,
    spreadsheet::XLSX,
    spreadsheet::ODS,
    spreadsheet::XLS,
    geodatabase::FORMAT,
    dxf::FORMAT,
    tiles::MVT,
    geotiff::FORMAT,
    netcdf::FORMAT,
    csv::FORMAT,
];

/// Media types that say no more than the bytes do.
const VAGUE_MEDIA_TYPES: &[&str] = &[
    "",
    "application/octet-stream",
    "application/json",
    "application/xml",
    "text/xml",
    "text/plain",
    "application/zip",
];

/// What recognition goes by.
pub(crate) struct Clues {
    /// The first bytes.
    pub(crate) head: Head,
    /// The prolog, if it is XML.
    pub(crate) xml: Option<Prolog>,
    /// The outline, if it looks like JSON.
    pub(crate) json: Option<Outline>,
    /// What kind of zip it is, if it is one.
    pub(crate) zip: Option<ArchiveKind>,
    /// The declared media type, lower case, without parameters; empty if nobody declared one.
    pub(crate) media_type: String,
}

impl Clues {
    /// Looks at an asset; for JSON that is one pass over the file.
    pub(crate) fn read(path: &Path, name: &str, zip: Option<ArchiveKind>, media_type: Option<&str>) -> Result<Self> {
        let head = Head::read(path, name)?;
        let text = head.text();
        let xml = prolog(&text);
        let is_json = text.trim_start_matches(['\u{1e}', '\u{feff}', ' ', '\t', '\r', '\n']).starts_with(['{', '[']);
        let json = if is_json && zip.is_none() { Some(outline(path)?) } else { None };
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
        Ok(Self { head, xml, json, zip, media_type: media_type.trim().to_ascii_lowercase() })
    }

    /// Whether the first XML element has this name.
    pub(crate) fn has_root(&self, root: &str) -> bool {
        self.xml.as_ref().is_some_and(|xml| xml.root == root)
    }

    /// Whether the first JSON object has a `type` among these.
    pub(crate) fn has_json_type(&self, types: &[&str]) -> bool {
        let type_name = self.json.as_ref().and_then(|json| json.type_name.as_deref());
        type_name.is_some_and(|type_name| types.contains(&type_name))
    }
}

/// The format of an asset, by its bytes; its name and the declared media type must not say otherwise.
///
/// # Errors
///
/// `InvalidData` naming what was recognised and what was expected; `LimitReached` for JSON that is too deep.
pub(crate) fn recognize(clues: &Clues, limits: &ReadLimits) -> Result<&'static Format> {
    if clues.head.size_bytes == 0 {
        return Err(Error::invalid_data("a file with data was expected, found an empty file"));
    }
    let Some(format) = FORMATS.iter().find(|format| (format.recognize)(clues)) else {
        return Err(unknown(clues));
    };
    check_extension(format.name, format.extensions, &clues.head.extension)?;
    check_media_type(format.name, format.media_types, &clues.media_type)?;
    check_depth(clues.json.as_ref().map_or(0, |json| json.deepest), limits.nesting_max)?;
    Ok(format)
}

fn unknown(clues: &Clues) -> Error {
    let found = unserved::name(clues);
    let names = |formats: &mut dyn Iterator<Item = &Format>| formats.map(|f| f.name).collect::<Vec<_>>().join(", ");
    let extension = clues.head.extension.as_str();
    let claimed = names(&mut FORMATS.iter().filter(|format| format.extensions.contains(&extension)));
    if claimed.is_empty() {
        let served = names(&mut FORMATS.iter());
        return Error::invalid_data(format!("recognised {found}, which is not served; served are {served}"));
    }
    Error::invalid_data(format!("the file is named .{extension}, which is for {claimed}, but its bytes are {found}"))
}

/// Refuses a name that belongs to another format than the bytes.
fn check_extension(name: &str, own: &[&str], extension: &str) -> Result<()> {
    let other = FORMATS.iter().find(|format| format.extensions.contains(&extension));
    let is_archive = wrapping::EXTENSIONS.contains(&extension) && !(name == gtfs::FORMAT.name && extension == "zip");
    match other {
        _ if own.contains(&extension) => Ok(()),
        Some(other) => Err(Error::invalid_data(format!(
            "the file is named .{extension}, which is {}, but its bytes are {name}",
            other.name
        ))),
        None if is_archive => {
            Err(Error::invalid_data(format!("the file is named .{extension}, an archive, but its bytes are {name}")))
        }
        None => Ok(()),
    }
}

/// Refuses a declared media type that is not one of the format that the bytes have, unless it is a vague one.
fn check_media_type(name: &str, own: &[&str], essence: &str) -> Result<()> {
    if own.contains(&essence) || VAGUE_MEDIA_TYPES.contains(&essence) {
        return Ok(());
    }
    Err(Error::invalid_data(format!(
        "the media type is {}, but the bytes are {name}, expected {}",
        quoted(essence),
        own.join(" or ")
    )))
}

/// Whether a file with this ending is opened as a dataset when it lies in an archive.
pub(crate) fn is_main_file(extension: &str) -> bool {
    FORMATS.iter().any(|format| format.extensions.contains(&extension))
}

/// Whether a file with this ending may lie beside a main file with that one.
pub(crate) fn is_sidecar(main: &str, extension: &str) -> bool {
    FORMATS
        .iter()
        .filter(|format| format.extensions.contains(&main))
        .any(|format| format.extensions.contains(&extension) || format.sidecars.contains(&extension))
}

/// Whether a file with this ending is for people or for programs that we are not, and is left where it is.
pub(crate) fn is_decoration(extension: &str) -> bool {
    const DECORATIONS: &[&str] = &[
        "pdf", "md", "txt", "html", "htm", "doc", "docx", "rtf", "png", "jpg", "jpeg", "gif", "svg", "bmp", "ico",
        "shp.xml", "xml", "lyr", "lyrx", "qml", "qmd", "sld", "qgs", "qgz", "mxd", "aprx", "wor", "sbn", "sbx", "fbn",
        "fbx", "ain", "aih", "atx", "ixs", "mxs", "qix", "qpj", "xsd", "gfs", "css", "js", "ttf", "url", "license",
        "readme", "",
    ];
    DECORATIONS.contains(&extension)
}
