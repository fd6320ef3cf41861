//! What is done to a dataset without a push: asked for, drafted as a part of a commit, recorded.

mod draft;

pub(crate) use draft::{check_why, draft_operation, not_kept};

use crate::seal::sha256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ukimet_model::{Action, DatasetId, Error, OperationId, OperationOutcome, Result, Sha256};

/// An operation as the hub asks for it.
#[derive(Clone, Debug)]
pub struct OperationIntent {
    /// The client's name for the operation, unique within the dataset's agency.
    pub id: OperationId,
    /// Who asks, for the log.
    pub principal: String,
    /// Why, in their words; empty if they do not say.
    pub why: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// What is done to it.
    pub action: Action,
}

/// An operation that was committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// The client's name for it.
    pub id: OperationId,
    /// The dataset.
    pub dataset: DatasetId,
    /// Why it was done; empty if nobody said.
    pub why: String,
    /// What was done, as it was asked for.
    pub action: Action,
    /// When it was committed, UTC.
    pub time: Timestamp,
    /// Who did it.
    pub principal: String,
    /// Hash over dataset, action and reason: a repeated operation has the same one, another under the same id has not.
    pub digest: Sha256,
    /// The answer it got.
    pub outcome: OperationOutcome,
}

impl OperationIntent {
    pub(crate) fn digest(&self) -> Sha256 {
        let json = serde_json::to_vec(&(&self.dataset, &self.action, &self.why));
        sha256(&json.expect("an action has no map, so it is JSON"))
    }

    /// The answer to an operation whose id was used before.
    pub(crate) fn replay(&self, record: OperationRecord) -> Result<OperationOutcome> {
        if record.digest == self.digest() {
            return Ok(record.outcome);
        }
        Err(Error::already_used(format!(
            "operation id {} was used for something else on dataset {}, committed in snapshot {}",
            self.id, record.dataset, record.outcome.snapshot
        )))
    }
}
