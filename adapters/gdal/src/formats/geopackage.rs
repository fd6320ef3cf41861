//! `GeoPackage`: layers of an `SQLite` database, tables without geometry included.

use super::{Clues, Format};
use crate::features::{OgrFile, OgrFormat};

pub(super) const FORMAT: Format = Format {
    name: "GeoPackage",
    driver: Some("GPKG"),
    media_types: &["application/geopackage+sqlite3", "application/x-gpkg"],
    extensions: &["gpkg"],
    sidecars: &[],
    recognize,
    open: |staged, context| OgrFile::open(OgrFormat::plain(FORMAT.name, "GPKG"), staged, context),
};

/// The application id of the standard, or of its first versions; old writers left it empty and had the name only.
fn recognize(clues: &Clues) -> bool {
    let head = &clues.head;
    head.starts_with(b"SQLite format 3\0")
        && (head.has_at(68, b"GPKG") || head.has_at(68, b"GP1") || head.extension == "gpkg")
}
