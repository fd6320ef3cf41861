//! The SDK's server over real gRPC, in front of adapters made for the test.

#![allow(clippy::panic, reason = "tests fail by it, and one adapter here has this defect")]

mod adapters;
mod contract;
mod faults;
