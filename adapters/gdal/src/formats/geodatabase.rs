//! Esri File Geodatabase: a folder, so it comes in a zip archive.

use super::Format;
use crate::features::{OgrFile, OgrFormat};

pub(super) const FORMAT: Format = Format {
    name: "OpenFileGDB",
    driver: Some("OpenFileGDB"),
    media_types: &["application/x-filegdb", "application/vnd.esri.filegdb+zip"],
    extensions: &["gdb"],
    sidecars: &[],
    // A folder has no bytes of its own: archives hand it over by its name.
    recognize: |_| false,
    open: |staged, context| OgrFile::open(OgrFormat::plain(FORMAT.name, "OpenFileGDB"), staged, context),
};
