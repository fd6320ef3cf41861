//! SQL over the versions of a catalog: the only place that names `DataFusion`. It knows no wire.
//!
//! Start with [`Queries`]: a [`Question`] is a text with the snapshot that it is asked of and its parameters, and a query
//! reads nothing else. Every dataset is a table by its id, `"almaty/schools"`, every version one by its selector,
//! `"almaty/schools@v7"`. Geometries are WKB in OGC:CRS84, longitude first; lengths are metres, areas square metres.

#![forbid(unsafe_code)]

mod allowed;
mod concatenation;
mod functions;
mod interrupt;
mod join;
mod limits;
mod planning;
mod pool;
mod pushdown;
mod queries;
mod refusal;
mod scan;
mod session;
mod spatial;
mod tables;
mod text;

pub use limits::QueryLimits;
pub use queries::{Answer, Described, Queries, Question, Read};
pub use tables::{CATALOG, SCHEMA};
