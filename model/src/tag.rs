//! Names and words that people give to versions.

use crate::error::{Error, Result, quoted};
use crate::id::{SnapshotId, VersionNumber};
use crate::operation::OperationId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name for a version of a dataset: `final`, `budget-2026`.
///
/// 1 to 64 of a-z, 0-9, `.`, `_` and `-`; begins with a letter and ends with a letter or a digit. It can be taken neither
/// for a version number nor for a time nor for the newest version: `v` and a digit do not begin it, and it is not
/// `newest`, `latest`, `head` or `previous`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagName(String);

const LENGTH_MAX: usize = 64;
/// What people write when they mean the newest version, or the one before.
const RESERVED: [&str; 4] = ["newest", "latest", "head", "previous"];

impl TagName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TagName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if RESERVED.contains(&text) {
            return Err(Error::invalid_request(format!(
                "{text} is no tag: it would mean another version after every push; a dataset without a version means the newest"
            )));
        }
        let is_letter = |b: u8| b.is_ascii_lowercase();
        let is_inner = |b: u8| is_letter(b) || b.is_ascii_digit() || b"._-".contains(&b);
        let bytes = text.as_bytes();
        let is_valid = bytes.len() <= LENGTH_MAX
            && bytes.first().is_some_and(|b| is_letter(*b))
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|b| is_inner(*b))
            && !(bytes[0] == b'v' && bytes.get(1).is_some_and(u8::is_ascii_digit));
        if is_valid {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_request(format!(
            "a version is v7, a time such as 2026-03-01T00:00Z, or a tag: 1 to {LENGTH_MAX} of a-z, 0-9 and inner . _ -, \
             a letter first, not v and a digit (budget-2026); found {}",
            quoted(text)
        )))
    }
}

impl TryFrom<String> for TagName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TagName> for String {
    fn from(name: TagName) -> Self {
        name.0
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tag was set to by one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: TagName,
    /// The version that it names from then on; `None` if it was deleted.
    pub version: Option<VersionNumber>,
    /// The commit of the operation.
    pub snapshot: SnapshotId,
    /// When that commit was made, UTC.
    pub set: Timestamp,
    /// Who did it.
    pub principal: String,
    /// Why, in their words; empty if they did not say.
    pub why: String,
}

/// What somebody wrote about a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The version.
    pub version: VersionNumber,
    /// The words.
    pub text: String,
    /// The operation that added it.
    pub operation: OperationId,
    /// The commit of the operation.
    pub snapshot: SnapshotId,
    /// When that commit was made, UTC.
    pub written: Timestamp,
    /// Who wrote it.
    pub principal: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_plain_word_that_is_no_number_and_no_time() {
        for valid in ["final", "budget-2026", "q1_2026.draft", "a", "valid", "v-7"] {
            assert_eq!(valid.parse::<TagName>().expect(valid).as_str(), valid);
        }
        let long = "a".repeat(65);
        for invalid in [
            "",
            "7",
            "v7",
            "v7-final",
            "2026-03-01",
            "Final",
            "-a",
            "a-",
            "a b",
            "a@b",
            "қорытынды",
            "latest",
            "previous",
            &long,
        ] {
            assert!(invalid.parse::<TagName>().is_err(), "{invalid}");
        }
    }
}
