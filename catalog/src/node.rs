//! A node on a shared store: its name, and which erasures it has confirmed.
//!
//! A node keeps copies of objects in a directory of its own, which nobody else can look into. So each puts its name into
//! the store before it reads anything, and confirms for every erasure that it keeps nothing of what went.

use crate::objects::Objects;
use crate::paths;
use crate::seal::{seal, unseal};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// This node, as the others know it.
pub(crate) struct Node {
    name: String,
    /// The last commit up to which it has confirmed all erasures.
    confirmed: AtomicU64,
    /// The commit of the last erasure that it knows of.
    erased: AtomicU64,
    /// When it last said that it is at work; `None` if it has not yet.
    said: Mutex<Option<Instant>>,
}

/// How often a node that is at work says so.
const SAID_EVERY: Duration = Duration::from_mins(10);
/// What the names of the objects begin with by which it does: the store dates them.
const SEEN: &str = "seen-";

/// What a node says when it confirms.
#[derive(Serialize, Deserialize)]
struct Said {
    given_up: BTreeSet<String>,
}

/// What a node has in the store.
pub(crate) fn folder(node: &str) -> String {
    format!("{}/{node}", paths::NODES)
}

fn confirmation(node: &str, sequence: u64) -> String {
    format!("{}/{sequence:020}", folder(node))
}

impl Node {
    /// Puts the node's name into the store, unless it is there.
    pub(crate) fn join(objects: &Objects, name: String) -> Result<Self> {
        let confirmed = confirmed(objects, &name)?.last().copied();
        let (confirmed_up_to, erased) = (confirmed.unwrap_or(0).into(), AtomicU64::new(0));
        let node = Self { name, confirmed: confirmed_up_to, erased, said: Mutex::default() };
        if confirmed.is_none() {
            node.confirm(objects, 0, &BTreeSet::new())?;
        }
        Ok(node)
    }

    /// The commit up to which it has confirmed all erasures.
    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::SeqCst)
    }

    /// Notes an erasure.
    pub(crate) fn note_erasure(&self, sequence: u64) {
        self.erased.fetch_max(sequence, Ordering::SeqCst);
    }

    /// The commit up to which all erasures are confirmed, if there are later ones.
    pub(crate) fn unconfirmed_after(&self) -> Option<u64> {
        let confirmed = self.confirmed();
        (self.erased.load(Ordering::SeqCst) > confirmed).then_some(confirmed)
    }

    /// Says, now and then, that the node is at work. If somebody forgot it all the same, it is known again.
    pub(crate) fn say_seen(&self, objects: &Objects, random: u128) -> Result<()> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| said.elapsed() < SAID_EVERY) {
            return Ok(());
        }
        self.confirm(objects, self.confirmed(), &BTreeSet::new())?;
        let (folder, seen) = (folder(&self.name), format!("{SEEN}{random:032x}"));
        objects.put_if_absent(&format!("{folder}/{seen}"), b"at work")?;
        for before in objects.list(&folder)?.iter().filter(|name| name.starts_with(SEEN) && **name != seen) {
            objects.delete(&format!("{folder}/{before}"))?;
        }
        *said = Some(Instant::now());
        Ok(())
    }

    /// As if the time had passed after which it says again that it is at work.
    #[cfg(test)]
    pub(crate) fn forget_what_was_said(&self) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Tells all nodes that this one keeps nothing of what went with erasures up to a commit, and which objects its
    /// pushes left in the store that were given up until then.
    pub(crate) fn confirm(&self, objects: &Objects, sequence: u64, given_up: &BTreeSet<String>) -> Result<()> {
        let said = Said { given_up: given_up.clone() };
        let json = serde_json::to_vec(&said).map_err(|e| Error::internal("writing a list of objects").caused_by(e))?;
        objects.put_if_absent(&confirmation(&self.name, sequence), &seal(&json).0)?;
        self.confirmed.fetch_max(sequence, Ordering::SeqCst);
        Ok(())
    }
}

/// The commits up to which a node has confirmed, in order.
fn confirmed(objects: &Objects, node: &str) -> Result<Vec<u64>> {
    let names = objects.list(&folder(node))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// What all nodes have confirmed.
pub(crate) struct Confirmations(BTreeMap<String, Vec<u64>>);

impl Confirmations {
    pub(crate) fn read(objects: &Objects) -> Result<Self> {
        let nodes = objects.list(paths::NODES)?.into_iter();
        let nodes = nodes.map(|node| confirmed(objects, &node).map(|confirmed| (node, confirmed)));
        nodes.collect::<Result<_>>().map(Self)
    }

    /// Whether there are no nodes.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes that have not confirmed the erasure of a commit.
    pub(crate) fn missing(&self, sequence: u64) -> Vec<String> {
        let missing = self.0.iter().filter(|(_, confirmed)| confirmed.iter().all(|confirmed| *confirmed < sequence));
        missing.map(|(node, _)| node.clone()).collect()
    }

    /// What all nodes said when they confirmed the erasure of a commit; `None` if some node has not.
    pub(crate) fn complete(&self, objects: &Objects, sequence: u64) -> Result<Option<Complete>> {
        let mut complete = Complete { at: Timestamp::MIN, given_up: BTreeSet::new() };
        for (node, confirmed) in &self.0 {
            let Some(first) = confirmed.iter().find(|confirmed| **confirmed >= sequence) else { return Ok(None) };
            let key = confirmation(node, *first);
            let Some(stat) = objects.stat(&key)? else { return Ok(None) };
            complete.at = complete.at.max(stat.modified.unwrap_or(Timestamp::MIN));
            complete.given_up.extend(read_given_up(objects, &key)?);
        }
        Ok(Some(complete))
    }
}

/// What all nodes have confirmed of one erasure.
pub(crate) struct Complete {
    /// When the last of them did, by the clock of the store.
    pub(crate) at: Timestamp,
    /// Objects that pushes left which were given up.
    pub(crate) given_up: BTreeSet<String>,
}

fn read_given_up(objects: &Objects, key: &str) -> Result<BTreeSet<String>> {
    let damaged = |e: Error| e.context(format!("object {key} is damaged"));
    let (json, _) = unseal(&objects.get(key)?).map_err(damaged)?;
    let said: Said = serde_json::from_slice(&json)
        .map_err(|e| Error::internal(format!("object {key} is not a list of objects")).caused_by(e))?;
    Ok(said.given_up)
}

/// Whether a text may be the name of a node: 32 hexadecimal digits.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

/// The name of the node that has a directory: made the first time.
///
/// # Errors
///
/// `Unavailable` if the directory cannot be read or written, `InvalidRequest` if the file is not one of a name.
pub(crate) fn name_in(dir: &Path, random: u128) -> Result<String> {
    let path = dir.join(paths::NODE);
    let failed = |e: io::Error| Error::unavailable("reading or writing the name of the node failed").caused_by(e);
    match std::fs::read_to_string(&path) {
        Ok(name) if is_name(&name) => Ok(name),
        Ok(other) => {
            let path = path.display();
            Err(Error::invalid_request(format!("{path} holds the node's name, 32 digits, found {}", quoted(&other))))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let name = format!("{random:032x}");
            let begun = path.with_extension("new");
            let write = || {
                let mut file = File::create(&begun)?;
                file.write_all(name.as_bytes())?;
                file.sync_all()?;
                std::fs::rename(&begun, &path)?;
                File::open(dir)?.sync_all()
            };
            write().map_err(failed)?;
            Ok(name)
        }
        Err(e) => Err(failed(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ukimet_model::ErrorKind;

    #[test]
    fn a_directory_keeps_the_name_of_its_node() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = name_in(dir.path(), 7).expect("room");
        assert_eq!(name, format!("{:032x}", 7));
        assert_eq!(name_in(dir.path(), 8).expect("there"), name);
        std::fs::write(dir.path().join(paths::NODE), "seven").expect("room");
        assert_eq!(name_in(dir.path(), 8).expect_err("no name").kind(), ErrorKind::InvalidRequest);
    }
}
