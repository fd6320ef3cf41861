//! Tests for any hub and any adapter of Ukimet Hub, from outside, over the wire.
//!
//! A class is a group of requirements, a requirement is a function whose name is the sentence that must hold.
//! Nothing here knows how a hub or an adapter is built: it speaks `ukimet.v1`, gRPC health and reflection, and
//! Arrow Flight. Everything random comes from one seed, which every report names.

#![forbid(unsafe_code)]

pub mod adapter;
pub mod certify;
pub mod class;
pub mod corpus;
pub mod failure;
pub mod generate;
pub mod hub;
pub mod known;
pub mod proxy;
pub mod push;
pub mod random;
pub mod reading;
pub mod report;
pub mod requirement;
pub mod samples;
pub mod suite;

pub use failure::{Failure, Verdict};
pub use report::{Finding, Report, Status};
pub use suite::{AdapterOptions, Options, run_adapter, run_hub};
