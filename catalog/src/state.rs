//! The state that the commits add up to, as keys that are never overwritten, so that every snapshot can read it.
//!
//! | key | value |
//! |---|---|
//! | `d/<dataset id>\0<commit, 8 bytes>` | the dataset as of that commit |
//! | `v/<dataset id>\0<number, 8 bytes>` | the version |
//! | `p/<agency>\0<push id>` | the push's record |
//! | `t/<dataset id>\0<tag>\0<commit, 8 bytes>` | what the tag was set to by that commit |
//! | `n/<dataset id>\0<number, 8 bytes><commit, 8 bytes><operation id>` | a note on the version |
//! | `e/<dataset id>\0<commit, 8 bytes>` | the rows that the commit erased |
//! | `g/<dataset id>\0<number, 8 bytes>` | the removal of the version |
//! | `l/<dataset id>\0<number, 8 bytes><commit, 8 bytes>` | the layout that the version has since that commit |
//! | `o/<agency>\0<operation id>` | the operation's record |
//! | `m` | the [`Watermark`] |
//!
//! Their order is that of [`crate::needs::Needs`]: datasets, erasures, removals (what is gone), layouts, pushes,
//! versions.

mod memory;
mod reading;
mod slot;

pub(crate) use memory::MemoryState;
pub(crate) use reading::{View, each_pair, each_record};
pub(crate) use slot::StateSlot;

use crate::erasure::Erasure;
use crate::layout::Layout;
use crate::log::{Change, Entry};
use crate::operation::OperationRecord;
use crate::push::PushRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use ukimet_model::{
    Dataset, DatasetId, Error, Note, OperationId, PushId, Removal, Sha256, Tag, TagName, Version, VersionNumber,
};
use xxhash_rust::xxh3::xxh3_128;

/// A key with its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The projection does not answer or answers nonsense: it is rebuilt from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage(pub(crate) String);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Error::internal(format!("the state projection is damaged: {damage}"))
    }
}

/// What reads need of an ordered map.
pub(crate) trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Damage>;
    /// The last pair with `from <= key <= to`.
    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, Damage>;
    /// The first `limit` pairs with `from <= key < to`, in order.
    fn page(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Damage>;
}

/// An ordered map that takes several pairs at once or none.
pub(crate) trait KeyValue: Read + Send + Sync {
    fn write(&self, pairs: &[Pair]) -> Result<(), Damage>;
    /// Tells that its pairs are not what they should be: it must not be taken for whole when it is opened again.
    fn distrust(&self) {}
}

/// How far a state has come, and a sum over all its pairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watermark {
    /// The last commit applied.
    pub(crate) sequence: u64,
    /// Its hash; the identity's for an empty state.
    pub(crate) hash: Sha256,
    /// Sum of the hashes of all pairs but this one, modulo 2^128: the same for the same pairs in any order.
    pub(crate) digest: Digest,
    /// How many datasets there are.
    pub(crate) datasets: u64,
    /// When the last commit was made: the next is made no earlier, whatever the clock says. `None` for an empty state.
    #[serde(default)]
    pub(crate) time: Option<Timestamp>,
}

/// A multiset digest, written as 32 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest(pub(crate) u128);

impl Digest {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut bytes = Vec::with_capacity(8 + key.len() + value.len());
        bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        self.0 = self.0.wrapping_add(xxh3_128(&bytes));
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        format!("{:032x}", digest.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u128::from_str_radix(&text, 16).map(Self).map_err(|_| format!("a digest is 32 hex digits, found {text:?}"))
    }
}

impl Watermark {
    pub(crate) fn empty(identity: Sha256) -> Self {
        Self { sequence: 0, hash: identity, digest: Digest::default(), datasets: 0, time: None }
    }
}

pub(crate) const WATERMARK_KEY: &[u8] = b"m";

/// A part of the state on its way between log, checkpoint and map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    Dataset { sequence: u64, dataset: Dataset },
    Version { dataset: DatasetId, version: Box<Version> },
    Push(Box<PushRecord>),
    Tag { dataset: DatasetId, tag: Tag },
    Note { dataset: DatasetId, note: Note },
    Removal { dataset: DatasetId, removal: Removal },
    Operation(Box<OperationRecord>),
    Erasure { dataset: DatasetId, erasure: Box<Erasure> },
    Layout { dataset: DatasetId, layout: Box<Layout> },
}

impl Record {
    pub(crate) fn to_pair(&self) -> Pair {
        match self {
            Self::Dataset { sequence, dataset } => (dataset_key(&dataset.id, *sequence), encode(dataset)),
            Self::Version { dataset, version } => (version_key(dataset, version.number), encode(version)),
            Self::Push(record) => (push_key(&record.agency, &record.push_id), encode(record)),
            Self::Tag { dataset, tag } => (tag_key(dataset, &tag.name, tag.snapshot.0), encode(tag)),
            Self::Note { dataset, note } => {
                let place = [note.version.0.to_be_bytes(), note.snapshot.0.to_be_bytes()].concat();
                (key("n/", dataset.as_str(), &[&place, note.operation.as_str().as_bytes()].concat()), encode(note))
            }
            Self::Removal { dataset, removal } => (removal_key(dataset, removal.version), encode(removal)),
            Self::Operation(record) => (operation_key(record.dataset.agency(), &record.id), encode(record)),
            Self::Erasure { dataset, erasure } => (erasure_key(dataset, erasure.snapshot.0), encode(erasure)),
            Self::Layout { dataset, layout } => {
                (layout_key(dataset, layout.version, layout.snapshot.0), encode(layout))
            }
        }
    }

    pub(crate) fn from_pair((key, value): &Pair) -> Result<Self, Damage> {
        let damaged = || Damage(format!("the key {:?} is not one of the state", String::from_utf8_lossy(key)));
        let kind = key.first_chunk::<2>().ok_or_else(damaged)?;
        let end = key.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        let dataset = || -> Result<DatasetId, Damage> {
            let id = key.get(2..end).and_then(|id| std::str::from_utf8(id).ok()).ok_or_else(damaged)?;
            id.parse().map_err(|_| damaged())
        };
        Ok(match kind {
            b"d/" => {
                let sequence = key[end + 1..].try_into().map_err(|_| damaged())?;
                Self::Dataset { sequence: u64::from_be_bytes(sequence), dataset: decode(value)? }
            }
            b"v/" => Self::Version { dataset: dataset()?, version: decode(value)? },
            b"p/" => Self::Push(decode(value)?),
            b"t/" => Self::Tag { dataset: dataset()?, tag: decode(value)? },
            b"n/" => Self::Note { dataset: dataset()?, note: decode(value)? },
            b"g/" => Self::Removal { dataset: dataset()?, removal: decode(value)? },
            b"o/" => Self::Operation(decode(value)?),
            b"e/" => Self::Erasure { dataset: dataset()?, erasure: decode(value)? },
            b"l/" => Self::Layout { dataset: dataset()?, layout: decode(value)? },
            _ => return Err(damaged()),
        })
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have string keys only, so they are JSON")
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(value: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(value).map_err(|e| Damage(format!("a value does not parse: {e}")))
}

/// Ids hold no zero byte, so keys of one id lie together and in the order of what follows it.
fn key(kind: &str, id: &str, rest: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), id.as_bytes(), &[0], rest].concat()
}

fn dataset_key(id: &DatasetId, sequence: u64) -> Vec<u8> {
    key("d/", id.as_str(), &sequence.to_be_bytes())
}

fn version_key(id: &DatasetId, number: VersionNumber) -> Vec<u8> {
    key("v/", id.as_str(), &number.0.to_be_bytes())
}

fn layout_key(id: &DatasetId, number: VersionNumber, sequence: u64) -> Vec<u8> {
    key("l/", id.as_str(), &[number.0.to_be_bytes(), sequence.to_be_bytes()].concat())
}

fn push_key(agency: &str, push_id: &PushId) -> Vec<u8> {
    key("p/", agency, push_id.as_str().as_bytes())
}

fn tag_key(id: &DatasetId, tag: &TagName, sequence: u64) -> Vec<u8> {
    key("t/", id.as_str(), &[tag.as_str().as_bytes(), &[0], &sequence.to_be_bytes()].concat())
}

fn removal_key(id: &DatasetId, number: VersionNumber) -> Vec<u8> {
    key("g/", id.as_str(), &number.0.to_be_bytes())
}

fn erasure_key(id: &DatasetId, sequence: u64) -> Vec<u8> {
    key("e/", id.as_str(), &sequence.to_be_bytes())
}

fn operation_key(agency: &str, id: &OperationId) -> Vec<u8> {
    key("o/", agency, id.as_str().as_bytes())
}

/// The records that one part of a commit adds. `datasets` answers a dataset as it was before.
pub(crate) fn records_of(
    changes: &[Change],
    sequence: u64,
    mut dataset_before: impl FnMut(&DatasetId) -> Result<Option<Dataset>, Damage>,
) -> Result<Vec<Record>, Damage> {
    let mut created: BTreeMap<DatasetId, Dataset> = BTreeMap::new();
    let mut records = Vec::with_capacity(changes.len());
    for change in changes {
        match change {
            Change::DatasetCreated(dataset) => {
                created.insert(dataset.id.clone(), dataset.clone());
            }
            Change::MetadataChanged { dataset: id, metadata } => {
                let before = changed(&mut created, id, &mut dataset_before)?;
                created.insert(id.clone(), Dataset { metadata: metadata.clone(), ..before });
            }
            Change::MappingChanged { dataset: id, mapping } => {
                let before = changed(&mut created, id, &mut dataset_before)?;
                created.insert(id.clone(), Dataset { mapping: mapping.clone(), ..before });
            }
            Change::VersionPublished { dataset, version } => {
                records.push(Record::Version { dataset: dataset.clone(), version: version.clone() });
            }
            Change::PushRecorded(record) => records.push(Record::Push(record.clone())),
            Change::RetentionChanged { dataset: id, rule } => {
                let before = changed(&mut created, id, &mut dataset_before)?;
                created.insert(id.clone(), Dataset { retention: rule.clone(), ..before });
            }
            Change::TagSet { dataset, tag } => {
                records.push(Record::Tag { dataset: dataset.clone(), tag: tag.clone() });
            }
            Change::NoteAdded { dataset, note } => {
                records.push(Record::Note { dataset: dataset.clone(), note: note.clone() });
            }
            Change::VersionRemoved { dataset, removal } => {
                records.push(Record::Removal { dataset: dataset.clone(), removal: removal.clone() });
            }
            Change::OperationRecorded(record) => records.push(Record::Operation(record.clone())),
            Change::RowsErased { dataset, erasure } => {
                records.push(Record::Erasure { dataset: dataset.clone(), erasure: erasure.clone() });
            }
            Change::LayoutChanged { dataset, layout } => {
                records.push(Record::Layout { dataset: dataset.clone(), layout: layout.clone() });
            }
        }
    }
    records.extend(created.into_values().map(|dataset| Record::Dataset { sequence, dataset }));
    Ok(records)
}

/// A dataset that a change is about, as the changes before it leave it.
fn changed(
    created: &mut BTreeMap<DatasetId, Dataset>,
    id: &DatasetId,
    dataset_before: &mut impl FnMut(&DatasetId) -> Result<Option<Dataset>, Damage>,
) -> Result<Dataset, Damage> {
    let before = match created.remove(id) {
        Some(dataset) => Some(dataset),
        None => dataset_before(id)?,
    };
    before.ok_or_else(|| Damage(format!("dataset {id} is changed before it is created")))
}

/// The pairs that an entry adds to a state, the new watermark last.
pub(crate) fn pairs_of(
    entry: &Entry,
    hash: &Sha256,
    base: &dyn Read,
    watermark: &Watermark,
) -> Result<(Vec<Pair>, Watermark), Damage> {
    let mut staged = Staged::new(base);
    let mut next = Watermark { sequence: entry.sequence, hash: *hash, time: Some(entry.time), ..watermark.clone() };
    for part in &entry.parts {
        let view = View::new(&staged, entry.sequence);
        let records = records_of(&part.changes, entry.sequence, |id| view.dataset(id))?;
        staged.stage(&records);
        next.datasets += part.changes.iter().filter(|c| matches!(c, Change::DatasetCreated(_))).count() as u64;
    }
    let mut pairs = staged.into_pairs();
    for (key, value) in &pairs {
        next.digest.add(key, value);
    }
    pairs.push(watermark_pair(&next));
    Ok((pairs, next))
}

pub(crate) fn watermark_pair(watermark: &Watermark) -> Pair {
    let json = serde_json::to_vec(watermark).expect("a watermark has no map, so it is JSON");
    (WATERMARK_KEY.to_vec(), json)
}

/// A state with pairs on top that are not written yet.
pub(crate) struct Staged<'a> {
    base: &'a dyn Read,
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<'a> Staged<'a> {
    pub(crate) fn new(base: &'a dyn Read) -> Self {
        Self { base, pairs: BTreeMap::new() }
    }

    pub(crate) fn stage(&mut self, records: &[Record]) {
        self.pairs.extend(records.iter().map(Record::to_pair));
    }

    fn into_pairs(self) -> Vec<Pair> {
        self.pairs.into_iter().collect()
    }
}

impl Read for Staged<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Damage> {
        self.pairs.get(key).map_or_else(|| self.base.get(key), |value| Ok(Some(value.clone())))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, Damage> {
        let own = self.pairs.range(from.to_vec()..=to.to_vec()).next_back().map(|(k, v)| (k.clone(), v.clone()));
        Ok(own.max(self.base.last(from, to)?))
    }

    fn page(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Damage> {
        let mut both: BTreeMap<_, _> = self.base.page(from, to, limit)?.into_iter().collect();
        both.extend(self.pairs.range(from.to_vec()..to.to_vec()).take(limit).map(|(k, v)| (k.clone(), v.clone())));
        Ok(both.into_iter().take(limit).collect())
    }
}
