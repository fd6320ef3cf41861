//! Removing the versions that the rules of their datasets do not keep.

use crate::catalog::Catalog;
use crate::operation::{OperationIntent, not_kept};
use ukimet_model::{Action, DatasetId, Result, VersionNumber};

impl Catalog {
    /// The versions that the rules of their datasets do not keep now, by dataset, the newest first; nothing is changed.
    ///
    /// Costs a look at every version of the datasets that have a rule.
    pub fn due_for_removal(&self) -> Result<Vec<(DatasetId, Vec<VersionNumber>)>> {
        let now = self.now();
        self.snapshot().each_with_rule(|view, dataset, rule| not_kept(view, &dataset.id, rule, now))
    }

    /// Removes the versions that the rules of their datasets do not keep, one commit a dataset, and tells which.
    ///
    /// Their objects stay until [`Catalog::collect_garbage`]. `principal` is who asks, for the log.
    ///
    /// # Errors
    ///
    /// As [`Catalog::operate`]; the removals before the error stay.
    pub fn apply_retention(&self, principal: &str) -> Result<Vec<(DatasetId, Vec<VersionNumber>)>> {
        let (due, snapshot) = (self.due_for_removal()?, self.snapshot().id());
        let mut removed = Vec::new();
        for (dataset, _) in due {
            let intent = OperationIntent {
                id: format!("retention-{}-at-{snapshot}", dataset.name()).parse()?,
                principal: principal.to_owned(),
                why: "the dataset's retention rule".to_owned(),
                dataset: dataset.clone(),
                action: Action::ApplyRetention,
            };
            let (outcome, is_replay, _) = self.operate(intent)?;
            if !is_replay {
                removed.push((dataset, outcome.removed));
            }
        }
        Ok(removed)
    }
}
