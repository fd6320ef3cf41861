//! Behaviour of the crate from outside, with hostile input.

mod expected;
mod hostile;
mod layers;
mod typed;
