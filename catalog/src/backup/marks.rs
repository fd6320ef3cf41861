//! The marks of a copy: that it was begun, and that it is complete up to a snapshot.
//!
//! `backup/<snapshot>.begun.json` is there before the first object, `backup/<snapshot>.complete.json` after the last
//! commit. A store with a later begun mark than complete mark may name objects that it does not have yet, so it is not
//! opened.

use super::store::{Store, read_all};
use crate::paths;
use crate::seal::{seal, unseal};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use ukimet_model::{Error, Result, Sha256};

const FOLDER: &str = paths::BACKUP;

/// What a mark says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Hash of the identity of the catalog that is copied.
    pub(crate) catalog: Sha256,
    /// The snapshot that the copy is of.
    pub(crate) snapshot: u64,
    /// When it was made, UTC.
    pub(crate) time: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Begun,
    Complete,
}

impl Stage {
    fn key(self, snapshot: u64) -> String {
        let stage = match self {
            Self::Begun => "begun",
            Self::Complete => "complete",
        };
        format!("{FOLDER}/{snapshot:020}.{stage}.json")
    }
}

/// The marks of a store: none for one that is no copy.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    begun: Vec<u64>,
    complete: Vec<u64>,
}

/// A copy that was begun and has not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    snapshot: u64,
    complete: Option<u64>,
}

impl Unfinished {
    pub(crate) fn key(self) -> String {
        Stage::Begun.key(self.snapshot)
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { snapshot, complete } = self;
        write!(
            f,
            "this is an unfinished copy of a catalog, begun for snapshot {snapshot}: run the same command again"
        )?;
        match complete {
            Some(complete) => write!(f, ", or restore snapshot {complete} from it, which is complete"),
            None => Ok(()),
        }
    }
}

impl Marks {
    pub(crate) fn read(store: &dyn Store) -> Result<Self> {
        let mut marks = Self::default();
        for name in store.names(FOLDER)? {
            let Some((digits, rest)) = name.split_once('.') else { continue };
            match (digits.parse(), rest) {
                (Ok(snapshot), "begun.json") => marks.begun.push(snapshot),
                (Ok(snapshot), "complete.json") => marks.complete.push(snapshot),
                _ => (),
            }
        }
        Ok(marks)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.complete.is_empty()
    }

    /// The snapshot that the store is a complete copy of.
    pub(crate) fn complete(&self) -> Option<u64> {
        self.complete.iter().copied().max()
    }

    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        let (begun, complete) = (self.begun.iter().copied().max()?, self.complete());
        (complete < Some(begun)).then_some(Unfinished { snapshot: begun, complete })
    }

    /// Checks that all marks are of this catalog.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if one is of another, `Internal` if one is damaged.
    pub(crate) fn check_catalog(&self, store: &dyn Store, catalog: &Sha256) -> Result<()> {
        let begun = self.begun.iter().map(|snapshot| Stage::Begun.key(*snapshot));
        let complete = self.complete.iter().map(|snapshot| Stage::Complete.key(*snapshot));
        for key in begun.chain(complete) {
            let damaged = |e: Error| e.context(format!("object {key} is damaged"));
            let (json, _) = unseal(&read_all(store, &key)?).map_err(damaged)?;
            let mark: Mark = serde_json::from_slice(&json)
                .map_err(|e| Error::internal(format!("object {key} is not the mark of a copy")).caused_by(e))?;
            if mark.catalog != *catalog {
                return Err(Error::invalid_request("the target holds a copy of another catalog"));
            }
        }
        Ok(())
    }

    /// Removes the marks, all but the complete one of `kept`.
    pub(crate) fn remove(&self, store: &dyn Store, kept: Option<u64>) -> Result<()> {
        // Begun ones last: as long as one is there, the copy is known for what it is.
        for snapshot in self.complete.iter().filter(|snapshot| Some(**snapshot) != kept) {
            store.remove(&Stage::Complete.key(*snapshot))?;
        }
        self.begun.iter().try_for_each(|snapshot| store.remove(&Stage::Begun.key(*snapshot)))
    }
}

/// Makes a mark, unless it is there.
pub(crate) fn put_mark(store: &dyn Store, stage: Stage, mark: &Mark) -> Result<()> {
    let json = serde_json::to_vec(mark).map_err(|e| Error::internal("writing a mark as JSON").caused_by(e))?;
    store.put(&stage.key(mark.snapshot), &mut seal(&json).0.as_slice())
}
