//! Behavior of the catalog through its public interface, on real directories.

mod assets;
mod backup;
mod changes;
mod commits;
mod damage;
mod erasing;
mod erasure;
mod fixture;
mod limits;
mod majors;
mod projections;
mod retention;
mod rows;
mod search;
mod segments;
mod tables;
mod valid;
mod versions;
