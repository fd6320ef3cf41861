//! The door of the fuzz targets to cells that are geometries.

/// What [`super::wkt::read`] makes of a cell.
pub(crate) fn read_place(text: &str) -> Option<(Vec<u8>, Option<u32>)> {
    super::wkt::read(text).ok().map(|cell| (cell.wkb, cell.srid))
}
