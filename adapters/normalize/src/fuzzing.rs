//! The doors of the fuzz targets to the decoders of this crate; built only by them.

/// Reads a cell as WKT, EWKT or WKB in hex digits: canonical WKB and the SRID, `None` if it is none of them.
pub fn read_place(text: &str) -> Option<(Vec<u8>, Option<u32>)> {
    crate::places::fuzzing::read_place(text)
}
