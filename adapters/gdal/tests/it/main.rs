//! The built adapter over real gRPC on a Unix socket.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test says that it was skipped, and fails with what it found")]

mod adapter;
mod cases;
mod cut;
mod data;
mod doors;
mod formats;
mod limits;
mod mapping;
mod process;
mod rasters;
