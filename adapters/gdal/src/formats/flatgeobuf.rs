//! `FlatGeobuf`. A cut file ends without an error in some builds of GDAL, so its rows are counted.

use super::Format;
use crate::features::{OgrFile, OgrFormat};

pub(super) const FORMAT: Format = Format {
    name: "FlatGeobuf",
    driver: Some("FlatGeobuf"),
    media_types: &["application/flatgeobuf", "application/x-flatgeobuf", "application/vnd.flatgeobuf"],
    extensions: &["fgb"],
    sidecars: &[],
    recognize: |clues| clues.head.starts_with(b"fgb\x03fgb"),
    open: |staged, context| {
        let mut format = OgrFormat::plain(FORMAT.name, "FlatGeobuf");
        format.options.push("VERIFY_BUFFERS=YES".to_owned());
        OgrFile::open(format, staged, context)
    },
};
