//! The ways in and out: each decodes, calls one function below, encodes.

pub mod body;
pub mod catalog;
pub mod coverage;
pub mod diff;
pub mod flight;
pub mod http;
pub mod push;
pub mod report;
pub mod versions;
