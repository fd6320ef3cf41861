//! The built adapter over real gRPC on a Unix socket.

#![allow(clippy::panic, clippy::print_stdout, reason = "a test says that it was skipped, and fails with what it found")]

mod adapter;
mod addresses;
mod archives;
mod cases;
mod columnar;
mod csv;
mod cut;
mod data;
mod dbase;
mod demo;
mod doors;
mod feeds;
mod flatgeobuf;
mod formats;
mod geodatabase;
mod geojson;
mod geopackage;
mod json_kinds;
mod limits;
mod mapping;
mod places;
mod process;
mod protobuf;
mod rasters;
mod tables;
mod tiles;
mod tracks_and_maps;
mod xml;
