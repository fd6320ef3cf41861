//! What a push would change if it were committed: the rows that differ, without a commit.

use crate::diff::Diff;
use crate::transaction::Transaction;
use std::sync::Arc;
use ukimet_model::{Dataset, DatasetId, Result, RowQuery, SnapshotId, Version, VersionSelector};

/// A dataset's newest version beside the one that a push would make of it.
pub struct Prospect {
    /// The dataset as it is.
    pub dataset: Dataset,
    /// The snapshot that has the newest version.
    pub snapshot: SnapshotId,
    /// The newest version.
    pub before: Version,
    /// The one that there would be; the same one if no row differs.
    pub after: Version,
    /// The rows that differ, with the columns of [`Diff`].
    pub diff: Diff,
}

impl Transaction {
    /// What the push would change in a dataset if it were committed now. Its rows can be read while the transaction is
    /// held; once that is dropped nothing is left of them.
    ///
    /// # Errors
    ///
    /// `Internal` if no layer of the push has ended for the dataset; `NotFound` if the dataset has no version yet;
    /// `Conflict` if another version came meanwhile; `Undeclared` listing what the push breaks, unless it begins a new
    /// major; `InvalidRequest` as [`crate::Snapshot::diff`].
    pub fn prospect(&self, dataset: &DatasetId, query: &RowQuery) -> Result<Prospect> {
        let (before, after) = self.before_and_after(dataset)?;
        let (shared, snapshot) = (self.shared(), self.shared().snapshot());
        let selector = VersionSelector { dataset: dataset.clone(), version: Some(before.number.into()) };
        let (dataset, before) = snapshot.version(&selector)?;
        let between: Vec<Version> = (after.number > before.number).then(|| after.clone()).into_iter().collect();
        let diff = Diff::try_new(Arc::clone(&shared.segments), &dataset, (&before, &after), &between, query)?;
        let snapshot = snapshot.id();
        Ok(Prospect { dataset, snapshot, before, after, diff })
    }
}
