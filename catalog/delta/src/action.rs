//! The actions of the Delta protocol that a log of ours has, as its JSON lines spell them.

use serde::Serialize;
use std::collections::BTreeMap;
use ukimet_model::{Error, Result};

/// The writer feature that no other program has: it keeps others from writing to the table, and from "vacuuming" the
/// folder, which holds more than Delta knows of. Readers need not know it.
pub(crate) const HUB_FEATURE: &str = "ukimetHub";

/// One line of a log entry.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    CommitInfo(CommitInfo),
    Protocol(Protocol),
    MetaData(MetaData),
    Add(Add),
    Remove(Remove),
}

/// What the entry stands for. By it a log is known to be one of these versions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitInfo {
    /// When the version was committed, ms since 1970.
    pub(crate) timestamp: i64,
    pub(crate) operation: &'static str,
    pub(crate) operation_parameters: BTreeMap<String, String>,
    pub(crate) engine_info: &'static str,
    /// What [`Marker`] reads back.
    ///
    /// [`Marker`]: crate::entry::Marker
    pub(crate) ukimet_marker: String,
}

/// What a program must know to read or write the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    pub(crate) min_reader_version: u8,
    pub(crate) min_writer_version: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reader_features: Option<Vec<&'static str>>,
    pub(crate) writer_features: Vec<&'static str>,
}

impl Protocol {
    /// A protocol with the features that readers must know.
    pub(crate) fn new(reader_features: Vec<&'static str>) -> Self {
        let writer_features = reader_features.iter().copied().chain([HUB_FEATURE]).collect();
        let is_plain = reader_features.is_empty();
        Self {
            min_reader_version: if is_plain { 1 } else { 3 },
            min_writer_version: 7,
            reader_features: (!is_plain).then_some(reader_features),
            writer_features,
        }
    }
}

/// What the table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetaData {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) format: Format,
    /// The schema, as JSON text.
    pub(crate) schema_string: String,
    pub(crate) partition_columns: [String; 0],
    pub(crate) configuration: BTreeMap<String, String>,
    /// When the dataset was first published, ms since 1970.
    pub(crate) created_time: i64,
}

/// The format of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Format {
    pub(crate) provider: &'static str,
    pub(crate) options: BTreeMap<String, String>,
}

/// A file that the table has from here on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Add {
    pub(crate) path: String,
    pub(crate) partition_values: BTreeMap<String, String>,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// When the version was committed, ms since 1970.
    pub(crate) modification_time: i64,
    pub(crate) data_change: bool,
    /// Statistics, as JSON text.
    pub(crate) stats: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_vector: Option<DeletionVector>,
}

/// A file that the table has no more.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remove {
    pub(crate) path: String,
    /// When the version was committed, ms since 1970.
    pub(crate) deletion_timestamp: i64,
    pub(crate) data_change: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deletion_vector: Option<DeletionVector>,
}

/// Rows of a file that the table does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletionVector {
    pub(crate) storage_type: &'static str,
    pub(crate) path_or_inline_dv: String,
    pub(crate) size_in_bytes: usize,
    pub(crate) cardinality: u64,
}

/// The actions as a log entry's bytes.
pub(crate) fn lines(actions: &[Action]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut bytes, action)
            .map_err(|e| Error::internal("writing an action of a Delta log").caused_by(e))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
