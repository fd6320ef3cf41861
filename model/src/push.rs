//! What a push asks for and what it answers.

use crate::dataset::Key;
use crate::diagnostic::{Diagnostic, Severity};
use crate::digest::Sha256;
use crate::error::{Error, Result, quoted};
use crate::extent::BoundingBox;
use crate::id::{DatasetId, MajorNumber, SnapshotId, VersionNumber};
use crate::lineage::ProcessStep;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a push changes a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushMode {
    /// The rows are the full new state.
    #[default]
    Replace,
    /// The rows take the place of those with the same key, or are new; rows that are marked as deleted go.
    Upsert,
    /// The rows come beside those that are there.
    Append,
}

/// Which layers of a file a push means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerSelection {
    /// The only one; a file with several is a question to the publisher.
    #[default]
    Only,
    /// The one of this name.
    Named(String),
    /// Every one, each as a dataset of its own.
    All,
}

/// What a publisher declared with a push, kept so that its bytes can be read again the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Declarations {
    /// The media type; `None` if it was told from the bytes and the name.
    pub media_type: Option<String>,
    /// The CRS of the coordinates.
    pub crs: Option<String>,
    /// The encoding of the text.
    pub encoding: Option<String>,
    /// Where the data lies.
    pub region: Option<String>,
    /// The time zone of times that have none.
    pub time_zone: Option<String>,
    /// Which layers.
    pub layers: LayerSelection,
    /// What the rows are to those that are there.
    pub mode: PushMode,
    /// The columns that make a row the same row in another version, by their published or their source names.
    pub key: Option<Vec<String>>,
    /// The column that says which rows of an upsert are deleted, by its published or its source name.
    pub delete_column: Option<String>,
    /// The mapping in force, as its file was written: the push's own or the dataset's.
    pub mapping: Option<String>,
    /// The versions of the datasets that the mapping looked values up in, and of the registers that codes were compared
    /// with.
    pub references: BTreeMap<DatasetId, VersionNumber>,
    /// Whether the version begins a new major, so that it may break what readers of the one before rely on.
    #[serde(skip_serializing_if = "is_false")]
    pub new_major: bool,
    /// The column that says from when a row was so in the world, by its published or its source name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// The column that says from when it was so no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a push does to the mapping of its dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MappingChange {
    /// The dataset's own mapping is in force and stays.
    #[default]
    Keep,
    /// The mapping of the push is the dataset's from now on; without one the dataset has none any more.
    Set,
}

/// What was read, taken, repaired and refused of one layer, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// The layer's name in the source.
    pub layer: String,
    /// The format's name, e.g. `ESRI Shapefile`.
    pub format: String,
    /// Rows that came out of the source.
    pub rows_read: u64,
    /// Rows that are in the version; `rows_read - rows_refused`.
    pub rows_taken: u64,
    /// Rows among those taken in which a value or the geometry was repaired.
    pub rows_repaired: u64,
    /// Rows left out, each kind named in a diagnostic.
    pub rows_refused: u64,
    /// Rows taken by geometry type (`Point`, `MultiPolygon`, … as in OGC Simple Features, Z and M not named).
    pub geometry_types: BTreeMap<String, u64>,
    /// Rows taken whose geometry is null.
    pub geometry_nulls: u64,
    /// The CRS the coordinates came in, e.g. `EPSG:28413`; `None` for a table without geometry.
    pub source_crs: Option<String>,
    /// The encoding the text came in, IANA name.
    pub source_encoding: Option<String>,
    /// Box around the rows taken, OGC:CRS84; `None` if no row has a place.
    pub bbox: Option<BoundingBox>,
    /// What the rules found.
    pub diagnostics: Vec<Diagnostic>,
    /// What the rules did, in order.
    pub steps: Vec<ProcessStep>,
    /// Position among the columns of the source, from 0, of the one that is the geometry and no attribute; `None` if there
    /// is none, or for pushes from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry_column: Option<u32>,
}

impl LayerReport {
    /// The same report without examples: these are values of rows.
    #[must_use]
    pub fn without_examples(mut self) -> Self {
        self.diagnostics.iter_mut().for_each(|diagnostic| diagnostic.examples.clear());
        self.steps.iter_mut().for_each(|step| step.examples.clear());
        self
    }

    /// Checks that not every row was refused: an empty version would stand for data that is there.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming what was refused, each kind with its number and an example.
    pub fn check_taken(&self) -> Result<()> {
        if self.rows_taken > 0 || self.rows_refused == 0 {
            return Ok(());
        }
        let refusals = self.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        let reasons: Vec<String> = refusals
            .map(|found| {
                let first = found.examples.first().map_or("", |example| example.found.as_str());
                format!("{} ({}, {}×, such as {})", found.message, found.rule, found.count, quoted(first))
            })
            .collect();
        let (rows, reasons) = (self.rows_read, reasons.join("; "));
        Err(Error::invalid_data(format!("every one of the {rows} rows was refused: {reasons}")))
    }

    /// Whether it has an example.
    pub fn has_examples(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| !diagnostic.examples.is_empty())
            || self.steps.iter().any(|step| !step.examples.is_empty())
    }
}

/// How a push ended for the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushStatus {
    /// At least one new version.
    Published,
    /// Every layer equals the newest version of its dataset.
    Unchanged,
}

/// What a push did to one dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerOutcome {
    /// The dataset that the layer went into.
    pub dataset: DatasetId,
    /// The version that holds the rows now: new, or the one that already held them.
    pub version: VersionNumber,
    /// The major of that version.
    #[serde(default, skip_serializing_if = "MajorNumber::is_first")]
    pub major: MajorNumber,
    /// Whether that version is new.
    pub status: PushStatus,
    /// Rows that the version before did not have; without a key a changed row is one added and one removed.
    pub rows_added: u64,
    /// Rows of the version before that are gone.
    pub rows_removed: u64,
    /// Rows whose key was there with other values.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_changed: u64,
    /// Marks of deleted rows whose key the version before did not have: nothing went for them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub marks_without_row: u64,
    /// What makes a row the same row in another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What was read, taken, repaired and refused. The commit keeps it without examples, which the receipt has.
    #[serde(flatten)]
    pub report: LayerReport,
    /// The receipt: the whole report, as stored; `None` for pushes from before it was kept beside the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Sha256>,
    /// What the rules said place by place; `None` if there was nothing to say, or for pushes from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<TableRef>,
    /// The rows that were refused, as the source has them; `None` if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<TableRef>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A table that is kept with a push: an Arrow IPC file, named by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    /// Hash of the file; names it.
    pub sha256: Sha256,
    /// How many rows.
    pub rows: u64,
    /// Bytes of the file.
    pub size_bytes: u64,
}

/// The answer to a push, kept with its commit so that repeating the push repeats the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushOutcome {
    /// How it ended.
    pub status: PushStatus,
    /// One entry a layer, in the order of the source.
    pub layers: Vec<LayerOutcome>,
    /// The commit that recorded it.
    pub snapshot: SnapshotId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_from_before_tables_were_kept_is_read_and_written_as_it_was() {
        let before = r#"{"dataset":"a/b","version":1,"status":"published","rows_added":1,"rows_removed":0,"layer":"l","format":"CSV","rows_read":1,"rows_taken":1,"rows_repaired":0,"rows_refused":0,"geometry_types":{},"geometry_nulls":0,"source_crs":null,"source_encoding":null,"bbox":null,"diagnostics":[],"steps":[]}"#;
        let outcome: LayerOutcome = serde_json::from_str(before).expect("an outcome");
        assert_eq!((outcome.verdicts, outcome.quarantine), (None, None));
        assert_eq!(serde_json::to_string(&outcome).expect("JSON"), before);
    }
}
