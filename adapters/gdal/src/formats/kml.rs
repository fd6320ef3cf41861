//! KML; a KMZ is a zip archive with one inside. Network links are not followed.

use super::Format;
use crate::features::{OgrFile, OgrFormat};
use crate::xml;

pub(super) const FORMAT: Format = Format {
    name: "KML",
    driver: Some("LIBKML"),
    media_types: &["application/vnd.google-earth.kml+xml"],
    extensions: &["kml"],
    sidecars: &[],
    recognize: |clues| clues.has_root("kml"),
    open: |staged, context| {
        let transcoded = xml::ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
        xml::check_nesting(&staged.main, context.limits.nesting_max)?;
        let mut format = OgrFormat::plain(FORMAT.name, "LIBKML");
        format.transcoded(transcoded);
        format.untyped = true;
        OgrFile::open(format, staged, context)
    },
};
