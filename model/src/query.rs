//! What may be asked of a snapshot.

use crate::error::{Error, Result};
use crate::extent::BoundingBox;
use crate::id::{DatasetId, VersionNumber};
use std::fmt;
use std::str::FromStr;

/// Which datasets: words, place, page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetQuery {
    /// Words that must all occur; empty for every dataset.
    pub text: String,
    /// Datasets whose extent shares a place with this box.
    pub bbox: Option<BoundingBox>,
    /// How many hits to skip.
    pub offset: usize,
    /// How many hits at most.
    pub limit: usize,
}

/// Which rows of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowQuery {
    /// Columns in this order; `None` for all. The geometry is a column like any other.
    pub columns: Option<Vec<String>>,
    /// Rows whose geometry shares a place with this box, exactly, not only by their own box.
    pub bbox: Option<BoundingBox>,
    /// How many rows at most, in the stored order.
    pub limit: Option<u64>,
}

/// A dataset and, where one is named, its version: `almaty/schools` or `almaty/schools@v7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSelector {
    /// The dataset.
    pub dataset: DatasetId,
    /// The version; `None` for the newest of the snapshot.
    pub version: Option<VersionNumber>,
}

impl FromStr for VersionSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (dataset, version) = match text.split_once('@') {
            Some((dataset, version)) => (dataset, Some(version.parse()?)),
            None => (text, None),
        };
        Ok(Self { dataset: dataset.parse()?, version })
    }
}

impl fmt::Display for VersionSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.dataset),
            None => self.dataset.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_a_dataset_and_perhaps_a_version() {
        for text in ["almaty/schools", "almaty/schools@v7"] {
            assert_eq!(text.parse::<VersionSelector>().expect("valid").to_string(), text);
        }
        assert!("almaty/schools@latest".parse::<VersionSelector>().is_err());
    }
}
