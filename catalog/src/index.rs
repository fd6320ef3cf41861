//! Indexes that are projections of the commits.

pub(crate) mod text;
