//! The adapter in front of GDAL and the native readers: foreign bytes to normalized rows.
//!
//! The way through it: `stage` puts the asset into a folder of its own under a name that we made (archives unpacked),
//! `formats` recognises and opens it, `reader` reads every layer twice: once to decide, once to give the rows away.
#![deny(unsafe_code)]

mod ahead;
mod archive;
mod columnar;
mod elementary;
mod features;
mod formats;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gdal;
mod head;
mod json;
mod limits;
mod protobuf;
mod raster;
mod reader;
mod source;
mod stage;
mod tables;
mod text_batch;
mod transcode;
mod xml;

pub use gdal::{installed_files, prepare_libraries};
pub use limits::ReadLimits;
pub use reader::GdalAdapter;
