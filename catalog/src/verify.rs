//! Checks everything that is true in a data directory, without changing it, even while a hub works on it.

mod objects;
mod truth;

use crate::disk::RealDisk;
use crate::objects::Objects;
use crate::{format, paths};
use std::path::Path;
use std::sync::Arc;
use ukimet_model::{Error, ErrorKind, Result};

/// What a check of a data directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Commits in the log.
    pub commits: u64,
    /// Datasets that the commits made.
    pub datasets: u64,
    /// Versions that the commits published.
    pub versions: u64,
    /// Objects that were read and hashed, log entries and checkpoints included.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that no commit names: of pushes under way, or left by a crash. Not a fault.
    pub unreferenced: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object it is wrong with, as a path in the data directory.
    pub object: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, object: impl Into<String>, reason: impl Into<String>) {
        self.findings.push(Finding { object: object.into(), reason: reason.into() });
    }
}

/// Checks a data directory: the chain and the seals of all commits, the checkpoints against them, the hash of every
/// object that a commit names. `deep` reads all rows as well and hashes them again.
///
/// Changes nothing and needs no lock. `progress` is called with the objects checked so far and their number.
///
/// # Errors
///
/// `NotFound` if there is no store in the directory, `InvalidRequest` if it has a format that this version does not
/// read. Damage is no error: it is in the report.
pub fn verify(dir: &Path, deep: bool, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
    verify_objects(&Objects::new(Arc::new(RealDisk::new(dir))), deep, progress)
}

pub(crate) fn verify_objects(store: &Objects, deep: bool, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
    if !store.exists(paths::FORMAT)? && store.list(paths::LOG)?.is_empty() {
        return Err(Error::not_found(format!("there is no store here: object {} is missing", paths::FORMAT)));
    }
    let mut report = VerifyReport::default();
    let identity = match format::read_identity(store) {
        Ok(identity) => Some(identity),
        Err(error) if error.kind() == ErrorKind::InvalidRequest => return Err(error),
        Err(error) => {
            report.find(paths::FORMAT, error.to_string());
            None
        }
    };
    let truth = truth::check_truth(store, identity, &mut report)?;
    objects::check_objects(store, &truth, deep, &mut report, progress)?;
    Ok(report)
}
