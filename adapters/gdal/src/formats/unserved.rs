//! Formats that are recognised only to be named in a refusal.

use super::Clues;
use crate::archive::ArchiveKind;
use ukimet_model::error::quoted;

/// Offset, magic bytes, name.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG", "PNG (a picture has no place; send a GeoTIFF)"),
    (0, b"\xff\xd8\xff", "JPEG (a picture has no place; send a GeoTIFF)"),
    (0, b"ncols", "an ASCII grid (it has no crs; send a GeoTIFF)"),
    (0, b"NCOLS", "an ASCII grid (it has no crs; send a GeoTIFF)"),
    (0, b"%PDF", "PDF"),
    (0, b"\x89HDF", "HDF5 (send a netCDF file, named .nc)"),
    (0, b"GRIB", "GRIB"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive (unpack it and send the files as a zip)"),
    (0, b"Rar!", "a RAR archive (unpack it and send the files as a zip)"),
    (0, b"BZh", "bzip2 (unpack it and send the file as it is or in a zip)"),
    (0, b"\xfd7zXZ", "xz (unpack it and send the file as it is or in a zip)"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard (unpack it and send the file as it is or in a zip)"),
    (0, b"LASF", "LAS point cloud"),
    (0, b"\0\0\x27\x0a", "an index of a Shapefile (.shx, to be sent in a zip with the .shp)"),
    (0, b"AC10", "DWG"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"\xd0\xcf\x11\xe0", "an OLE document that is not XLS"),
];

/// What an asset is, for people.
pub(super) fn name(clues: &Clues) -> String {
    if let Some(kind) = clues.zip {
        return match kind {
            ArchiveKind::Package(name) => name.to_owned(),
            _ => "a zip archive".to_owned(),
        };
    }
    if let Some((_, _, name)) = MAGIC.iter().find(|(offset, magic, _)| clues.head.has_at(*offset, magic)) {
        return (*name).to_owned();
    }
    if let Some(xml) = &clues.xml {
        return match xml.root.as_str() {
            _ if xml.has_dtd => "XML with a DTD (DOCTYPE), which is refused".to_owned(),
            "OGRVRTDataSource" | "VRTDataset" | "OGRVRTLayer" => "a GDAL VRT".to_owned(),
            "" => "XML without an element".to_owned(),
            root => format!("XML with root element {}", quoted(root)),
        };
    }
    if let Some(json) = &clues.json {
        return match &json.type_name {
            _ if !json.is_object => "JSON that is no object".to_owned(),
            Some(type_name) => format!("JSON of type {}", quoted(type_name)),
            None => "JSON without a GeoJSON type".to_owned(),
        };
    }
    if clues.head.is_text() { "text without a known structure".to_owned() } else { "unknown bytes".to_owned() }
}
