//! What may be asked of a snapshot.

use crate::error::{Error, Result};
use crate::extent::BoundingBox;
use crate::facet::Facet;
use crate::filter::Filter;
use crate::valid::ValidQuery;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Which datasets: words, place, time, properties, page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetQuery {
    /// Words that must all occur; empty for every dataset. Words in quotes stand side by side; `title:` and the like before
    /// a word name the part of a description that it must be in.
    pub text: String,
    /// Datasets whose extent shares a place with this box, OGC:CRS84.
    pub bbox: Option<BoundingBox>,
    /// Datasets declared for this region, for one in it or for one around it: a KATO code or its first digits.
    pub region: Option<String>,
    /// Datasets whose newest version was committed at this time or later, to the second.
    pub updated_from: Option<Timestamp>,
    /// Datasets whose newest version was committed before this time, to the second.
    pub updated_before: Option<Timestamp>,
    /// Datasets with one of the values named for each facet; `None` is a value that is not known.
    pub facets: Vec<(Facet, Option<String>)>,
    /// Whether the datasets found are counted by every facet.
    pub with_facets: bool,
    /// How many hits to skip.
    pub offset: usize,
    /// How many hits at most.
    pub limit: usize,
}

impl DatasetQuery {
    /// Whether it asks for more than words and a box.
    pub fn has_properties(&self) -> bool {
        let has_time = self.updated_from.is_some() || self.updated_before.is_some();
        self.region.is_some() || has_time || !self.facets.is_empty() || self.with_facets
    }
}

/// Which rows of one version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowQuery {
    /// Columns in this order; `None` for all. The geometry is a column like any other.
    pub columns: Option<Vec<String>>,
    /// Rows whose geometry shares a place with this box, exactly, not only by their own box.
    pub bbox: Option<BoundingBox>,
    /// Rows by the time in which they were so in the world; `None` for whenever.
    pub valid: Option<ValidQuery>,
    /// Rows for which this is true; `None` for all.
    pub filter: Option<Filter>,
    /// How many rows at most, in the stored order.
    pub limit: Option<u64>,
}

/// A column that rows are ordered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderColumn {
    /// Its published name.
    pub column: String,
    /// Whether the greatest comes first. Missing values come last either way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub descending: bool,
}

impl FromStr for OrderColumn {
    type Err = Error;

    /// Reads `name`, or `-name` for the greatest first.
    fn from_str(written: &str) -> Result<Self> {
        let (column, descending) = written.strip_prefix('-').map_or((written, false), |column| (column, true));
        if column.is_empty() {
            return Err(Error::invalid_request("an order is columns such as name,-area, found one without a name"));
        }
        Ok(Self { column: column.to_owned(), descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_to_order_by_is_a_name_perhaps_with_a_minus() {
        let of = |written: &str| written.parse::<OrderColumn>();
        let column = |descending| OrderColumn { column: "area".to_owned(), descending };
        assert_eq!(of("area").expect("a name"), column(false));
        assert_eq!(of("-area").expect("a name"), column(true));
        assert!(of("").is_err() && of("-").is_err());
    }
}
