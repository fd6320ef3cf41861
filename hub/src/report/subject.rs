//! The push that a report is on.

use jiff::Timestamp;
use ukimet_catalog::{Erasure, PushRecord, Snapshot};
use ukimet_model::{
    COLUMNS_KEY, ColumnDecision, Dataset, Error, LayerOutcome, ProcessStep, PushId, Result, Version, VersionSelector,
};

/// One layer of one push.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The dataset that the layer went into.
    pub dataset: Dataset,
    /// The version that holds its rows.
    pub version: Version,
    /// The push.
    pub record: PushRecord,
    /// What it did to the dataset.
    pub layer: LayerOutcome,
    /// What took the bytes of the push and its tables, which are left out then; see [`Subject::without_erased`].
    pub erased: Option<Erasure>,
}

/// Finds the push that made a version, or another push into the dataset.
///
/// # Errors
///
/// `NotFound` if there is no such dataset, version or push, or if the push did not go into the dataset.
pub fn find(snapshot: &Snapshot, selector: &VersionSelector, push_id: Option<&PushId>) -> Result<Subject> {
    let (dataset, mut version) = snapshot.version(selector)?;
    let push_id = push_id.unwrap_or(&version.push_id).clone();
    let record = snapshot.push(dataset.id.agency(), &push_id)?;
    let layer = record.as_ref().and_then(|r| r.outcome.layers.iter().find(|layer| layer.dataset == dataset.id));
    let (Some(layer), Some(record)) = (layer.cloned(), record) else {
        return Err(Error::not_found(format!("there is no push {push_id} into dataset {}", dataset.id)));
    };
    // A version that a rollback made has the push of the version that it equals.
    if layer.version != version.number && version.push_id != record.push_id {
        let selector = VersionSelector { dataset: dataset.id.clone(), version: Some(layer.version.into()) };
        version = snapshot.version(&selector)?.1;
    }
    Ok(Subject { dataset, version, record, layer, erased: None })
}

impl Subject {
    /// What is left of the push if it held rows that were erased, or its tables went with them: the numbers, without places
    /// and values.
    ///
    /// # Errors
    ///
    /// `Internal` if the catalog's state cannot be read.
    pub(super) fn without_erased(mut self, snapshot: &Snapshot) -> Result<Self> {
        self.erased = snapshot.erasure_of_push(&self.record)?;
        for table in [&mut self.layer.verdicts, &mut self.layer.quarantine] {
            let Some(kept) = table else { continue };
            if let Some(erasure) = snapshot.erasure_of_table(&self.record, kept)? {
                *table = None;
                self.erased = Some(erasure);
            }
        }
        if self.erased.is_some() {
            // Commits of earlier releases name examples.
            self.layer.report = self.layer.report.without_examples();
        }
        Ok(self)
    }

    /// Checks that the findings of the push, of which an earlier release kept examples only, did not go with erased rows.
    ///
    /// # Errors
    ///
    /// `NotFound` saying when and why they went, `Internal` if the catalog's state cannot be read.
    pub(super) fn check_examples(&self, snapshot: &Snapshot) -> Result<()> {
        if self.layer.verdicts.is_some() || !self.layer.report.has_examples() {
            return Ok(());
        }
        match snapshot.erasure_of_push(&self.record)? {
            Some(erasure) => Err(Error::not_found(format!(
                "the examples of the push went with rows that were erased on {}: {}",
                erasure.erased, erasure.why
            ))),
            None => Ok(()),
        }
    }

    /// When the push published the version; `None` if another push did.
    pub(super) fn published(&self) -> Option<Timestamp> {
        (self.version.push_id == self.record.push_id).then_some(self.version.committed)
    }

    /// A step of the receipt.
    pub fn step(&self, name: &str) -> Option<&ProcessStep> {
        self.layer.report.steps.iter().find(|step| step.step == name)
    }

    /// What was decided about the columns of the source; `None` if the push is from before it was kept.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the receipt's words for it cannot be read.
    pub fn decisions(&self) -> Result<Option<Vec<ColumnDecision>>> {
        self.parameter("types", COLUMNS_KEY).map(ColumnDecision::parse).transpose()
    }

    /// A parameter of a step of the receipt.
    pub fn parameter(&self, step: &str, name: &str) -> Option<&str> {
        self.step(step)?.parameters.get(name).map(String::as_str)
    }
}
