//! GPX: waypoints, routes, tracks and the points of both, each a layer where it has rows. Elevations are Z and a column.

use super::Format;
use crate::features::{OgrFile, OgrFormat};
use crate::xml;

pub(super) const FORMAT: Format = Format {
    name: "GPX",
    driver: Some("GPX"),
    media_types: &["application/gpx+xml", "application/gpx"],
    extensions: &["gpx"],
    sidecars: &[],
    recognize: |clues| clues.has_root("gpx"),
    open: |staged, context| {
        let transcoded = xml::ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
        let mut format = OgrFormat::plain(FORMAT.name, "GPX");
        format.transcoded(transcoded);
        format.fixed_layers = true;
        OgrFile::open(format, staged, context)
    },
};
