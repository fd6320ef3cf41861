//! What is left of erased rows, told honestly: objects that are still there, nodes that have not confirmed.

use super::remove::{erasures, folder, needed_unread, unfinished};
use crate::catalog::Catalog;
use crate::disk::Stat;
use crate::erasure::Erasure;
use crate::needs::KeySet;
use crate::node::Confirmations;
use crate::objects::Objects;
use crate::paths;
use crate::state::Read;
use jiff::Timestamp;
use std::collections::BTreeSet;
use ukimet_model::{Dataset, DatasetId, DatasetUuid, Result, SnapshotId};

/// What is left of rows that were erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErasureLeft {
    /// Whether nothing is: everything was looked through after all had let go of it.
    pub is_finished: bool,
    /// Objects of the store that may hold such rows, and that nobody needs.
    pub objects: u64,
    /// Nodes on a shared store that have not confirmed yet that they keep nothing of it, by the names in their directories.
    pub nodes: Vec<String>,
    /// Whether the store keeps what is deleted as earlier versions: then the rows are in these.
    pub keeps_deleted: bool,
}

/// An erasure that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedErasure {
    /// The dataset.
    pub dataset: DatasetId,
    /// The commit of the erasure.
    pub snapshot: SnapshotId,
    /// What is left.
    pub left: ErasureLeft,
}

impl Catalog {
    /// What is left of rows that an erasure took from a dataset, in the store and on its nodes.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the store does not answer, `Internal` if the state or the disk cannot be read.
    pub fn left_of_erasure(&self, dataset: &DatasetId, erasure: &Erasure) -> Result<ErasureLeft> {
        let shared = self.shared();
        let (dataset, _) = shared.snapshot().dataset(dataset)?;
        let one = [(dataset, erasure.clone())];
        let keeps_deleted = keeps_deleted(&shared.objects, erasure)?;
        if unfinished(&shared.objects, &one)?.is_empty() {
            return Ok(ErasureLeft { is_finished: true, keeps_deleted, ..ErasureLeft::default() });
        }
        let (confirmations, needed) = (Confirmations::read(&shared.objects)?, shared.state.read_pairs(needed_unread)?);
        left_of(&shared.objects, &needed, &confirmations, &one[0].0.uuid, erasure)
    }
}

/// The erasures of a state that are not finished, and what is left of each.
pub(crate) fn unfinished_erasures(objects: &Objects, pairs: &dyn Read) -> Result<Vec<UnfinishedErasure>> {
    let erasures = erasures(pairs)?;
    let unfinished = unfinished(objects, &erasures)?;
    if unfinished.is_empty() {
        return Ok(Vec::new());
    }
    let (confirmations, needed) = (Confirmations::read(objects)?, needed_unread(pairs)?);
    let left = |(dataset, erasure): (&Dataset, &Erasure)| {
        let left = left_of(objects, &needed, &confirmations, &dataset.uuid, erasure)?;
        Ok(UnfinishedErasure { dataset: dataset.id.clone(), snapshot: erasure.snapshot, left })
    };
    let left = unfinished.into_iter().map(left).collect::<Result<Vec<_>>>()?;
    // A copy of a store has nobody who says of its erasures that they are finished.
    let is_told = |erasure: &UnfinishedErasure| erasure.left.objects > 0 || !confirmations.is_empty();
    Ok(left.into_iter().filter(is_told).collect())
}

fn left_of(
    objects: &Objects,
    needed: &KeySet,
    confirmations: &Confirmations,
    dataset: &DatasetUuid,
    erasure: &Erasure,
) -> Result<ErasureLeft> {
    let open = Open { objects, needed, dataset, erasure };
    let held = match confirmations.complete(objects, erasure.snapshot.0)? {
        Some(complete) => open.held(open.written()?.max(Some(complete.at)), &complete.given_up)?,
        None => open.held(open.written()?, &BTreeSet::new())?,
    };
    Ok(ErasureLeft {
        is_finished: false,
        objects: held.len() as u64,
        nodes: confirmations.missing(erasure.snapshot.0),
        keeps_deleted: keeps_deleted(objects, erasure)?,
    })
}

fn keeps_deleted(objects: &Objects, erasure: &Erasure) -> Result<bool> {
    Ok(objects.stat(&paths::log_entry(erasure.snapshot.0))?.is_some_and(|stat| stat.is_versioned))
}

/// When the commit of an erasure was written, by the clock of the store; `None` if that does not tell.
pub(super) fn written(objects: &Objects, erasure: &Erasure) -> Result<Option<Timestamp>> {
    Ok(objects.stat(&paths::log_entry(erasure.snapshot.0))?.and_then(|stat| stat.modified))
}

/// An erasure that is not finished, in the store.
pub(super) struct Open<'a> {
    pub(super) objects: &'a Objects,
    /// What is needed if nobody reads what was erased.
    pub(super) needed: &'a KeySet,
    pub(super) dataset: &'a DatasetUuid,
    pub(super) erasure: &'a Erasure,
}

impl Open<'_> {
    /// When its commit was written, by the clock of the store; `None` if that does not tell.
    pub(super) fn written(&self) -> Result<Option<Timestamp>> {
        written(self.objects, self.erasure)
    }

    /// The objects that may hold its rows and that nobody needs, as far as they were written by then, each with its bytes:
    /// those in the dataset's folder, others that the erasure names, and those that were given up.
    pub(super) fn held(&self, until: Option<Timestamp>, given_up: &BTreeSet<String>) -> Result<Vec<(String, u64)>> {
        let own = folder(self.dataset);
        let names = self.objects.list(own.trim_end_matches('/'))?.into_iter().filter(|name| !paths::is_beside(name));
        let all: BTreeSet<String> = names
            .map(|name| format!("{own}{name}"))
            .chain(self.erasure.old_objects())
            .chain(given_up.iter().cloned())
            .collect();
        let mut held = Vec::new();
        for key in all.into_iter().filter(|key| !self.needed.contains(key)) {
            let is_meant = |stat: &Stat| until.zip(stat.modified).is_none_or(|(until, modified)| modified <= until);
            held.extend(self.objects.stat(&key)?.filter(is_meant).map(|stat| (key, stat.size_bytes)));
        }
        Ok(held)
    }
}
