//! What nodes on one store tell each other about the objects that one of them is about to remove.
//!
//! A collection puts a list of them, waits until every commit that could not know of it is in the log, looks again what
//! is needed, and only then removes the rest, and its list. A commit that names an object of a list is refused.

use crate::disk::Stat;
use crate::objects::Objects;
use crate::paths;
use crate::seal::{seal, unseal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};
use ukimet_model::{Error, Result};

/// A list as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    objects: Vec<String>,
}

/// The objects that nodes are about to remove, as of the last look.
#[derive(Debug, Default)]
pub(crate) struct Condemned {
    /// By the name of the list.
    lists: BTreeMap<String, HashSet<String>>,
    looked: Option<Instant>,
}

impl Condemned {
    /// Looks which lists there are; on a store that is not shared there are none.
    pub(crate) fn look(&mut self, objects: &Objects) -> Result<()> {
        self.looked = Some(Instant::now());
        if !objects.is_shared() {
            return Ok(());
        }
        let names = objects.list(paths::COLLECTING)?;
        self.lists.retain(|name, _| names.contains(name));
        for name in names.into_iter().filter(|name| name.ends_with(LIST)) {
            if self.lists.contains_key(&name) {
                continue;
            }
            // A list that is gone is of a collection that has ended: what it removed is missing by now.
            if let Some(list) = read_list(objects, &name)? {
                self.lists.insert(name, list.objects.into_iter().collect());
            }
        }
        Ok(())
    }

    /// Whether the last look was less than that long ago.
    pub(crate) fn is_recent(&self, max: Duration) -> bool {
        self.looked.is_some_and(|looked| looked.elapsed() < max)
    }

    /// `Unavailable` if an object is about to be removed.
    pub(crate) fn check(&self, keys: &BTreeSet<String>) -> Result<()> {
        let condemned = |key: &&String| self.lists.values().any(|list| list.contains(*key));
        match keys.iter().find(condemned) {
            None => Ok(()),
            Some(key) => Err(Error::unavailable(format!(
                "object {key} is being removed as garbage by a node of this store: try again in some minutes"
            ))),
        }
    }
}

const LIST: &str = ".json";

fn key(name: &str) -> String {
    format!("{}/{name}", paths::COLLECTING)
}

fn read_list(objects: &Objects, name: &str) -> Result<Option<List>> {
    let key = key(name);
    let Some(bytes) = objects.get_if_there(&key)? else { return Ok(None) };
    let damaged = |e: Error| e.context(format!("object {key} is damaged"));
    let (json, _) = unseal(&bytes).map_err(damaged)?;
    let list = serde_json::from_slice(&json);
    list.map(Some).map_err(|e| Error::internal(format!("object {key} is not a list of objects")).caused_by(e))
}

/// A list that this node has put, removed when the collection is over.
pub(crate) struct OwnList<'a> {
    objects: &'a Objects,
    key: String,
    put: Instant,
}

impl<'a> OwnList<'a> {
    /// Tells all nodes what is about to be removed.
    pub(crate) fn put<'b>(
        objects: &'a Objects,
        condemned: impl Iterator<Item = &'b String>,
        random: u128,
    ) -> Result<Self> {
        let list = List { objects: condemned.cloned().collect() };
        let json = serde_json::to_vec(&list).map_err(|e| Error::internal("writing a list of objects").caused_by(e))?;
        let key = key(&format!("{random:032x}{LIST}"));
        objects.put_if_absent(&key, &seal(&json).0)?;
        Ok(Self { objects, key, put: Instant::now() })
    }

    /// How long all nodes could know of it.
    pub(crate) fn age(&self) -> Duration {
        self.put.elapsed()
    }

    /// Takes the list away.
    pub(crate) fn remove(self) -> Result<()> {
        self.objects.delete(&self.key)
    }
}

/// Takes away the lists of collections that have not ended within `age`: their nodes have stopped by then.
pub(crate) fn remove_abandoned(objects: &Objects, now: jiff::Timestamp, age: Duration) -> Result<()> {
    for name in objects.list(paths::COLLECTING)? {
        let modified = objects.stat(&key(&name))?.and_then(|stat| stat.modified);
        if modified.is_some_and(|modified| is_older(modified, now, age)) {
            objects.delete(&key(&name))?;
        }
    }
    Ok(())
}

/// Whether something of that time is older than `age`.
pub(crate) fn is_older(modified: jiff::Timestamp, now: jiff::Timestamp, age: Duration) -> bool {
    now.duration_since(modified).try_into().is_ok_and(|passed: Duration| passed > age)
}

/// What the store tells of an object that is put now, and is gone afterwards: by its clock alone it is known how old an object
/// is.
pub(crate) fn fresh_stat(objects: &Objects, random: u128) -> Result<Option<Stat>> {
    let key = key(&format!("{random:032x}.clock"));
    objects.put_if_absent(&key, b"now")?;
    let stat = objects.stat(&key)?;
    objects.delete(&key)?;
    Ok(stat)
}
