//! Hot kernels of the hub, each by itself over made-up rows that are the same everywhere.
//!
//! A [`Kernel`] is set up once, which is neither timed nor counted, and gives [`Work`] that can be done any number of times.
//! `benches/kernels.rs` times it with criterion; the program `kernels` does it once under callgrind, where
//! `bench/instructions.py` counts its instructions and compares them with `instructions.toml`.

#![forbid(unsafe_code)]

mod hashing;
mod kernel;
mod normalizing;
mod parcels;
mod scanning;
mod wkb;

pub use kernel::{KERNELS, Kernel, Work};
