//! Who made what out of what.

use crate::diagnostic::Example;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One step from the bytes as sent to the rows as published: the receipt of a rule.
///
/// The same bytes, the same step versions and the same parameters give the same rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStep {
    /// The step's stable name, e.g. `crs` or `read`.
    pub step: String,
    /// Version of the rule set or of the software that did it, e.g. `1` or `GDAL 3.6.2`.
    pub version: String,
    /// What it was told or what it decided, each value as text with its unit.
    pub parameters: BTreeMap<String, String>,
    /// How many values, rows or columns it changed.
    pub count: u64,
    /// The first few of them.
    pub examples: Vec<Example>,
}
