//! Datasets and their versions as the catalog records them.

use crate::digest::Sha256;
use crate::erasure::ErasedRows;
use crate::extent::BoundingBox;
use crate::id::{DatasetId, DatasetUuid, MajorNumber, PushId, SnapshotId, VersionNumber};
use crate::retention::RetentionRule;
use crate::valid::ValidTime;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What people say about a dataset, each text by language (`kk`, `ru`, `en`; `und` if nobody said which).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetMetadata {
    /// Title by language.
    pub title: BTreeMap<String, String>,
    /// Description by language.
    pub description: BTreeMap<String, String>,
    /// Keywords by language.
    pub keywords: BTreeMap<String, Vec<String>>,
}

impl DatasetMetadata {
    /// The title in the first of these languages that has one, else in any.
    pub fn title_in(&self, languages: &[&str]) -> Option<&str> {
        languages.iter().find_map(|l| self.title.get(*l)).or_else(|| self.title.values().next()).map(String::as_str)
    }

    /// These texts, and where a kind of text is not given at all, the ones of `before`.
    #[must_use]
    pub fn or(self, before: &Self) -> Self {
        fn pick<T: Clone>(now: BTreeMap<String, T>, before: &BTreeMap<String, T>) -> BTreeMap<String, T> {
            if now.is_empty() { before.clone() } else { now }
        }
        Self {
            title: pick(self.title, &before.title),
            description: pick(self.description, &before.description),
            keywords: pick(self.keywords, &before.keywords),
        }
    }
}

/// A dataset as of one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its identity.
    pub id: DatasetId,
    /// Names its folder in the store; never reused, so that a dataset made anew shares nothing with the old one.
    pub uuid: DatasetUuid,
    /// When it was first published.
    pub created: Timestamp,
    /// What people say about it.
    pub metadata: DatasetMetadata,
    /// What its columns are made of, a mapping file; `None` if they are what the rules find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// Which versions are kept; `None` for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionRule>,
}

/// A column as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The published name: ASCII, snake case, stable.
    pub name: String,
    /// The name in the source, as it was.
    pub source_name: String,
    /// The Arrow data type, in Arrow's own notation; `Binary` with WKB for the geometry.
    pub data_type: String,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// What its values identify, e.g. `iin`; `None` if that is not known. Like a title it is no part of the root hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The unit of its numbers, as the source writes it; `None` if that is not known. No part of the root hash either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// The bytes of a push as they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Hash of the bytes; names them under `raw/`.
    pub sha256: Sha256,
    /// How many bytes.
    pub size_bytes: u64,
    /// The file's name at the sender.
    pub file_name: String,
    /// The media type, as declared or as found.
    pub media_type: String,
}

/// One immutable file of rows and its companions, and which of its rows a version still has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Hash of the `GeoParquet` file; names it.
    pub parquet: Sha256,
    /// Hash of the packed R-tree over its rows; `None` for a table without places.
    pub rtree: Option<Sha256>,
    /// Hash of its key file.
    pub keys: Sha256,
    /// How many rows the file has.
    pub rows: u64,
    /// How many of them have a place; these come first.
    pub rows_with_place: u64,
    /// Bytes of the three files together.
    pub size_bytes: u64,
    /// The rows that the version has no more; `None` if it has all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletes: Option<DeletesRef>,
}

impl SegmentRef {
    /// How many rows the version has of it.
    pub fn live_rows(&self) -> u64 {
        self.rows - self.deletes.map_or(0, |deletes| deletes.rows)
    }
}

/// Which rows of a segment a version has no more: a bitmap of row numbers in the portable Roaring format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletesRef {
    /// Hash of the bitmap; names it.
    pub sha256: Sha256,
    /// How many rows it names.
    pub rows: u64,
}

/// The columns by which a row is the same row in another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Published names, in the order of the declaration. No value is missing and no two rows agree in all of them.
    pub columns: Vec<String>,
    /// Whether the publisher named them, or they were found in the first version.
    pub is_declared: bool,
}

/// Which rows a version has that the one before has not, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesRef {
    /// Hash of the list; names it.
    pub sha256: Sha256,
    /// How many rows it has.
    #[serde(flatten)]
    pub counts: ChangeCounts,
}

/// How many rows differ between two versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// Rows that are new.
    pub added: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// Rows whose key is in both and whose values differ; 0 without a key.
    pub changed: u64,
}

impl ChangeCounts {
    /// Rows that differ in any way.
    pub fn rows(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// A file that was made of a row, e.g. a raster as a Cloud Optimized `GeoTIFF`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedAsset {
    /// A name for people.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Number of the row in the source, from 0.
    pub row: u64,
    /// Hash of its bytes; names it in the folder of its dataset.
    pub sha256: Sha256,
    /// How many bytes.
    pub size_bytes: u64,
}

/// A published version of a dataset. Never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// 1, 2, 3 …
    pub number: VersionNumber,
    /// The commit that published it.
    pub snapshot: SnapshotId,
    /// When that commit was made.
    pub committed: Timestamp,
    /// The earlier version that it equals because the dataset was rolled back to it; `None` if a push brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<VersionNumber>,
    /// The push that brought its rows.
    pub push_id: PushId,
    /// The bytes it came from.
    pub asset: Asset,
    /// The layer of those bytes.
    pub layer: String,
    /// The receipt: the push's report for this layer, as stored.
    pub receipt: Sha256,
    /// Columns in order, the geometry last.
    pub fields: Vec<Field>,
    /// Hash over the schema and every row's key and content: equal hash, equal version.
    pub root_hash: Sha256,
    /// How many rows.
    pub rows: u64,
    /// Box around all rows, OGC:CRS84; `None` if no row has a place.
    pub bbox: Option<BoundingBox>,
    /// Rows by geometry type, as in the report.
    pub geometry_types: BTreeMap<String, u64>,
    /// The files that hold the rows, in the order of the rows.
    pub segments: Vec<SegmentRef>,
    /// Files made of its rows; none in versions from before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<DerivedAsset>,
    /// What makes a row the same row in another version; `None` if only all its values do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What changed since the version before; `None` for the first, and where every row was written anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<ChangesRef>,
    /// Versions of one major keep what their readers rely on; the first for versions from before majors were counted.
    #[serde(default, skip_serializing_if = "MajorNumber::is_first")]
    pub major: MajorNumber,
    /// The columns that say when a row was so in the world; `None` if nobody declared any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_time: Option<ValidTime>,
    /// Rows that were erased since: counts, extent and hashes are those of what is left. `None` if none were, and as the
    /// version is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<ErasedRows>,
    /// The commit that laid its rows out in these segments, if a compaction did; `None` for those that it was published
    /// with. A reader fills it in: no commit records it with the version.
    #[serde(skip)]
    pub layout: Option<SnapshotId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_change_list_stand_beside_its_hash() {
        let zeros = "0".repeat(64);
        let text = format!(r#"{{"sha256":"{zeros}","added":1,"removed":2,"changed":3}}"#);
        let changes: ChangesRef = serde_json::from_str(&text).expect("as versions have it");
        assert_eq!((changes.counts.rows(), serde_json::to_string(&changes).expect("JSON")), (6, text));
    }

    #[test]
    fn a_column_from_before_roles_were_kept_is_read_and_written_as_it_was() {
        let before = r#"{"name":"n","source_name":"N","data_type":"Utf8","nullable":true}"#;
        let field: Field = serde_json::from_str(before).expect("a field");
        assert_eq!((&field.role, &field.unit), (&None, &None));
        assert_eq!(serde_json::to_string(&field).expect("JSON"), before);
    }
}
