//! What goes after an erasure from a store that several nodes share.
//!
//! Objects go as in a collection of garbage: all nodes are told first. An erasure is finished when each node has
//! confirmed that nobody there reads, writes or keeps anything of before, and nothing that they left is there. Whoever
//! collects garbage goes on where a crash ended this. Why it is enough stands in `docs/adr/0021-erasing-among-nodes.md`.

use super::left::{Open, written};
use super::remove::{clean_beside, erasures, finish, needed_unread, note_cleaned, unfinished};
use crate::catalog::{Catalog, Shared};
use crate::collect::{LOOK_EVERY, collect_erased, time_of_store};
use crate::erasure::Erasure;
use crate::node::{Complete, Confirmations};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use ukimet_model::{Dataset, DatasetId, Error, Result};

/// All erasures of a store, as of one look.
pub(crate) struct Erasures(Vec<(Dataset, Erasure)>);

/// Takes away what held erased rows, as far as it can be now.
///
/// # Errors
///
/// `Unavailable` saying that the rows are erased, if the store does not answer: a later collection goes on.
pub(super) fn remove_erased(shared: &Arc<Shared>, id: &DatasetId, erasure: &Erasure) -> Result<()> {
    let remove = || {
        let (dataset, _) = shared.snapshot().dataset(id)?;
        clean_beside(&shared.objects, &dataset.uuid)?;
        note_cleaned(shared, id);
        let _only = shared.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        collect_erased(shared).map(drop)
    };
    remove().map_err(|error| {
        let snapshot = erasure.snapshot;
        error.context(format!(
            "the rows are erased (snapshot {snapshot}), but not all that held them is gone, which the next collection of garbage goes on with"
        ))
    })
}

impl Catalog {
    /// The datasets, since the last call, whose files beside the segments were taken away after the commit of an erasure: who
    /// followed it at once, or did not know of it yet on another node, may have written some. Whoever writes such files
    /// writes them anew.
    pub fn take_cleaned_beside(&self) -> BTreeSet<DatasetId> {
        std::mem::take(&mut *self.shared().cleaned_beside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Erasures {
    pub(crate) fn read(shared: &Shared) -> Result<Self> {
        shared.state.read_pairs(erasures).map(Self)
    }

    /// The objects that are to go now, each with its bytes: what was there when the erasure was committed, and once all
    /// nodes have confirmed it, what they left until then. Whatever was written later is of later pushes.
    pub(crate) fn condemned(&self, shared: &Shared) -> Result<BTreeMap<String, u64>> {
        let unfinished = unfinished(&shared.objects, &self.0)?;
        if unfinished.is_empty() {
            return Ok(BTreeMap::new());
        }
        let needed = shared.state.read_pairs(needed_unread)?;
        let confirmations = Confirmations::read(&shared.objects)?;
        let mut condemned = BTreeMap::new();
        for (dataset, erasure) in unfinished {
            let open = Open { objects: &shared.objects, needed: &needed, dataset: &dataset.uuid, erasure };
            let held = match last_write(shared, &confirmations, erasure)? {
                Some(last) => open.held(Some(last.at), &last.given_up)?,
                None => open.held(open.written()?, &BTreeSet::new())?,
            };
            condemned.extend(held.into_iter().filter(|(key, _)| !shared.claims.is_claimed(key)));
        }
        Ok(condemned)
    }

    /// Says of every erasure that it is finished, if it is; whether that left none of those that all nodes have confirmed.
    pub(crate) fn finish(&self, shared: &Shared) -> Result<bool> {
        let mut is_done = true;
        for (dataset, erasure) in unfinished(&shared.objects, &self.0)? {
            let confirmations = Confirmations::read(&shared.objects)?;
            let Some(last) = last_write(shared, &confirmations, erasure)? else { continue };
            wait_until(shared, last.at)?;
            let needed = shared.state.read_pairs(needed_unread)?;
            let open = Open { objects: &shared.objects, needed: &needed, dataset: &dataset.uuid, erasure };
            if open.held(Some(last.at), &last.given_up)?.is_empty() {
                // Somebody may have written there what it knew before.
                clean_beside(&shared.objects, &dataset.uuid)?;
                note_cleaned(shared, &dataset.id);
                finish(&shared.objects, &dataset.uuid, erasure)?;
            } else {
                is_done = false;
            }
        }
        Ok(is_done)
    }
}

/// Until when somebody who did not know of an erasure may have written, by the clock of the store, and what else it left: a
/// write has its effect within the settling time or never. `None` as long as some node has not confirmed the erasure.
fn last_write(shared: &Shared, confirmations: &Confirmations, erasure: &Erasure) -> Result<Option<Complete>> {
    let Some(complete) = confirmations.complete(&shared.objects, erasure.snapshot.0)? else { return Ok(None) };
    let last = complete.at.max(written(&shared.objects, erasure)?.unwrap_or(Timestamp::MIN));
    let at = last.saturating_add(shared.options.sharing.settling);
    let at = at.map_err(|e| Error::internal("adding the settling time").caused_by(e))?;
    Ok(Some(Complete { at, ..complete }))
}

/// Waits until a time by the clock of the store, which is at most the settling time away.
fn wait_until(shared: &Shared, until: Timestamp) -> Result<()> {
    let left = until.duration_since(time_of_store(&shared.objects)?);
    let left = Duration::try_from(left).unwrap_or_default().min(shared.options.sharing.settling);
    let begun = Instant::now();
    while begun.elapsed() < left {
        shared.check_open()?;
        std::thread::sleep(LOOK_EVERY.min(left));
    }
    Ok(())
}
