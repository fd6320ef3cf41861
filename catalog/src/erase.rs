//! Erasing rows: from every version of a dataset and from everything that was kept of them, for good.
//!
//! What takes the place of files is written first, then one commit says so, then the files go. A crash before the commit
//! leaves the substitutes as garbage; after it, the old files are: what opens a catalog removes garbage either way.

mod among_nodes;
mod blank;
mod copies;
mod doubt;
mod draft;
mod find;
mod left;
mod pushes;
mod remove;
mod rewrite;
mod tables;

pub(crate) use among_nodes::Erasures;
pub(crate) use blank::boxes_without;
pub(crate) use copies::{erased_object, forget_erased, let_go_of_erased};
pub(crate) use draft::draft_erasure;
pub(crate) use left::unfinished_erasures;
pub use left::{ErasureLeft, UnfinishedErasure};
pub(crate) use remove::{finish_erasures, needed_unread};

use crate::catalog::{Catalog, Shared};
use crate::claims::ObjectClaim;
use crate::commit::Answer;
use crate::erasure::{Erasure, fingerprint};
use crate::operation::OperationIntent;
use crate::seal::sha256;
use crate::snapshot::Snapshot;
use find::{Found, find};
use jiff::Timestamp;
use pushes::{Holders, Holding, check_keys, mark_receipts};
use remove::remove_erased;
use rewrite::Rewriter;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use ukimet_model::{Action, DatasetId, Error, OperationId, Result, Sha256, SnapshotId, VersionNumber};

/// Rows that are to be erased, named by values of columns.
///
/// Unlike any other intent it holds values of rows, so it is never written down.
#[derive(Clone)]
pub struct ErasureIntent {
    /// The client's name for the operation, unique within the dataset's agency.
    pub id: OperationId,
    /// Who asks, for the log.
    pub principal: String,
    /// For whom it is done, in their words; empty if they do not say.
    pub who: String,
    /// Why, in their words. It is kept, so it must not name whose rows they are.
    pub why: String,
    /// The dataset.
    pub dataset: DatasetId,
    /// Columns, by published or source names.
    pub columns: Vec<String>,
    /// The rows: for each key the values of these columns, in their order, as text. A row is meant if it has all of them.
    pub keys: Vec<Vec<String>>,
    /// Whether bytes and tables go of pushes that may have held a key that no version has. Otherwise such keys are refused
    /// if there are such pushes.
    pub bytes_in_doubt: bool,
}

/// Everything that the commit of an erasure needs.
pub(crate) struct PreparedErasure {
    operation: OperationIntent,
    erasure: Erasure,
    /// The commit as of which pushes were asked: who pushed since was not.
    sequence: u64,
    /// The files that were looked through: a version with another one came meanwhile.
    looked: HashSet<Sha256>,
    newest: u64,
    /// How that version was laid out.
    newest_layout: Option<SnapshotId>,
    last_erasure: u64,
}

impl PreparedErasure {
    /// The operation that it is.
    pub(crate) fn operation(&self) -> &OperationIntent {
        &self.operation
    }
}

impl ErasureIntent {
    fn operation(&self) -> OperationIntent {
        OperationIntent {
            id: self.id.clone(),
            principal: self.principal.clone(),
            why: self.why.clone(),
            dataset: self.dataset.clone(),
            action: Action::EraseRows {
                columns: self.columns.clone(),
                keys: self.keys.len() as u64,
                who: self.who.clone(),
            },
        }
    }

    /// Fingerprint of everything that was named, whatever its order.
    fn asked(&self, salt: &Sha256) -> u32 {
        let keys: BTreeSet<_> = self.keys.iter().collect();
        let bytes = serde_json::to_vec(&keys).expect("texts are JSON");
        fingerprint(salt, &bytes)
    }
}

impl Catalog {
    /// Erases rows from every version of a dataset, with everything that was kept of them. Blocks until the files that
    /// held them are gone. On a shared store these go once all nodes have had time to say what they need, in some minutes;
    /// [`Catalog::left_of_erasure`] tells what is left after that.
    ///
    /// Answers what was done, whether that is the answer to an equal erasure that was committed before, and the snapshot
    /// that shows it. Whoever reads such rows at that moment gets an error. Costs a look at the columns in every file of
    /// the dataset, a copy of the files that have such rows, and the keys of every version that has.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset, `InvalidRequest` for keys that do not fit the columns or columns that no
    /// version has, `Undeclared` for keys that no version has but pushes may have held ([`ErasureIntent::bytes_in_doubt`]),
    /// `AlreadyUsed` for an id that was used for something else, `LimitReached` for too many keys or a full
    /// disk, `Unavailable` after a disk failure or when the catalog is closed, or if others hold the files for too long:
    /// the rows are erased then, and the files go when these end.
    pub fn erase(&self, intent: &ErasureIntent) -> Result<(Erasure, bool, Snapshot)> {
        let shared = self.shared();
        check_keys(intent, shared.options.erase_keys_max)?;
        loop {
            shared.follow()?;
            // Held while files are read: nobody takes this node for done with them.
            let snapshot = shared.snapshot();
            if let Some(record) = snapshot.operation(intent.dataset.agency(), &intent.id)? {
                intent.operation().replay(record)?;
                return Ok((replayed(&snapshot, intent)?, true, snapshot));
            }
            shared.check_takes_commits()?;
            let last = shared.last_erasure(&intent.dataset)?;
            let (prepared, claims) = match prepare(shared, intent) {
                // Another erasure took files away while they were looked through.
                Err(_) if last_erasure_now(shared, &intent.dataset)? != last => continue,
                prepared => prepared?,
            };
            let prepared = Arc::new(prepared);
            let claimed = shared.claims.made();
            match shared.committer.commit(shared, Arc::clone(&prepared))? {
                Answer::Moved => (),
                Answer::Replayed(_, snapshot) => return Ok((replayed(&snapshot, intent)?, true, snapshot)),
                Answer::Recorded(_, committed) => {
                    claims.iter().for_each(ObjectClaim::commit);
                    drop((claims, snapshot));
                    let erasure = erasure_of(&committed, intent)?;
                    if shared.objects.is_shared() {
                        among_nodes::remove_erased(shared, &intent.dataset, &erasure)?;
                    } else {
                        remove_erased(shared, &intent.dataset, &erasure, claimed)?;
                    }
                    return Ok((erasure, false, committed));
                }
            }
        }
    }

    /// What [`Catalog::erase`] would do now; nothing is changed.
    ///
    /// # Errors
    ///
    /// As [`Catalog::erase`].
    pub fn would_erase(&self, intent: &ErasureIntent) -> Result<Erasure> {
        let shared = self.shared();
        check_keys(intent, shared.options.erase_keys_max)?;
        look_through(shared, &intent.dataset, || foresee(shared, intent))
    }
}

/// What a look through a dataset's files tells: another look, if another erasure took files away meanwhile.
fn look_through<T>(shared: &Arc<Shared>, dataset: &DatasetId, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        shared.follow()?;
        let _pin = shared.snapshot();
        let last = shared.last_erasure(dataset)?;
        match look() {
            Err(_) if last_erasure_now(shared, dataset)? != last => (),
            told => return told,
        }
    }
}

/// What an erasure does to the dataset as it is, if nothing comes between.
fn foresee(shared: &Shared, intent: &ErasureIntent) -> Result<Erasure> {
    let found = find(shared, intent)?;
    let lost = lost_rows(shared, &found)?;
    let holders = Holding { shared, intent, found: &found, lost: &lost }.find()?;
    Ok(erasure(intent, &found, &lost, holders, Sha256([0; 32])))
}

/// The commit of a dataset's last erasure by now, whoever made it; 0 for none.
fn last_erasure_now(shared: &Arc<Shared>, dataset: &DatasetId) -> Result<u64> {
    shared.follow()?;
    shared.last_erasure(dataset)
}

fn erasure_of(snapshot: &Snapshot, intent: &ErasureIntent) -> Result<Erasure> {
    let erasures = snapshot.erasures(&intent.dataset)?;
    let found = erasures.into_iter().find(|erasure| erasure.operation == intent.id);
    found.ok_or_else(|| Error::internal(format!("operation {} erased nothing", intent.id)))
}

/// The answer that the operation got before, unless it named other rows then.
fn replayed(snapshot: &Snapshot, intent: &ErasureIntent) -> Result<Erasure> {
    let erasure = erasure_of(snapshot, intent)?;
    if erasure.asked == intent.asked(&erasure.salt) {
        return Ok(erasure);
    }
    let (id, dataset) = (&intent.id, &intent.dataset);
    Err(Error::already_used(format!("operation id {id} was used for other rows of dataset {dataset}")))
}

/// Writes what the commit names.
fn prepare(shared: &Shared, intent: &ErasureIntent) -> Result<(PreparedErasure, Vec<ObjectClaim>)> {
    let found = find(shared, intent)?;
    let lost = lost_rows(shared, &found)?;
    let holders = Holding { shared, intent, found: &found, lost: &lost }.find()?;
    let mut rewriter = Rewriter::new(shared, &found);
    rewriter.substitute_all()?;
    let mut facts = BTreeMap::new();
    for version in &found.versions {
        facts.insert(version.number, rewriter.facts(version)?);
    }
    let mut claims = mark_receipts(shared, intent, &holders, &found.versions, &mut facts)?;
    claims.append(&mut rewriter.claims);
    for version in &found.versions {
        let is_changed = |facts: &crate::erasure::VersionFacts| {
            facts.erased > 0 || facts.changes != version.changes || facts.receipt != version.receipt
        };
        if !facts.get(&version.number).is_some_and(is_changed) {
            facts.remove(&version.number);
        }
    }
    let salt = sha256(uuid::Uuid::new_v4().as_bytes());
    let fingerprints: BTreeSet<u32> =
        found.key_hashes.iter().map(|key| fingerprint(&salt, &key.to_be_bytes())).collect();
    let erasure = Erasure {
        segments: rewriter.segments,
        facts: facts.into_values().collect(),
        fingerprints: fingerprints.into_iter().collect(),
        ..erasure(intent, &found, &lost, holders, salt)
    };
    let prepared = PreparedErasure {
        operation: intent.operation(),
        erasure,
        sequence: found.sequence,
        looked: found.files.keys().copied().collect(),
        newest: found.versions.first().map_or(0, |version| version.number.0),
        newest_layout: found.versions.first().and_then(|version| version.layout),
        last_erasure: found.last_erasure,
    };
    Ok((prepared, claims))
}

/// How many rows each version loses.
fn lost_rows(shared: &Shared, found: &Found) -> Result<HashMap<VersionNumber, u64>> {
    let mut lost = HashMap::new();
    for version in &found.versions {
        let mut rows = 0;
        for segment in &version.segments {
            let Some(file) = found.files.get(&segment.parquet).filter(|file| !file.rows.is_empty()) else { continue };
            let live = crate::extent::live_rows(&shared.segments, &found.dataset.uuid, segment)?;
            rows += live.intersection_len(&file.rows);
        }
        lost.insert(version.number, rows);
    }
    Ok(lost)
}

/// An erasure without what takes the place of files; when it is committed is not known yet.
fn erasure(
    intent: &ErasureIntent,
    found: &Found,
    lost: &HashMap<VersionNumber, u64>,
    holders: Holders,
    salt: Sha256,
) -> Erasure {
    let lost = |number: &VersionNumber| lost.get(number).copied().unwrap_or(0);
    let versions = found.versions.iter().map(|version| (version.number, lost(&version.number)));
    Erasure {
        operation: intent.id.clone(),
        snapshot: SnapshotId(0),
        erased: Timestamp::UNIX_EPOCH,
        principal: intent.principal.clone(),
        who: intent.who.clone(),
        why: intent.why.clone(),
        columns: intent.columns.clone(),
        keys: intent.keys.len() as u64,
        keys_found: found.met.len() as u64,
        rows: found.files.values().map(|file| file.rows.len()).sum(),
        versions: versions.filter(|(_, rows)| *rows > 0).collect(),
        versions_without_columns: found.without_columns.clone(),
        pushes: holders.pushes,
        bytes_gone_elsewhere: Some(holders.bytes_gone_elsewhere),
        same_bytes_elsewhere: holders.same_bytes_elsewhere,
        commits_with_examples: holders.commits_with_examples,
        segments: Vec::new(),
        facts: Vec::new(),
        objects: holders.objects,
        asked: intent.asked(&salt),
        salt,
        fingerprints: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
