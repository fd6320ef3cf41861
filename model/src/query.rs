//! What may be asked of a snapshot.

use crate::extent::BoundingBox;
use crate::facet::Facet;
use crate::filter::Filter;
use crate::valid::ValidQuery;
use jiff::Timestamp;

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
