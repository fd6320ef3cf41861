//! What may be asked of a snapshot.

use crate::extent::BoundingBox;
use crate::filter::Filter;
use crate::valid::ValidQuery;

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
    /// Rows by the time in which they were so in the world; `None` for whenever.
    pub valid: Option<ValidQuery>,
    /// Rows for which this is true; `None` for all.
    pub filter: Option<Filter>,
    /// How many rows at most, in the stored order.
    pub limit: Option<u64>,
}
