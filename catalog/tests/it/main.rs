//! Behavior of the catalog through its public interface, on real directories.

mod assets;
mod backup;
mod changes;
mod commits;
mod compaction;
mod damage;
mod erased_by_source;
mod erased_layouts;
mod erasing;
mod erasure;
mod erasure_in_doubt;
mod filters;
mod fixture;
mod limits;
mod majors;
mod ordered;
mod projections;
mod prospects;
mod retention;
mod rows;
mod search;
mod segments;
mod tables;
mod valid;
mod versions;
