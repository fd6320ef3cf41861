//! Behaviour of the crate from outside, with hostile input.

mod hostile;
mod typed;
