//! What a raster must be to be kept, told from its head, before any pixel is read.

use crate::gdal::{BandHead, RasterHead};
use crate::limits::ReadLimits;
use gdal::raster::GdalDataType;
use ukimet_model::{Error, Result};

/// Checks places, types and limits.
///
/// # Errors
///
/// `InvalidData` saying what the publisher can do, `LimitReached` naming the limit.
pub(super) fn check(head: &RasterHead, limits: &ReadLimits) -> Result<()> {
    check_bands(head, limits)?;
    check_place(head)?;
    let values = head.width as u64 * head.height as u64 * head.bands.len() as u64;
    if values > limits.raster_values_max {
        return Err(Error::limit_reached(format!(
            "a raster has at most {} values, this one declares {} x {} pixels in {} bands; send it in parts",
            limits.raster_values_max,
            head.width,
            head.height,
            head.bands.len()
        )));
    }
    for band in &head.bands {
        let bytes = band.block.0 as u64 * band.block.1 as u64 * u64::from(band.data_type.bytes());
        if bytes > limits.raster_block_bytes_max {
            return Err(Error::limit_reached(format!(
                "a tile or strip of a raster has at most {} bytes, this one has {} x {} pixels of {}; send it in smaller tiles",
                limits.raster_block_bytes_max,
                band.block.0,
                band.block.1,
                type_name(band)
            )));
        }
    }
    Ok(())
}

fn check_bands(head: &RasterHead, limits: &ReadLimits) -> Result<()> {
    if head.bands.is_empty() || head.width == 0 || head.height == 0 {
        return Err(Error::invalid_data(
            "a raster with pixels was expected, found none; is the data a table of points?",
        ));
    }
    if head.bands.len() > limits.raster_bands_max {
        let (limit, found) = (limits.raster_bands_max, head.bands.len());
        return Err(Error::limit_reached(format!("a raster has at most {limit} bands, found {found}")));
    }
    if head.bands.iter().any(|band| band.data_type == GdalDataType::Unknown) {
        return Err(Error::invalid_data(
            "pixels are real numbers, found complex ones or an unknown type; send real and imaginary part as bands",
        ));
    }
    if head.bands.iter().any(|band| band.data_type != head.bands[0].data_type) {
        return Err(Error::invalid_data(
            "the bands of a raster have one type, found several; send each type by itself",
        ));
    }
    Ok(())
}

fn check_place(head: &RasterHead) -> Result<()> {
    let Some(t) = head.transform else {
        let found = match (head.control_points, head.has_polynomials) {
            (0, false) => "found none".to_owned(),
            (0, true) => "found the polynomials of a sensor (RPC) only".to_owned(),
            (count, _) => format!("found {count} ground control points only"),
        };
        return Err(Error::invalid_data(format!(
            "a raster with a place for every pixel was expected, {found}; bring it onto a grid first (gdalwarp does)"
        )));
    };
    let area = t[1] * t[5] - t[2] * t[4];
    if !t.iter().all(|number| number.is_finite()) || area == 0.0 {
        return Err(Error::invalid_data(format!("pixels have an area, found the geotransform {t:?}")));
    }
    Ok(())
}

/// The name of a band's type, as GDAL says it: `Byte`, `Int16`, `Float32` and so on.
pub(super) fn type_name(band: &BandHead) -> String {
    if band.is_signed_byte { "Int8".to_owned() } else { band.data_type.name() }
}
