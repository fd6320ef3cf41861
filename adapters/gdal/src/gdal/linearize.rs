//! Curves and surfaces as lines and polygons.

use super::raised::watched;
use ukimet_model::{Error, Result};

/// A geometry without curves and surfaces as ISO WKB: arcs as chords of 4 degrees, surfaces as polygons.
///
/// # Errors
///
/// `InvalidData` if GDAL cannot read the bytes either.
pub(crate) fn linearize(wkb: &[u8]) -> Result<Vec<u8>> {
    let unreadable = || Error::invalid_data("a geometry is neither linear nor a curve that GDAL knows");
    let mut geometry: gdal_sys::OGRGeometryH = std::ptr::null_mut();
    let length = i32::try_from(wkb.len()).map_err(|_| unreadable())?;
    let (linear, raised) = watched(|| {
        // SAFETY: the bytes are borrowed for the call; each handle is made here and destroyed below, once.
        unsafe {
            let read =
                gdal_sys::OGR_G_CreateFromWkb(wkb.as_ptr().cast(), std::ptr::null_mut(), &raw mut geometry, length);
            if read != gdal_sys::OGRErr::OGRERR_NONE || geometry.is_null() {
                return None;
            }
            let kind = gdal_sys::OGR_G_GetGeometryType(geometry) % 1000;
            let is_surface = matches!(kind, 15 | 16);
            let simple = match kind {
                15 | 16 => gdal_sys::OGR_G_ForceToMultiPolygon(geometry),
                17 => gdal_sys::OGR_G_ForceToPolygon(geometry),
                _ => gdal_sys::OGR_G_GetLinearGeometry(geometry, 0.0, std::ptr::null_mut()),
            };
            if !is_surface && kind != 17 {
                gdal_sys::OGR_G_DestroyGeometry(geometry);
            }
            if simple.is_null() {
                return None;
            }
            let mut bytes = vec![0_u8; usize::try_from(gdal_sys::OGR_G_WkbSize(simple)).unwrap_or_default()];
            let written = gdal_sys::OGR_G_ExportToIsoWkb(simple, gdal_sys::OGRwkbByteOrder::wkbNDR, bytes.as_mut_ptr());
            gdal_sys::OGR_G_DestroyGeometry(simple);
            (written == gdal_sys::OGRErr::OGRERR_NONE).then_some(bytes)
        }
    });
    linear.filter(|_| raised.failures.is_empty()).ok_or_else(unreadable)
}
