//! What is said of a difference before its rows.

use crate::filter::WrittenFilter;
use arrow_schema::{DataType, Schema};
use jiff::Timestamp;
use std::fmt;
use ukimet_model::{DatasetId, RowQuery, SnapshotId, Version, VersionNumber};

/// The two versions of a difference, and what of them is compared.
#[derive(Clone, Debug)]
pub struct DiffHeading {
    /// The dataset.
    pub dataset: DatasetId,
    /// The snapshot that was read.
    pub snapshot: SnapshotId,
    /// The version that is compared with, and when it was committed.
    pub from: (VersionNumber, Timestamp),
    /// The version that is compared, and when it was committed.
    pub to: (VersionNumber, Timestamp),
    /// The columns by which a row is the same row in both; empty where they have not the same key.
    pub key: Vec<String>,
    /// Columns that came, went, or have another type.
    pub columns: Vec<ColumnChange>,
    /// What was asked for.
    pub asked: RowQuery,
    /// Its filter as it was written.
    pub filter: Option<WrittenFilter>,
    /// If it is not the next version that is compared but a new reading of the bytes of `from`: by which rules. `to` is
    /// nothing that is there then.
    pub reread: Option<Reread>,
}

/// The rules of a version and of a new reading of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// Those that made the version; `None` if its receipt does not tell.
    pub before: Option<String>,
    /// Those of the new reading.
    pub now: String,
}

/// A column that is not the same in both versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChange {
    /// Its published name.
    pub name: String,
    /// Its Arrow data type before; `None` if it was not there.
    pub before: Option<String>,
    /// Its Arrow data type after; `None` if it is not there.
    pub after: Option<String>,
}

impl DiffHeading {
    /// `schema` is that of the difference.
    pub(crate) fn new(
        (dataset, snapshot): (&DatasetId, SnapshotId),
        (from, to): (&Version, &Version),
        schema: &Schema,
        (asked, filter): (RowQuery, Option<WrittenFilter>),
    ) -> Self {
        Self {
            dataset: dataset.clone(),
            snapshot,
            from: (from.number, from.committed),
            to: (to.number, to.committed),
            key: key_columns(schema),
            columns: column_changes(from, to),
            asked,
            reread: None,
            filter,
        }
    }
}

fn key_columns(schema: &Schema) -> Vec<String> {
    match schema.field_with_name("key").map(arrow_schema::Field::data_type) {
        Ok(DataType::Struct(fields)) => fields.iter().map(|field| field.name().clone()).collect(),
        _ => Vec::new(),
    }
}

/// Columns that went or have another type in the order of the earlier version, then those that came.
fn column_changes(from: &Version, to: &Version) -> Vec<ColumnChange> {
    let type_in = |version: &Version, name: &str| {
        version.fields.iter().find(|field| field.name == name).map(|field| field.data_type.clone())
    };
    let mut changes: Vec<ColumnChange> = Vec::new();
    for field in from.fields.iter().chain(&to.fields) {
        let (before, after) = (type_in(from, &field.name), type_in(to, &field.name));
        if before != after && changes.iter().all(|change| change.name != field.name) {
            changes.push(ColumnChange { name: field.name.clone(), before, after });
        }
    }
    changes
}

impl fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {}: {after}", self.name),
            (Some(before), None) => write!(f, "− {}: {before}", self.name),
            (before, after) => {
                let type_of = |side: &Option<String>| side.clone().unwrap_or_default();
                write!(f, "{}: {} → {}", self.name, type_of(before), type_of(after))
            }
        }
    }
}
