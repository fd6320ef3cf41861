//! The built adapter over real gRPC on a Unix socket.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test says that it was skipped, and fails with what it found")]

mod adapter;
mod archives;
mod cases;
mod cut;
mod data;
mod doors;
mod feeds;
mod formats;
mod json_kinds;
mod limits;
mod process;
mod tiles;
mod tracks_and_maps;
