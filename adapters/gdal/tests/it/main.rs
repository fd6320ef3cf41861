//! The built adapter over real gRPC on a Unix socket.

mod adapter;
mod cases;
mod cut;
mod data;
mod doors;
mod limits;
mod process;
