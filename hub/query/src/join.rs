//! Joins of two sides by how their geometries relate.

mod build;
mod exec;
mod grid;
mod pairs;
mod rule;
#[cfg(test)]
mod tests;
mod zone;

pub(crate) use rule::SpatialJoinRule;
