//! What is done to a dataset and its versions without a push.

use crate::error::{Error, Result, quoted};
use crate::id::{SnapshotId, VersionNumber};
use crate::retention::RetentionRule;
use crate::selector::VersionChoice;
use crate::tag::TagName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a client names one operation by, so that a repeated operation changes nothing.
///
/// 1 to 128 printable ASCII characters without space, unique within an agency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(String);

impl OperationId {
    /// The id as the client chose it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperationId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_request(format!(
            "operation_id is 1 to 128 printable ASCII characters without space, found {} bytes: {}",
            text.len(),
            quoted(text)
        )))
    }
}

impl TryFrom<String> for OperationId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<OperationId> for String {
    fn from(id: OperationId) -> Self {
        id.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operation does. A version that is left out is the newest at the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Gives a version a tag; one that another version has only moves if that is asked for.
    SetTag {
        /// The tag.
        tag: TagName,
        /// The version.
        version: Option<VersionChoice>,
        /// Whether it may be another version's now.
        is_move: bool,
    },
    /// Takes a tag away.
    DeleteTag {
        /// The tag.
        tag: TagName,
    },
    /// Writes a note on a version.
    AddNote {
        /// The version.
        version: Option<VersionChoice>,
        /// The words.
        text: String,
    },
    /// Publishes a version that equals an old one.
    RollBack {
        /// The old one.
        to: VersionChoice,
        /// The newest version that the caller knows of; `None` if it does not matter.
        expected_version: Option<u64>,
        /// Whether the version begins a new major, so that it may break what readers of the newest rely on.
        #[serde(default, skip_serializing_if = "is_false")]
        new_major: bool,
    },
    /// Says which versions are kept from now on.
    SetRetention {
        /// The rule; `None` to keep every version.
        rule: Option<RetentionRule>,
    },
    /// Removes the versions that the dataset's rule does not keep.
    ApplyRetention,
    /// Erases rows from every version. Which ones is not kept: neither the values nor a hash of them.
    EraseRows {
        /// The columns by whose values the rows were named.
        columns: Vec<String>,
        /// How many keys were named.
        keys: u64,
        /// For whom, in their words; empty if nobody said.
        who: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Whether an operation changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationStatus {
    /// It did.
    Done,
    /// Everything was as it asked for already.
    Unchanged,
}

/// The answer to an operation, kept with its commit so that repeating the operation repeats the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationOutcome {
    /// Whether it changed anything.
    pub status: OperationStatus,
    /// The version that it was about: the one that has the tag or the note now, or the one that a rollback made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionNumber>,
    /// The version that had the tag before, or the newest before a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<VersionNumber>,
    /// The versions that were removed, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<VersionNumber>,
    /// The commit that recorded it.
    pub snapshot: SnapshotId,
}

impl OperationOutcome {
    /// An outcome of one commit that changed nothing so far.
    pub fn unchanged(snapshot: SnapshotId) -> Self {
        Self { status: OperationStatus::Unchanged, version: None, before: None, removed: Vec::new(), snapshot }
    }
}
