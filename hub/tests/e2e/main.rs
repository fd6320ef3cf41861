//! The built hub, from outside, over real sockets.

#![allow(unreachable_pub, clippy::panic, reason = "modules of one test program, which says what it expects by failing")]

mod containment;
mod hub;
mod lifecycle;
mod mappings;
mod protocol;
mod pushes;
mod refusals;
mod registers;
mod renormalizing;
mod reports;
