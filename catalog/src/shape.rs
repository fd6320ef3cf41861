//! Geometries of stored rows, taken out of their WKB.

use geo_traits::to_geo::ToGeoGeometry;
use geo_types::Geometry;
use ukimet_model::BoundingBox;

/// The geometry in OGC:CRS84; `None` if the bytes are none that could have been stored, or it has no position.
pub(crate) fn geometry(wkb: &[u8]) -> Option<Geometry> {
    wkb::reader::read_wkb(wkb).ok().and_then(|geometry| geometry.try_to_geometry())
}

/// The box around it; `None` if it is empty.
pub(crate) fn bounds(wkb: &[u8]) -> Option<BoundingBox> {
    ukimet_model::wkb::inspect(wkb).ok().and_then(|shape| shape.bounds).map(Into::into)
}
