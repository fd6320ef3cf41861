//! Objects that nobody needs: what a crash leaves between writing and committing, and what removed versions leave.

use crate::catalog::Shared;
use crate::claims::Claims;
use crate::needs::Needs;
use crate::objects::Objects;
use crate::paths;
use crate::state::{StateSlot, each_record};
use std::collections::HashSet;
use ukimet_model::{Error, Result};

/// Objects that were removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes the objects that nobody needs.
///
/// `oldest_reader` tells the commit of the oldest state that anybody holds. The order matters: from the beginning on
/// every claim is remembered; whoever commits and lets go of a state after it was asked for `oldest_reader` has its
/// objects in the state that is read afterwards, or had claimed them.
pub(crate) fn collect(
    objects: &Objects,
    state: &StateSlot,
    claims: &Claims,
    oldest_reader: impl FnOnce() -> u64,
) -> Result<Collected> {
    let collection = claims.begin_collection();
    let needed = needed(state, oldest_reader())?;
    let mut collected = Collected::default();
    for key in stored(objects)? {
        if needed.contains(&key) {
            continue;
        }
        let Some(size_bytes) = size(objects, &key)? else { continue };
        if collection.delete(&key)? {
            collected.objects += 1;
            collected.bytes += size_bytes;
        }
    }
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

/// Collects while transactions and readers are at work.
pub(crate) fn collect_now(shared: &Shared) -> Result<Collected> {
    let _only = shared.collecting.try_lock().map_err(|_| Error::unavailable("another collection is running"))?;
    shared.objects.check_writable()?;
    collect(&shared.objects, &shared.state, &shared.claims, || shared.readers.oldest())
}

/// What a collection would remove now.
pub(crate) fn would_collect(shared: &Shared) -> Result<Collected> {
    let needed = needed(&shared.state, shared.readers.oldest())?;
    let mut collected = Collected::default();
    for key in stored(&shared.objects)? {
        if !needed.contains(&key) && !shared.claims.is_claimed(&key) {
            collected.objects += 1;
            collected.bytes += size(&shared.objects, &key)?.unwrap_or(0);
        }
    }
    Ok(collected)
}

fn needed(state: &StateSlot, oldest_reader: u64) -> Result<HashSet<String>> {
    state.read_pairs(|pairs| {
        let mut needs = Needs::new(oldest_reader);
        // Keys are in the order in which needs are gathered.
        each_record(pairs, &mut |_, record| {
            needs.add(&record);
            Ok(())
        })?;
        Ok(needs.finish())
    })
}

/// The keys of all objects that a commit may name.
pub(crate) fn stored(objects: &Objects) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut folders = vec![paths::RAW.to_owned(), paths::RECEIPTS.to_owned()];
    folders.extend(objects.list(paths::DATA)?.iter().map(|dataset| format!("{}/{dataset}", paths::DATA)));
    for folder in folders {
        let names = objects.list(&folder)?.into_iter().filter(|name| !paths::is_beside(name));
        keys.extend(names.map(|name| format!("{folder}/{name}")));
    }
    Ok(keys)
}
