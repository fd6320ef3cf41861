//! The Delta Lake log of a dataset: a projection over the segments that are there anyway, so that engines which know
//! nothing of the hub read every version and skip what a window does not need.
//!
//! Delta version n is version n; Delta version 0 is the table before its first version, without rows. The log is never
//! read by the hub, except to see how far it is. Where it lies and what it is made from comes in through [`DatasetFiles`].

#![forbid(unsafe_code)]

mod action;
mod checkpoint;
mod entry;
mod files;
mod log;
mod schema;
mod stats;
mod vector;

pub use files::{DatasetFiles, ParquetFile};
pub use log::{CaughtUp, DeletedRows, LogOptions, catch_up, remove_log};
