//! The built hub, from outside, over real sockets.

#![allow(
    unreachable_pub,
    clippy::panic,
    clippy::print_stdout,
    reason = "modules of one test program, which says what it expects by failing"
)]

mod backups;
mod certificates;
mod compactions;
mod containment;
mod delta;
mod differences;
mod downloads;
mod erasure;
mod exchanged_adapters;
mod filters;
mod fixes;
mod hub;
mod lifecycle;
mod majors;
mod mappings;
mod modes;
mod next_adapter;
mod protocol;
mod pushes;
mod rasters;
mod refusals;
mod registers;
mod renormalizing;
mod reports;
mod root_hashes;
mod slow_readers;
mod sql;
mod stores;
mod valid;
mod versions;
mod zones;
