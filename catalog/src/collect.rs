//! Objects that nobody needs: what a crash leaves between writing and committing, and what removed versions leave.

mod among_nodes;

pub(crate) use among_nodes::{LOOK_EVERY, collect_erased, time_of_store};

use crate::catalog::Shared;
use crate::layout::Superseded;
use crate::needs::{KeySet, Needs, RemovedVersions};
use crate::objects::Objects;
use crate::paths;
use crate::state::{Damage, StateSlot, each_record};
use std::sync::Arc;
use std::time::Duration;
use ukimet_model::{Error, Result};

/// Objects that were removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes the objects that nobody needs, while transactions and readers are at work.
///
/// The order matters: from the beginning on every claim is remembered; whoever commits and lets go of a state after the
/// oldest reader was asked for has its objects in the state that is read afterwards, or had claimed them.
///
/// # Errors
///
/// `Unavailable` after a disk failure, while another collection runs, or once the catalog is closed: what was removed
/// by then stays removed, the rest is left for another time.
pub(crate) fn collect_now(shared: &Arc<Shared>) -> Result<Collected> {
    let _only = shared.collecting.try_lock().map_err(|_| Error::unavailable("another collection is running"))?;
    shared.objects.check_writable()?;
    if shared.objects.is_shared() {
        return among_nodes::collect(shared);
    }
    let collection = shared.claims.begin_collection();
    let superseded = superseded(shared);
    let needed = needed(shared, &Needs::new(superseded.oldest_reader, superseded))?;
    let mut collected = Collected::default();
    each_stored(&shared.objects, &mut |key| {
        shared.check_open()?;
        if needed.contains(key) {
            return Ok(());
        }
        let Some(size_bytes) = size(&shared.objects, key)? else { return Ok(()) };
        if collection.delete(key)? {
            collected.objects += 1;
            collected.bytes += size_bytes;
        }
        Ok(())
    })?;
    Ok(collected)
}

/// The bytes of an object; `None` if a transaction that was given up took it away meanwhile.
fn size(objects: &Objects, key: &str) -> Result<Option<u64>> {
    match objects.open(key) {
        Ok(object) => Ok(Some(object.size_bytes())),
        Err(_) if !objects.exists(key)? => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a collection would remove if these versions were removed now.
pub(crate) fn would_collect(shared: &Shared, removed: &[RemovedVersions]) -> Result<Collected> {
    if shared.objects.is_shared() {
        return among_nodes::would_collect(shared, removed);
    }
    let superseded = superseded(shared);
    let needed = needed(shared, &Needs::new(superseded.oldest_reader, superseded).without(removed))?;
    let mut collected = Collected::default();
    each_stored(&shared.objects, &mut |key| {
        if !needed.contains(key) && !shared.claims.is_claimed(key) {
            collected.objects += 1;
            collected.bytes += size(&shared.objects, key)?.unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(collected)
}

/// Which superseded files stay now: on a shared store also for readers on other nodes.
fn superseded(shared: &Shared) -> Superseded {
    let options = &shared.options;
    let read_elsewhere = if shared.objects.is_shared() { options.sharing.reading_max } else { Duration::ZERO };
    let keep = options.superseded_keep.max(read_elsewhere);
    Superseded::now(shared.readers.oldest(), shared.clock.now(), keep, options.keeps_published_files)
}

/// The keys of the objects that a state and its readers need; `needs` says which readers there are.
fn needed(shared: &Shared, needs: &Needs) -> Result<KeySet> {
    let state: &StateSlot = &shared.state;
    let needed = state.read_pairs(|pairs| {
        let mut needs = needs.clone();
        let mut stopped = Ok(());
        // Keys are in the order in which needs are gathered.
        let walked = each_record(pairs, &mut |_, record| {
            stopped = shared.check_open();
            needs.add(&record);
            stopped.as_ref().copied().map_err(|_| Damage(String::new()))
        });
        match stopped {
            Ok(()) => walked.map(|()| Ok(needs.finish())),
            Err(closed) => Ok(Err(closed)),
        }
    });
    needed?
}

/// Calls `visit` with the key of every object that a commit may name, a folder at a time.
pub(crate) fn each_stored(objects: &Objects, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let datasets = objects.list(paths::DATA)?.into_iter().map(|dataset| format!("{}/{dataset}", paths::DATA));
    for folder in [paths::RAW.to_owned(), paths::RECEIPTS.to_owned()].into_iter().chain(datasets) {
        for name in objects.list(&folder)?.iter().filter(|name| !paths::is_beside(name)) {
            visit(&format!("{folder}/{name}"))?;
        }
    }
    Ok(())
}
