//! GML 2 and 3, without a look at schemas: they would be fetched from wherever the file says.

use super::{Clues, Format};
use crate::features::{OgrFile, OgrFormat};
use crate::xml;

pub(super) const FORMAT: Format = Format {
    name: "GML",
    driver: Some("GML"),
    media_types: &["application/gml+xml"],
    extensions: &["gml"],
    sidecars: &[],
    recognize,
    open: |staged, context| {
        let transcoded = xml::ensure_utf8(&staged.main, context.options.encoding.as_deref())?;
        xml::check_nesting(&staged.main, context.limits.nesting_max)?;
        let mut format = OgrFormat::plain(FORMAT.name, "GML");
        format.transcoded(transcoded);
        format.untyped = true;
        format.options = ["DOWNLOAD_SCHEMA=NO", "WRITE_GFS=NO", "FORCE_SRS_DETECTION=YES"].map(str::to_owned).to_vec();
        OgrFile::open(format, staged, context)
    },
};

/// A root in a GML namespace, or a feature collection of an application schema.
fn recognize(clues: &Clues) -> bool {
    const OTHERS: &[&str] = &["kml", "schema", "WFS_Capabilities", "GMLFeatureClassList", "Dictionary"];
    clues
        .xml
        .as_ref()
        .is_some_and(|xml| xml.tag.contains("http://www.opengis.net/gml") && !OTHERS.contains(&xml.root.as_str()))
}
