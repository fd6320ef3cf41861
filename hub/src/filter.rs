//! Filters as readers write them, in CQL2 as text or JSON, and what they ask of rows.
//!
//! `cql2` parses. Which of the language is served, and that no filter costs more than it may, is decided here.

mod reading;
#[cfg(test)]
mod tests;
mod times;
mod written;

pub use written::{FilterLimits, WrittenFilter};
