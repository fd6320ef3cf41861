//! Forgetting a node on a shared store whose directory is gone for good: nobody waits for it any more.

use crate::collect::time_of_store;
use crate::node::{folder, is_name};
use crate::objects::Objects;
use crate::paths;
use crate::place::Place;
use jiff::Timestamp;
use std::time::Duration;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// A node that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgottenNode {
    /// Its name.
    pub name: String,
    /// When it was last seen, by the clock of the store.
    pub last_seen: Timestamp,
}

/// Takes a node off a store, so that no erasure waits any more for it to say that it keeps nothing.
///
/// It must not have been seen for `away_min`: a node at work says so every ten minutes. What it keeps of erased rows in its
/// directory is nobody's affair afterwards; a directory that turns up again is cleaned when a hub opens it.
///
/// # Errors
///
/// `InvalidRequest` if the place is a directory or the name is none, `NotFound` naming the nodes that there are,
/// `Undeclared` if it was seen since, `Unavailable` if the store does not answer: the same again goes on.
pub fn forget_node(place: &Place, name: &str, away_min: Duration) -> Result<ForgottenNode> {
    forget(&place.open()?.objects, name, away_min)
}

pub(crate) fn forget(objects: &Objects, name: &str, away_min: Duration) -> Result<ForgottenNode> {
    if !objects.is_shared() {
        return Err(Error::invalid_request("only a bucket has nodes, found a directory"));
    }
    if !is_name(name) {
        return Err(Error::invalid_request(format!("a node has a name of 32 digits, found {}", quoted(name))));
    }
    // What is put to learn the time begins as a file.
    objects.ensure_dir(paths::SCRATCH)?;
    let Some(last_seen) = last_seen(objects, name)? else { return Err(not_there(objects, name)?) };
    let away = Duration::try_from(time_of_store(objects)?.duration_since(last_seen)).unwrap_or_default();
    if away < away_min {
        return Err(Error::undeclared(format!(
            "node {name} was seen on {last_seen}, {} s ago, expected {} s at least: no erasure would wait for what it keeps",
            away.as_secs(),
            away_min.as_secs()
        )));
    }
    // The last confirmations first: what is left if this ends early is waited for.
    let folder = folder(name);
    for object in objects.list(&folder)?.iter().rev() {
        objects.delete(&format!("{folder}/{object}"))?;
    }
    Ok(ForgottenNode { name: name.to_owned(), last_seen })
}

/// When the store last heard of a node; `None` if it does not know it.
fn last_seen(objects: &Objects, name: &str) -> Result<Option<Timestamp>> {
    let (folder, mut last) = (folder(name), None);
    for object in objects.list(&folder)? {
        let stat = objects.stat(&format!("{folder}/{object}"))?;
        last = last.max(stat.and_then(|stat| stat.modified));
    }
    Ok(last)
}

fn not_there(objects: &Objects, name: &str) -> Result<Error> {
    let mut nodes = Vec::new();
    for node in objects.list(paths::NODES)? {
        let seen = last_seen(objects, &node)?.map_or_else(String::new, |seen| format!(" (seen on {seen})"));
        nodes.push(format!("{node}{seen}"));
    }
    let nodes = if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") };
    Ok(Error::not_found(format!("there is no node {name} on this store, found {nodes}")))
}
