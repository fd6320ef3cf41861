//! DXF drawings: one layer of entities, never with a CRS.

use super::Format;
use crate::features::{OgrFile, OgrFormat, Text};

pub(super) const FORMAT: Format = Format {
    name: "DXF",
    driver: Some("DXF"),
    media_types: &["image/vnd.dxf", "application/dxf", "image/x-dxf"],
    extensions: &["dxf"],
    sidecars: &[],
    recognize: |clues| {
        let text = clues.head.text();
        let mut lines = text.lines().map(str::trim);
        // Comments (group 999) may stand before the first section.
        clues.head.extension == "dxf"
            && lines.any(|line| line == "SECTION" || line == "AutoCAD Binary DXF")
            && clues.head.is_text()
    },
    open: |staged, context| {
        let mut format = OgrFormat::plain(FORMAT.name, "DXF");
        // GDAL decodes by the drawing's code page, and gives the bytes as they are where it knows none.
        format.text = Text::Unknown;
        OgrFile::open(format, staged, context)
    },
};
