//! Erasures as commits record them, and what they make of versions that were published before.
//!
//! Commits are never rewritten. A version's record goes on naming the files that held the rows; whoever reads it sees the
//! files that took their place ([`Erasures::apply`]). Only what was recorded before an erasure is seen through it: equal
//! bytes that come again in a later push are that push's.

use crate::layout::Layout;
use crate::paths;
use crate::push::PushRecord;
use crate::seal::sha256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use ukimet_model::{
    BoundingBox, ChangesRef, Dataset, DatasetId, ErasedRows, Error, OperationId, PushId, SegmentRef, Sha256,
    SnapshotId, Version, VersionNumber,
};

/// Rows that were erased from all versions of a dataset: what stays of them.
///
/// It holds neither values nor a hash of a row or a key; see [`Erasure::perhaps_erased`] for what it does hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Erasure {
    /// The operation that did it.
    pub operation: OperationId,
    /// The commit.
    pub snapshot: SnapshotId,
    /// When that commit was made, UTC.
    pub erased: Timestamp,
    /// Who did it.
    pub principal: String,
    /// For whom, in their words; empty if nobody said.
    pub who: String,
    /// Why, in their words.
    pub why: String,
    /// The columns by whose values the rows were named.
    pub columns: Vec<String>,
    /// How many keys were named.
    pub keys: u64,
    /// How many of them some row had.
    pub keys_found: u64,
    /// How many rows of the dataset's files are blank since.
    pub rows: u64,
    /// How many rows each version lost, the newest first; versions that lost none are left out.
    pub versions: Vec<(VersionNumber, u64)>,
    /// Versions that have not all of the columns, so that no row of them could be named, the newest first.
    pub versions_without_columns: Vec<VersionNumber>,
    /// Pushes whose bytes as sent, verdicts and refused rows are gone because they held such rows, or may have.
    pub pushes: Vec<PushId>,
    /// Pushes of the agency into other datasets that brought the same bytes, which are gone for them, too: their tables stay.
    /// `None` for erasures from before this was told, which took equal tables from them as well.
    #[serde(default)]
    pub bytes_gone_elsewhere: Option<Vec<PushId>>,
    /// Pushes of other agencies that brought the same bytes, which stay for them.
    pub same_bytes_elsewhere: Vec<String>,
    /// Commits from before reports were kept beside them, which name examples of what such pushes held.
    pub commits_with_examples: Vec<SnapshotId>,
    /// What takes the place of files.
    pub(crate) segments: Vec<SegmentSubstitute>,
    /// What versions are now, where it is not what they were.
    pub(crate) facts: Vec<VersionFacts>,
    /// Keys of objects that those pushes named and name no more.
    pub(crate) objects: Vec<String>,
    /// Random; goes into the fingerprints.
    pub(crate) salt: Sha256,
    /// Fingerprint of the keys that were named, all of them together.
    pub(crate) asked: u32,
    /// Fingerprints of the keys of the rows, sorted.
    pub(crate) fingerprints: Vec<u32>,
}

/// A file with its companions, and the one whose erased rows are blank, at the same positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SegmentSubstitute {
    pub(crate) from: SegmentRef,
    pub(crate) to: SegmentRef,
    /// Rows of the new file that are blank, by this and earlier erasures.
    pub(crate) blank: u64,
}

/// What is told of a version after an erasure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionFacts {
    pub(crate) number: VersionNumber,
    /// Rows that it lost.
    pub(crate) erased: u64,
    pub(crate) rows: u64,
    pub(crate) root_hash: Sha256,
    pub(crate) bbox: Option<BoundingBox>,
    pub(crate) geometry_types: BTreeMap<String, u64>,
    pub(crate) changes: Option<ChangesRef>,
    pub(crate) receipt: Sha256,
    /// The receipt that it had before.
    pub(crate) receipt_before: Sha256,
    /// Whether it still has the files made of its rows.
    pub(crate) keeps_assets: bool,
}

/// Bits of a fingerprint: a row with another key has the fingerprint of an erased one by chance, one in about a million.
const FINGERPRINT_BITS: u32 = 20;

/// Twenty bits of a salted hash: enough to notice that an erased key came again, too few to tell whose key it was.
pub(crate) fn fingerprint(salt: &Sha256, bytes: &[u8]) -> u32 {
    let hash = sha256(&[salt.0.as_slice(), bytes].concat());
    hash.0.iter().take(4).fold(0, |bits, byte| bits << 8 | u32::from(*byte)) >> (u32::BITS - FINGERPRINT_BITS)
}

impl Erasure {
    /// Whether a key hash may be that of an erased row.
    pub(crate) fn perhaps_erased(&self, key: u128) -> bool {
        !self.fingerprints.is_empty()
            && self.fingerprints.binary_search(&fingerprint(&self.salt, &key.to_be_bytes())).is_ok()
    }

    /// Whether a push of the dataset's agency that was recorded before names an object no more. Bytes as sent go from all
    /// that brought them; tables and receipts from those that held the rows, since others may have equal ones.
    pub(crate) fn took(&self, record: &PushRecord, key: &str) -> bool {
        let is_shared_loss = self.bytes_gone_elsewhere.is_none() || key == paths::raw(&record.asset.sha256);
        record.outcome.snapshot < self.snapshot
            && self.objects.iter().any(|gone| gone == key)
            && (is_shared_loss || self.pushes.contains(&record.push_id))
    }

    /// Whether a push that was recorded since the pushes were asked may have held a row, or has bytes that go.
    pub(crate) fn may_concern(&self, dataset: &DatasetId, record: &PushRecord) -> bool {
        let raw = paths::raw(&record.asset.sha256);
        record.outcome.layers.iter().any(|layer| layer.dataset == *dataset) || self.objects.contains(&raw)
    }

    /// Puts its files in the place of those that held the rows.
    fn substitute(&self, segments: &mut [SegmentRef]) {
        for segment in segments {
            if let Some(substitute) = self.segments.iter().find(|substitute| is_same(&substitute.from, segment)) {
                *segment = substitute.to.clone();
            }
        }
    }

    fn apply(&self, version: &mut Version) {
        // A layout that was recorded later was made of what it left.
        if version.layout.unwrap_or(version.snapshot) < self.snapshot {
            self.substitute(&mut version.segments);
        }
        let Some(facts) = self.facts.iter().find(|facts| facts.number == version.number) else { return };
        if facts.erased > 0 {
            let before = version.erased.take();
            version.erased = Some(ErasedRows {
                rows: before.as_ref().map_or(0, |before| before.rows) + facts.erased,
                snapshot: self.snapshot,
                erased: self.erased,
                published_root_hash: before.map_or(version.root_hash, |before| before.published_root_hash),
            });
        }
        (version.rows, version.root_hash, version.bbox) = (facts.rows, facts.root_hash, facts.bbox);
        (version.changes, version.receipt) = (facts.changes, facts.receipt);
        version.geometry_types.clone_from(&facts.geometry_types);
        if !facts.keeps_assets {
            version.assets.clear();
        }
    }

    /// The segments that were replaced, as they were before.
    pub(crate) fn replaced_segments(&self) -> impl Iterator<Item = &SegmentRef> {
        self.segments.iter().map(|substitute| &substitute.from)
    }

    /// The objects that it made.
    pub(crate) fn new_objects(&self, dataset: &Dataset) -> Vec<String> {
        let uuid = &dataset.uuid;
        let segments = self.segments.iter().flat_map(|s| crate::successor::segment_objects(uuid, &s.to));
        let changes = self.facts.iter().filter_map(|facts| facts.changes);
        let changes = changes.map(|changes| paths::changes(uuid, &changes.sha256));
        let receipts = self.facts.iter().map(|facts| paths::receipt(&facts.receipt));
        segments.chain(changes).chain(receipts).collect()
    }

    /// Objects that held the rows, those in the dataset's folder left out: of pushes, and receipts of versions.
    pub(crate) fn old_objects(&self) -> impl Iterator<Item = String> {
        let receipts = self.facts.iter().map(|facts| paths::receipt(&facts.receipt_before));
        receipts.chain(self.objects.iter().cloned())
    }

    /// Blank rows by file, of the files that it made.
    pub(crate) fn blank_rows(&self) -> impl Iterator<Item = (Sha256, u64)> {
        self.segments.iter().map(|substitute| (substitute.to.parquet, substitute.blank))
    }

    /// One sentence for whoever asks for an object that is gone.
    pub(crate) fn refusal(&self, what: &str) -> Error {
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why) };
        Error::not_found(format!(
            "{what} went with {} rows that were erased on {} (snapshot {}){why}",
            self.rows, self.erased, self.snapshot
        ))
    }
}

/// Whether two references are to the same rows of the same files.
pub(crate) fn is_same(a: &SegmentRef, b: &SegmentRef) -> bool {
    (a.parquet, a.keys, a.deletes) == (b.parquet, b.keys, b.deletes)
}

/// The erasures of some datasets, each dataset's in the order of their commits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Erasures(HashMap<DatasetId, Vec<Erasure>>);

impl Erasures {
    /// Adds one that came after those of the dataset that are there.
    pub(crate) fn add(&mut self, dataset: &DatasetId, erasure: &Erasure) {
        self.0.entry(dataset.clone()).or_default().push(erasure.clone());
    }

    /// Makes of a version as it was committed what it is now.
    pub(crate) fn apply(&self, dataset: &DatasetId, version: &mut Version) {
        apply_all(self.0.get(dataset).map_or(&[], Vec::as_slice), version);
    }

    /// Makes of a layout as it was committed what it is now.
    pub(crate) fn apply_to_layout(&self, dataset: &DatasetId, layout: &mut Layout) {
        let erasures = self.0.get(dataset).into_iter().flatten().filter(|erasure| erasure.snapshot > layout.snapshot);
        erasures.for_each(|erasure| erasure.substitute(&mut layout.segments));
    }

    /// The commit of the last erasure of a dataset; 0 if there was none.
    pub(crate) fn last(&self, dataset: &DatasetId) -> u64 {
        self.0.get(dataset).and_then(|erasures| erasures.last()).map_or(0, |erasure| erasure.snapshot.0)
    }

    /// The file that holds the rows of a file that was committed then, whichever rows a version has of it.
    pub(crate) fn file_of(&self, dataset: &DatasetId, committed: SnapshotId, file: Sha256) -> Sha256 {
        let erasures = self.0.get(dataset).into_iter().flatten().filter(|erasure| erasure.snapshot > committed);
        erasures.fold(file, |file, erasure| {
            let substitute = erasure.segments.iter().find(|substitute| substitute.from.parquet == file);
            substitute.map_or(file, |substitute| substitute.to.parquet)
        })
    }

    /// What a version is now, given as it was committed.
    pub(crate) fn seen<'a>(&self, dataset: &DatasetId, version: &'a Version) -> Cow<'a, Version> {
        if !self.0.contains_key(dataset) {
            return Cow::Borrowed(version);
        }
        let mut version = version.clone();
        self.apply(dataset, &mut version);
        Cow::Owned(version)
    }

    /// The objects that a push still names.
    pub(crate) fn objects_of(&self, record: &PushRecord) -> Vec<String> {
        let of_agency = self.0.iter().filter(|(dataset, _)| dataset.agency() == record.agency);
        let erasures: Vec<_> = of_agency.flat_map(|(_, erasures)| erasures).collect();
        record.objects().filter(|key| !erasures.iter().any(|erasure| erasure.took(record, key))).collect()
    }

    /// Blank rows by file, of all files that an erasure made.
    pub(crate) fn blank_rows(&self) -> HashMap<Sha256, u64> {
        self.0.values().flatten().flat_map(Erasure::blank_rows).collect()
    }
}

/// Makes of a version as it was committed what erasures, in their order, made of it.
pub(crate) fn apply_all(erasures: &[Erasure], version: &mut Version) {
    let committed = version.snapshot;
    erasures.iter().filter(|erasure| erasure.snapshot > committed).for_each(|erasure| erasure.apply(version));
}
