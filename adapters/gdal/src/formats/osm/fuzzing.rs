//! The door of the fuzz targets to the frames of a PBF.

pub(crate) use super::blobs::check_blobs;
