//! The chain of commits: the truth. One immutable file a commit, each naming the hash of the one before.

use crate::erasure::Erasure;
use crate::layout::Layout;
use crate::objects::{Objects, Put};
use crate::operation::OperationRecord;
use crate::paths;
use crate::push::PushRecord;
use crate::seal::{seal, unseal};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ukimet_model::{
    Dataset, DatasetId, DatasetMetadata, Error, Note, OperationId, PushId, Removal, Result, RetentionRule, Sha256, Tag,
    Version,
};

/// One commit: several pushes and operations that became true together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// 1, 2, 3 … without gaps.
    pub(crate) sequence: u64,
    /// Hash of the entry before; of the store's identity for the first.
    pub(crate) previous: Sha256,
    /// When it was made, UTC.
    pub(crate) time: Timestamp,
    /// What it holds, in order.
    #[serde(alias = "pushes")]
    pub(crate) parts: Vec<Part>,
}

/// What one push or one operation changed, and what had to hold for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) principal: String,
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) changes: Vec<Change>,
}

/// What had to hold when the commit was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Requirement {
    /// The dataset's newest version has this number; 0 for a dataset without versions.
    NewestVersion { dataset: DatasetId, number: u64 },
    /// No push of the agency has this id.
    PushIdUnused { agency: String, push_id: PushId },
    /// No operation of the agency has this id.
    OperationIdUnused { agency: String, operation_id: OperationId },
}

/// One step of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    DatasetCreated(Dataset),
    MetadataChanged { dataset: DatasetId, metadata: DatasetMetadata },
    MappingChanged { dataset: DatasetId, mapping: Option<String> },
    VersionPublished { dataset: DatasetId, version: Box<Version> },
    PushRecorded(Box<PushRecord>),
    TagSet { dataset: DatasetId, tag: Tag },
    NoteAdded { dataset: DatasetId, note: Note },
    RetentionChanged { dataset: DatasetId, rule: Option<RetentionRule> },
    VersionRemoved { dataset: DatasetId, removal: Removal },
    OperationRecorded(Box<OperationRecord>),
    RowsErased { dataset: DatasetId, erasure: Box<Erasure> },
    LayoutChanged { dataset: DatasetId, layout: Box<Layout> },
}

impl Entry {
    /// The datasets whose description, versions or rows the entry changes.
    pub(crate) fn datasets(&self) -> impl Iterator<Item = &DatasetId> {
        self.parts.iter().flat_map(|part| &part.changes).filter_map(|change| match change {
            Change::DatasetCreated(dataset) => Some(&dataset.id),
            Change::MetadataChanged { dataset, .. }
            | Change::MappingChanged { dataset, .. }
            | Change::VersionPublished { dataset, .. }
            | Change::VersionRemoved { dataset, .. }
            | Change::RowsErased { dataset, .. } => Some(dataset),
            Change::PushRecorded(_)
            | Change::TagSet { .. }
            | Change::NoteAdded { .. }
            | Change::RetentionChanged { .. }
            | Change::OperationRecorded(_)
            | Change::LayoutChanged { .. } => None,
        })
    }
}

/// What became of an entry that was to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is in the log; its hash.
    Committed(Sha256),
    /// Another node's entry has the number.
    Overtaken,
}

/// Appends an entry durably: answering [`Appended::Committed`] is the commit.
///
/// # Errors
///
/// `LimitReached` on a full disk; nothing was appended. After every other error nobody knows whether the entry is
/// there, or will be: a directory's store stops, a shared one is asked before the next entry.
pub(crate) fn append(objects: &Objects, entry: &Entry) -> Result<Appended> {
    let json = serde_json::to_vec(entry).map_err(|e| Error::internal("writing a log entry as JSON").caused_by(e))?;
    let (sealed, hash) = seal(&json);
    let key = paths::log_entry(entry.sequence);
    match objects.put_if_absent(&key, &sealed)? {
        Put::Created => Ok(Appended::Committed(hash)),
        // If only the answer to an earlier try was lost, it is this very entry.
        Put::Existed if objects.is_shared() => {
            let is_ours = objects.get(&key)? == sealed.as_slice();
            Ok(if is_ours { Appended::Committed(hash) } else { Appended::Overtaken })
        }
        Put::Existed => {
            objects.stop(format!("object {key} was there before it was written"));
            objects.check_writable().map(|()| Appended::Committed(hash))
        }
    }
}

/// Reads an entry and its hash, checked against its seal and its number.
///
/// # Errors
///
/// `Internal` naming the object if it is damaged.
pub(crate) fn read(objects: &Objects, sequence: u64) -> Result<(Entry, Sha256)> {
    parse(sequence, &objects.get(&paths::log_entry(sequence))?)
}

/// As [`read`]; `None` if there is no such entry yet.
pub(crate) fn read_if_there(objects: &Objects, sequence: u64) -> Result<Option<(Entry, Sha256)>> {
    let bytes = objects.get_if_there(&paths::log_entry(sequence))?;
    bytes.map(|bytes| parse(sequence, &bytes)).transpose()
}

fn parse(sequence: u64, bytes: &[u8]) -> Result<(Entry, Sha256)> {
    let key = paths::log_entry(sequence);
    let damaged = |e: Error| e.context(format!("object {key} is damaged"));
    let (json, hash) = unseal(bytes).map_err(damaged)?;
    let entry: Entry = serde_json::from_slice(&json)
        .map_err(|e| Error::internal(format!("object {key} is not a log entry")).caused_by(e))?;
    if entry.sequence != sequence {
        return Err(Error::internal(format!("object {key} is entry {}, expected {sequence}", entry.sequence)));
    }
    Ok((entry, hash))
}

/// The number of the last entry; 0 for an empty log.
///
/// # Errors
///
/// `Internal` naming the first missing entry if there is a gap.
pub(crate) fn last_sequence(objects: &Objects) -> Result<u64> {
    let names = objects.list(paths::LOG)?;
    let mut last = 0;
    for sequence in names.iter().filter_map(|name| paths::log_sequence(name)) {
        if sequence != last + 1 {
            return Err(Error::internal(format!(
                "object {} is missing, but {} is there",
                paths::log_entry(last + 1),
                paths::log_entry(sequence)
            )));
        }
        last = sequence;
    }
    Ok(last)
}

/// Walks the entries after `after` and calls `visit` with each, checking that each builds on the one before.
///
/// `hash` is the hash that the first of them must build on. Answers the hash of the last.
pub(crate) fn replay(
    objects: &Objects,
    after: u64,
    hash: Sha256,
    last: u64,
    mut visit: impl FnMut(&Entry, &Sha256) -> Result<()>,
) -> Result<Sha256> {
    let mut previous = hash;
    for sequence in after + 1..=last {
        let (entry, hash) = read(objects, sequence)?;
        check_builds_on(&entry, &previous)?;
        visit(&entry, &hash)?;
        previous = hash;
    }
    Ok(previous)
}

/// `Internal` if an entry does not build on the one with this hash.
pub(crate) fn check_builds_on(entry: &Entry, previous: &Sha256) -> Result<()> {
    if entry.previous == *previous {
        return Ok(());
    }
    Err(Error::internal(format!(
        "object {} builds on {}, the entry before has sha256 {}",
        paths::log_entry(entry.sequence),
        entry.previous.short(),
        previous.short()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_from_before_there_were_operations_is_read() {
        let before = r#"{"sequence":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","time":"2026-01-01T00:00:00Z","pushes":[{"principal":"anonymous","requirements":[],"changes":[{"mapping_changed":{"dataset":"a/b","mapping":null}}]}]}"#;
        let entry: Entry = serde_json::from_str(before).expect("an entry");
        assert_eq!(entry.parts.len(), 1);
    }
}
