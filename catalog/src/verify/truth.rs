//! The chain of commits and the checkpoints.

use super::VerifyReport;
use crate::checkpoint;
use crate::log::{self, Change, Entry};
use crate::objects::Objects;
use crate::paths;
use crate::state::{Digest, KeyValue, MemoryState, Watermark, pairs_of, watermark_pair};
use std::collections::{BTreeMap, HashSet};
use ukimet_model::{DatasetId, ErrorKind, Result, Sha256, Version};

/// What the readable commits add up to.
pub(super) struct Truth {
    /// The state after the last of them.
    pub(super) state: MemoryState,
    /// Hash and digest after each commit, as long as all before it are whole.
    pub(super) reached: BTreeMap<u64, (Sha256, Digest)>,
    /// The last commit that the log had when it was listed.
    pub(super) last: u64,
    watermark: Watermark,
    is_whole: bool,
    /// Number of each dataset's newest version.
    newest: BTreeMap<DatasetId, u64>,
    created: HashSet<DatasetId>,
}

pub(super) fn check_truth(store: &Objects, identity: Option<Sha256>, report: &mut VerifyReport) -> Result<Truth> {
    // Before the log: a checkpoint that a hub at work writes meanwhile may be of a commit that is not looked at.
    let checkpoints = store.list(paths::CHECKPOINTS)?;
    let sequences: Vec<u64> = store.list(paths::LOG)?.iter().filter_map(|name| paths::log_sequence(name)).collect();
    let mut truth = Truth::empty(identity, sequences.last().copied().unwrap_or(0))?;
    let mut previous = identity;
    for sequence in 1..=truth.last {
        let key = paths::log_entry(sequence);
        let read = if sequences.binary_search(&sequence).is_ok() {
            count_object(store, &key, report);
            match log::read(store, sequence) {
                // A store that does not answer is not damaged.
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                read => read.map_err(|error| error.to_string()),
            }
        } else {
            Err("the commit is missing, but later ones are there".to_owned())
        };
        match read {
            Ok((entry, hash)) => {
                check_chain(&key, &entry, previous, report);
                previous = Some(hash);
                truth.add(&key, &entry, &hash, report);
            }
            Err(reason) => {
                report.find(key, reason);
                (previous, truth.is_whole) = (None, false);
            }
        }
    }
    check_checkpoints(store, &checkpoints, &truth, report)?;
    report.datasets = truth.created.len() as u64;
    Ok(truth)
}

pub(super) fn count_object(store: &Objects, key: &str, report: &mut VerifyReport) {
    report.objects += 1;
    report.bytes += store.open(key).map_or(0, |object| object.size_bytes());
}

fn check_chain(key: &str, entry: &Entry, previous: Option<Sha256>, report: &mut VerifyReport) {
    report.commits += 1;
    if previous.is_some_and(|previous| previous != entry.previous) {
        let expected = previous.map(|hash| hash.short()).unwrap_or_default();
        report.find(key, format!("it builds on {}, the commit before has {expected}", entry.previous.short()));
    }
}

impl Truth {
    fn empty(identity: Option<Sha256>, last: u64) -> Result<Self> {
        let watermark = Watermark::empty(identity.unwrap_or(Sha256([0; 32])));
        let state = MemoryState::default();
        state.write(&[watermark_pair(&watermark)])?;
        let reached = BTreeMap::from([(0, (watermark.hash, watermark.digest))]);
        let (newest, created) = (BTreeMap::new(), HashSet::new());
        Ok(Self { state, reached, last, watermark, is_whole: identity.is_some(), newest, created })
    }

    /// Adds a readable commit, even after one that is not: what it names must be there all the same.
    fn add(&mut self, key: &str, entry: &Entry, hash: &Sha256, report: &mut VerifyReport) {
        for change in entry.parts.iter().flat_map(|part| &part.changes) {
            match change {
                Change::DatasetCreated(dataset) => drop(self.created.insert(dataset.id.clone())),
                Change::VersionPublished { dataset, version } => {
                    report.versions += 1;
                    self.check_version(key, dataset, version, report);
                }
                Change::RowsErased { erasure, .. } => report.erased_rows += erasure.rows,
                _ => (),
            }
        }
        let added = pairs_of(entry, hash, &self.state, &self.watermark).and_then(|(pairs, next)| {
            self.state.write(&pairs)?;
            Ok(next)
        });
        match added {
            Ok(next) => self.watermark = next,
            Err(damage) => {
                self.is_whole = false;
                if report.is_clean() {
                    report.find(key, damage.to_string());
                }
            }
        }
        if self.is_whole {
            self.reached.insert(entry.sequence, (self.watermark.hash, self.watermark.digest));
        }
    }

    /// After a commit that cannot be read, gaps are no news.
    fn check_version(&mut self, key: &str, dataset: &DatasetId, version: &Version, report: &mut VerifyReport) {
        let newest = self.newest.insert(dataset.clone(), version.number.0);
        let expected = newest.unwrap_or(0) + 1;
        if version.number.0 != expected && report.is_clean() {
            report.find(key, format!("it publishes {dataset}@{}, expected v{expected}", version.number));
        }
        if !self.created.contains(dataset) && report.is_clean() {
            report.find(key, format!("dataset {dataset} was never created"));
        }
    }
}

fn check_checkpoints(store: &Objects, names: &[String], truth: &Truth, report: &mut VerifyReport) -> Result<()> {
    for name in names {
        let Some((sequence, hash)) = paths::checkpoint_name(name) else {
            report.find(format!("{}/{name}", paths::CHECKPOINTS), "it does not have the name of a checkpoint");
            continue;
        };
        let key = paths::checkpoint(sequence, &hash);
        count_object(store, &key, report);
        match checkpoint::read(store, sequence, &hash, &mut |_| Ok(())) {
            Ok(_) if sequence > truth.last => {
                report.find(key, format!("the log ends at commit {}: its end is missing", truth.last));
            }
            Ok(watermark) => {
                let expected = truth.reached.get(&sequence);
                if truth.is_whole && expected != Some(&(watermark.hash, watermark.digest)) {
                    report.find(key, "it is not the state that the commits add up to");
                }
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            // A hub at work removes superseded checkpoints.
            Err(_) if !store.exists(&key)? => (),
            Err(error) => report.find(key, error.to_string()),
        }
    }
    Ok(())
}
