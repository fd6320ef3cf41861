//! What a push would change, told row by row to someone who waits, before the push is dropped.

use crate::diff::DiffHeading;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use tokio::sync::mpsc;
use ukimet_catalog::{Prospect, Transaction};
use ukimet_model::{DatasetId, Error, Result, RowQuery};

/// A part of what a push would change.
pub(crate) enum Compared {
    /// Comes first, once.
    Begin(Box<ComparedVersions>),
    /// Rows that differ, with the columns of [`ukimet_catalog::Diff`].
    Rows(RecordBatch),
}

/// The two versions, of which one is not there.
pub(crate) struct ComparedVersions {
    pub(crate) heading: DiffHeading,
    /// The columns of the rows that differ.
    pub(crate) schema: SchemaRef,
    pub(crate) rows_before: u64,
    pub(crate) rows_after: u64,
}

/// Where a push tells what it would change.
#[derive(Clone)]
pub(crate) struct Comparing(mpsc::Sender<Compared>);

impl Comparing {
    /// At most `waiting_max` batches wait for whoever listens.
    pub(crate) fn new(waiting_max: usize) -> (Self, mpsc::Receiver<Compared>) {
        let (sender, receiver) = mpsc::channel(waiting_max);
        (Self(sender), receiver)
    }

    /// Tells what a transaction would change in a dataset. Blocks while nobody takes it.
    pub(super) fn tell(&self, transaction: &Transaction, dataset: &DatasetId) -> Result<()> {
        let asked = RowQuery::default();
        let Prospect { dataset, snapshot, before, after, diff } = transaction.prospect(dataset, &asked)?;
        let schema = diff.schema();
        let heading = DiffHeading::new((&dataset.id, snapshot), (&before, &after), &schema, (asked, None));
        let (rows_before, rows_after) = (before.rows, after.rows);
        self.send(Compared::Begin(Box::new(ComparedVersions { heading, schema, rows_before, rows_after })))?;
        for rows in diff {
            self.send(Compared::Rows(rows?))?;
        }
        Ok(())
    }

    fn send(&self, part: Compared) -> Result<()> {
        self.0.blocking_send(part).map_err(|_| Error::unavailable("nobody waits any more for what a push would change"))
    }
}
