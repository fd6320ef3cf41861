//! The wire of Ukimet Hub: the `ukimet.v1` messages and services, and their conversion to the model.
//!
//! `convert` is the only file that knows both the wire and the model.

#![forbid(unsafe_code)]

pub mod certificate;
pub mod convert;
pub mod export_receipt;
pub mod ipc;
pub mod signing;
pub mod status;

/// Generated from `proto/ukimet/v1/*.proto`, where every field is described.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("ukimet.v1");

    /// The descriptors of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ukimet.v1.fds"));
}
