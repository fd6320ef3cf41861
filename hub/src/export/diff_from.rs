//! Which version a difference begins at, as a request says it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use ukimet_model::{Error, Result, VersionChoice};

/// What a version is compared with. In JSON a number, or the text that [`DiffFrom::from_str`] reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum DiffFrom {
    /// The version before it that is still there.
    #[default]
    Previous,
    /// This version of the same dataset; its number in tickets.
    Version(VersionChoice),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

const PREVIOUS: &str = "previous";

impl FromStr for DiffFrom {
    type Err = Error;

    /// Reads `previous`, or a version.
    fn from_str(text: &str) -> Result<Self> {
        if text == PREVIOUS { Ok(Self::Previous) } else { text.parse().map(Self::Version) }
    }
}

impl fmt::Display for DiffFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Previous => f.write_str(PREVIOUS),
            Self::Version(version) => version.fmt(f),
        }
    }
}

impl TryFrom<Written> for DiffFrom {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Number(number) => number.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<DiffFrom> for Written {
    fn from(from: DiffFrom) -> Self {
        Self::Text(from.to_string())
    }
}
