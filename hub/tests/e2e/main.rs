//! The built hub, from outside, over real sockets.

#![allow(unreachable_pub, reason = "modules of one test program")]

mod hub;
mod lifecycle;
mod protocol;
mod pushes;
mod refusals;
