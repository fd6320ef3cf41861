//! The hub: the write path, the read path, the ways in and out, and the command line.
//!
//! The parts are public for the program beside them and for its tests; nothing else is built on them.

#![forbid(unsafe_code)]

pub mod adapters;
pub mod api;
pub mod bundle;
pub mod certificates;
pub mod cli;
pub mod client;
pub mod compacting;
pub mod config;
pub mod coverage;
mod delta;
pub mod diff;
pub mod download;
pub mod export;
pub mod files;
pub mod filter;
pub mod fixes;
pub mod hashing;
pub mod ingest;
pub mod kept;
pub mod mapping;
pub mod metrics;
pub mod registers;
pub mod renormalize;
pub mod report;
pub mod server;
pub mod staging;
mod store;
pub mod usage;
