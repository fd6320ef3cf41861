//! The chain of commits and the checkpoints.

use super::VerifyReport;
use crate::checkpoint;
use crate::log::{self, Change, Entry};
use crate::objects::Objects;
use crate::paths;
use crate::push::PushRecord;
use crate::state::{Digest, KeyValue, MemoryState, Watermark, pairs_of, watermark_pair};
use std::collections::{BTreeMap, HashSet};
use ukimet_model::{Dataset, DatasetId, Result, Sha256, Version};

/// What the readable commits say.
#[derive(Default)]
pub(super) struct Truth {
    pub(super) datasets: BTreeMap<DatasetId, Dataset>,
    pub(super) versions: Vec<(DatasetId, Version)>,
    pub(super) pushes: Vec<PushRecord>,
    /// Number of each dataset's newest version.
    newest: BTreeMap<DatasetId, u64>,
}

/// The state that the commits add up to, as long as they are whole.
struct Replayed {
    state: MemoryState,
    watermark: Watermark,
    /// Hash and digest after each commit.
    reached: BTreeMap<u64, (Sha256, Digest)>,
    is_whole: bool,
}

pub(super) fn check_truth(store: &Objects, identity: Option<Sha256>, report: &mut VerifyReport) -> Result<Truth> {
    let mut truth = Truth::default();
    let empty = Watermark::empty(identity.unwrap_or(Sha256([0; 32])));
    let state = MemoryState::default();
    state.write(&[watermark_pair(&empty)])?;
    let is_whole = identity.is_some();
    let mut replayed = Replayed { state, watermark: empty, reached: BTreeMap::new(), is_whole };
    let sequences: Vec<u64> = store.list(paths::LOG)?.iter().filter_map(|name| paths::log_sequence(name)).collect();
    let mut previous = identity;
    for sequence in 1..=sequences.last().copied().unwrap_or(0) {
        let key = paths::log_entry(sequence);
        if sequences.binary_search(&sequence).is_err() {
            report.find(key, "the commit is missing, but later ones are there");
            (previous, replayed.is_whole) = (None, false);
            continue;
        }
        count_object(store, &key, report);
        let read = log::read(store, sequence);
        match read {
            Ok((entry, hash)) => {
                check_chain(&key, &entry, previous, report);
                previous = Some(hash);
                replayed.add(&key, &entry, &hash, report);
                truth.add(&key, entry, report);
            }
            Err(error) => {
                report.find(key, error.to_string());
                (previous, replayed.is_whole) = (None, false);
            }
        }
    }
    check_checkpoints(store, &replayed, sequences.last().copied().unwrap_or(0), report)?;
    report.datasets = truth.datasets.len() as u64;
    report.versions = truth.versions.len() as u64;
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

impl Replayed {
    fn add(&mut self, key: &str, entry: &Entry, hash: &Sha256, report: &mut VerifyReport) {
        if !self.is_whole {
            return;
        }
        match pairs_of(entry, hash, &self.state, &self.watermark).and_then(|(pairs, next)| {
            self.state.write(&pairs)?;
            Ok(next)
        }) {
            Ok(next) => {
                self.reached.insert(entry.sequence, (next.hash, next.digest));
                self.watermark = next;
            }
            Err(damage) => {
                report.find(key, damage.to_string());
                self.is_whole = false;
            }
        }
    }
}

impl Truth {
    fn add(&mut self, key: &str, entry: Entry, report: &mut VerifyReport) {
        for change in entry.pushes.into_iter().flat_map(|push| push.changes) {
            match change {
                Change::DatasetCreated(dataset) => {
                    self.datasets.insert(dataset.id.clone(), dataset);
                }
                Change::MetadataChanged { .. } | Change::MappingChanged { .. } => (),
                Change::VersionPublished { dataset, version } => {
                    let newest = self.newest.insert(dataset.clone(), version.number.0);
                    let expected = newest.unwrap_or(0) + 1;
                    if version.number.0 != expected && report.is_clean() {
                        report.find(key, format!("it publishes {dataset}@{}, expected v{expected}", version.number));
                    }
                    self.versions.push((dataset, *version));
                }
                Change::PushRecorded(record) => self.pushes.push(*record),
            }
        }
    }
}

fn check_checkpoints(store: &Objects, replayed: &Replayed, last: u64, report: &mut VerifyReport) -> Result<()> {
    let names: Vec<String> = store.list(paths::CHECKPOINTS)?;
    let valid: HashSet<&String> = names.iter().filter(|name| paths::checkpoint_name(name).is_some()).collect();
    for name in &names {
        if !valid.contains(name) {
            report.find(format!("{}/{name}", paths::CHECKPOINTS), "it does not have the name of a checkpoint");
        }
    }
    for (sequence, hash) in checkpoint::list(store)? {
        let key = paths::checkpoint(sequence, &hash);
        count_object(store, &key, report);
        match checkpoint::read(store, sequence, &hash, &mut |_| Ok(())) {
            Ok(_) if sequence > last => {
                report.find(key, format!("the log ends at commit {last}: its end is missing"));
            }
            Ok(watermark) => {
                let expected = replayed.reached.get(&sequence);
                if replayed.is_whole && expected != Some(&(watermark.hash, watermark.digest)) {
                    report.find(key, "it is not the state that the commits add up to");
                }
            }
            // A hub at work removes superseded checkpoints.
            Err(_) if !store.exists(&key)? => (),
            Err(error) => report.find(key, error.to_string()),
        }
    }
    Ok(())
}
