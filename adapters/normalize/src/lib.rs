//! Rules that turn what was read into what the hub promises.
//!
//! Pure: no file, network or clock. Every rule has the same parts: it looks at the raw rows (`observe`),
//! decides once per layer (`decide`), changes batches (`apply`) and leaves a receipt. The same bytes, the same
//! [`RULES_VERSION`] and the same declarations give the same rows.
//!
//! A reader makes a [`SourceLayer`], feeds a [`Survey`] while it needs more, and then sends every batch through
//! the [`Normalizer`] of the resulting [`Plan`].
//!
//! Coordinate operations come from the PROJ that is linked in statically, with its database embedded. PROJ
//! prefers a `proj.db` on disk, so the process must start with `PROJ_DATA` naming a folder without one and
//! `PROJ_SKIP_READ_USER_WRITABLE_DIRECTORY=YES`; otherwise results depend on the machine.
#![forbid(unsafe_code)]

mod codes;
mod crs;
mod findings;
#[cfg(fuzzing)]
pub mod fuzzing;
mod geometry;
mod layer;
mod mapping;
mod names;
mod places;
mod rules;
pub mod text;
mod types;

pub use crs::{Grids, from_crs84};
pub use layer::{
    DATE_CELLS_KEY, Declared, GEOMETRY_KEY, Limits, NUMERIC_CELLS_KEY, SourceEncoding, SourceLayer, TEXT_KEY,
};
pub use places::is_geometry_name;
pub use rules::{Normalizer, Plan, RULES_VERSION, Survey};
pub use ukimet_model::batch::{ROLE_KEY, UNIT_KEY};
