//! Erased rows: what a version says of rows that it had and that are gone for good.

use crate::digest::Sha256;
use crate::error::Error;
use crate::id::SnapshotId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Rows of a version that were erased after it was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedRows {
    /// How many, by all erasures together.
    pub rows: u64,
    /// The commit of the last of these erasures.
    pub snapshot: SnapshotId,
    /// When that commit was made, UTC.
    pub erased: Timestamp,
    /// The root hash that the version was published with.
    pub published_root_hash: Sha256,
}

impl ErasedRows {
    /// The error for what was begun before the rows of `version` (`almaty/schools@v3`) were erased and cannot go on.
    pub fn refusal(&self, version: &str) -> Error {
        Error::conflict(format!(
            "{} rows of {version} were erased on {} (snapshot {}), after this was asked for: ask again",
            self.rows, self.erased, self.snapshot
        ))
    }
}
