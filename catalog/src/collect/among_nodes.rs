//! Collecting while other nodes of the store are at work: they are told first, and have time to say what is needed.
//!
//! Why nothing is lost that a commit names stands in `docs/adr/0018-several-nodes-on-one-bucket.md`.

use super::{Collected, each_stored, needed};
use crate::catalog::Shared;
use crate::collecting::{OwnList, is_older, remove_abandoned, store_time};
use crate::needs::{KeySet, Needs};
use crate::objects::Objects;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use ukimet_model::{Error, Result};

/// How many times the settling time a list of what is removed counts: its node removes for half of that.
const LIST_LIFE: u32 = 10;
/// How often a collection that waits looks whether the catalog is closed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Removes the objects that nobody needs and that are of no push under way on any node.
pub(super) fn collect(shared: &Arc<Shared>) -> Result<Collected> {
    let (objects, settling) = (&shared.objects, shared.options.sharing.settling);
    shared.follow()?;
    let now = time_of_store(objects)?;
    remove_abandoned(objects, now, settling * LIST_LIFE)?;
    let condemned = garbage(shared, now)?;
    if condemned.is_empty() {
        return Ok(Collected::default());
    }
    let list = OwnList::put(objects, condemned.keys(), uuid::Uuid::new_v4().as_u128())?;
    if let Err(closed) = settle(shared, &list, settling) {
        // Nothing was removed, so nobody need wait for it.
        list.remove()?;
        return Err(closed);
    }
    shared.follow()?;
    let needed = needed_anywhere(shared)?;
    let mut collected = Collected::default();
    for (key, size_bytes) in condemned.into_iter().filter(|(key, _)| !needed.contains(key)) {
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

/// What [`collect`] would remove now.
pub(super) fn would_collect(shared: &Shared) -> Result<Collected> {
    let garbage = garbage(shared, time_of_store(&shared.objects)?)?;
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

fn time_of_store(objects: &Objects) -> Result<Timestamp> {
    let now = store_time(objects, uuid::Uuid::new_v4().as_u128())?;
    now.ok_or_else(|| Error::unavailable("the store does not tell when an object was written"))
}

/// Objects that nobody needs and that are old enough not to be of a push under way, with their bytes.
fn garbage(shared: &Shared, now: Timestamp) -> Result<BTreeMap<String, u64>> {
    let (needed, age) = (needed_anywhere(shared)?, shared.options.sharing.garbage_age);
    let mut garbage = BTreeMap::new();
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

/// What is needed by the state and by readers: those of this node, and of others for some time.
fn needed_anywhere(shared: &Shared) -> Result<KeySet> {
    let reading_max = shared.options.sharing.reading_max;
    let read_since = shared.clock.now().saturating_sub(reading_max).unwrap_or(Timestamp::MIN);
    needed(shared, &Needs::new(shared.readers.oldest()).read_elsewhere_since(read_since))
}
