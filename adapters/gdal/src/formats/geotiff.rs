//! `GeoTIFF`, Cloud Optimized or not, `BigTIFF` included: each page a raster. What lies beside the file is not read.

use super::{Clues, Format};
use crate::raster::{RasterFile, RasterFormat};

pub(super) const FORMAT: Format = Format {
    name: "GeoTIFF",
    driver: Some("GTiff"),
    media_types: &["image/tiff", "image/tiff; application=geotiff", "image/geotiff", "image/x-geotiff"],
    extensions: &["tif", "tiff", "gtiff", "btf"],
    sidecars: &["tfw", "tifw", "prj", "aux.xml", "ovr", "msk"],
    recognize,
    open: |staged, context| {
        RasterFile::open(RasterFormat { name: FORMAT.name, driver: "GTiff", options: &[] }, staged, context)
    },
};

fn recognize(clues: &Clues) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| clues.head.starts_with(*magic))
}
