//! The ways in and out: each decodes, calls one function below, encodes.

pub mod body;
pub mod catalog;
mod conditions;
pub mod coverage;
pub mod diff;
mod download;
pub mod flight;
pub mod http;
pub mod push;
pub mod report;
pub mod versions;
