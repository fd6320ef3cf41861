//! Collecting while other nodes of the store are at work: they are told first, and have time to say what is needed.
//!
//! Why nothing is lost that a commit names stands in `docs/adr/0018-several-nodes-on-one-bucket.md`.

use super::{Collected, each_stored, needed, superseded};
use crate::catalog::Shared;
use crate::collecting::{OwnList, fresh_stat, is_older, remove_abandoned};
use crate::erase::{Erasures, needed_unread};
use crate::needs::{KeySet, Needs, RemovedVersions};
use crate::objects::Objects;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use ukimet_model::{Error, Result};

/// How many times the settling time a list of what is removed counts: its node removes for half of that.
const LIST_LIFE: u32 = 10;
/// How often a collection that waits looks whether the catalog is closed.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often objects are removed that held erased rows: what was there, and then what nodes left that did not know yet.
const ROUNDS_MAX: usize = 2;

/// Objects with their bytes.
type Sizes = BTreeMap<String, u64>;

/// Objects that are about to go.
#[derive(Default)]
struct Condemned {
    /// Those that nobody needs and that are of no push under way on any node.
    garbage: Sizes,
    /// Those that may hold erased rows, whoever reads them.
    erased: Sizes,
}

/// Removes the objects that nobody needs and that are of no push under way on any node, and goes on with erasures.
pub(super) fn collect(shared: &Arc<Shared>) -> Result<Collected> {
    shared.follow()?;
    let now = time_of_store(&shared.objects)?;
    remove_abandoned(&shared.objects, now, shared.options.sharing.settling * LIST_LIFE)?;
    remove_in_rounds(shared, garbage(shared, now, &[])?)
}

/// Removes the objects that held erased rows, and nothing else.
pub(crate) fn collect_erased(shared: &Arc<Shared>) -> Result<Collected> {
    shared.follow()?;
    remove_in_rounds(shared, Sizes::new())
}

fn remove_in_rounds(shared: &Arc<Shared>, garbage: Sizes) -> Result<Collected> {
    let (mut collected, mut condemned) = (Collected::default(), Condemned { garbage, erased: Sizes::new() });
    for _ in 0..ROUNDS_MAX {
        let erasures = Erasures::read(shared)?;
        condemned.erased = erasures.condemned(shared)?;
        let removed = remove(shared, std::mem::take(&mut condemned))?;
        collected.objects += removed.objects;
        collected.bytes += removed.bytes;
        if erasures.finish(shared)? {
            break;
        }
    }
    Ok(collected)
}

/// Tells all nodes what is about to go, and removes what they do not turn out to need.
fn remove(shared: &Arc<Shared>, condemned: Condemned) -> Result<Collected> {
    let (objects, settling) = (&shared.objects, shared.options.sharing.settling);
    let Condemned { garbage, erased } = &condemned;
    if garbage.is_empty() && erased.is_empty() {
        return Ok(Collected::default());
    }
    let list = OwnList::put(objects, garbage.keys().chain(erased.keys()), uuid::Uuid::new_v4().as_u128())?;
    if let Err(closed) = settle(shared, &list, settling) {
        // Nothing was removed, so nobody need wait for it.
        list.remove()?;
        return Err(closed);
    }
    shared.follow()?;
    let mut collected = Collected::default();
    for (key, size_bytes) in condemned.unneeded(shared)? {
        // Other nodes take the list for abandoned some time later.
        if list.age() > settling * LIST_LIFE / 2 || shared.check_open().is_err() {
            break;
        }
        // After an error the list stays: nobody knows when the object goes.
        objects.delete(&key)?;
        collected.objects += 1;
        collected.bytes += size_bytes;
    }
    list.remove()?;
    Ok(collected)
}

impl Condemned {
    /// What nobody needs now; erased rows are nothing that somebody may go on reading.
    fn unneeded(self, shared: &Shared) -> Result<Sizes> {
        let mut unneeded = self.erased;
        if !unneeded.is_empty() {
            let needed = shared.state.read_pairs(needed_unread)?;
            unneeded.retain(|key, _| !needed.contains(key));
        }
        if !self.garbage.is_empty() {
            let needed = needed_anywhere(shared, &[])?;
            // A ticket that is read on this node names files that the state does not need.
            let is_needed = |key: &String| needed.contains(key) || shared.claims.is_claimed(key);
            unneeded.extend(self.garbage.into_iter().filter(|(key, _)| !is_needed(key)));
        }
        Ok(unneeded)
    }
}

/// What [`collect`] would remove if these versions were removed now and nobody read them any more.
pub(super) fn would_collect(shared: &Shared, removed: &[RemovedVersions]) -> Result<Collected> {
    let mut garbage = garbage(shared, time_of_store(&shared.objects)?, removed)?;
    garbage.extend(Erasures::read(shared)?.condemned(shared)?);
    Ok(Collected { objects: garbage.len() as u64, bytes: garbage.values().sum() })
}

/// Waits until every commit that could not know of the list is in the log.
fn settle(shared: &Shared, list: &OwnList<'_>, settling: Duration) -> Result<()> {
    while list.age() < settling {
        shared.check_open()?;
        std::thread::sleep(LOOK_EVERY.min(settling));
    }
    Ok(())
}

/// What time it is by the clock of the store.
pub(crate) fn time_of_store(objects: &Objects) -> Result<Timestamp> {
    let now = fresh_stat(objects, uuid::Uuid::new_v4().as_u128())?;
    now.and_then(|stat| stat.modified)
        .ok_or_else(|| Error::unavailable("the store does not tell when an object was written"))
}

/// Objects that nobody needs, also not for versions that are to be removed, and that are old enough not to be of a push
/// under way, with their bytes.
fn garbage(shared: &Shared, now: Timestamp, removed: &[RemovedVersions]) -> Result<Sizes> {
    let (needed, age) = (needed_anywhere(shared, removed)?, shared.options.sharing.garbage_age);
    let mut garbage = Sizes::new();
    each_stored(&shared.objects, &mut |key| {
        shared.check_open()?;
        if needed.contains(key) || shared.claims.is_claimed(key) {
            return Ok(());
        }
        if let Some(stat) = shared.objects.stat(key)?
            && stat.modified.is_some_and(|modified| is_older(modified, now, age))
        {
            garbage.insert(key.to_owned(), stat.size_bytes);
        }
        Ok(())
    })?;
    Ok(garbage)
}

/// What is needed by the state without some versions, and by readers: those of this node, and of others for some time.
fn needed_anywhere(shared: &Shared, removed: &[RemovedVersions]) -> Result<KeySet> {
    let reading_max = shared.options.sharing.reading_max;
    let read_since = shared.clock.now().saturating_sub(reading_max).unwrap_or(Timestamp::MIN);
    let superseded = superseded(shared);
    let needs = Needs::new(superseded.oldest_reader, superseded).read_elsewhere_since(read_since);
    needed(shared, &needs.without(removed))
}
