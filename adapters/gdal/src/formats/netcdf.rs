//! netCDF, classic and netCDF-4 (HDF5): each gridded variable a raster, its other dimensions as bands.

use super::{Clues, Format};
use crate::raster::{RasterFile, RasterFormat};

pub(super) const FORMAT: Format = Format {
    name: "netCDF",
    driver: Some("netCDF"),
    media_types: &["application/x-netcdf", "application/netcdf", "application/x-netcdf4"],
    extensions: &["nc", "nc4", "cdf"],
    sidecars: &[],
    recognize,
    open: |staged, context| {
        RasterFile::open(RasterFormat { name: FORMAT.name, driver: "netCDF", options: &[] }, staged, context)
    },
};

/// HDF5 is netCDF-4 only if its name says so: other HDF5 files look the same.
fn recognize(clues: &Clues) -> bool {
    let head = &clues.head;
    let is_classic = [b"CDF\x01", b"CDF\x02", b"CDF\x05"].iter().any(|magic| head.starts_with(*magic));
    let is_named =
        FORMAT.extensions.contains(&head.extension.as_str()) || FORMAT.media_types.contains(&clues.media_type.as_str());
    is_classic || (head.starts_with(b"\x89HDF\r\n\x1a\n") && is_named)
}
