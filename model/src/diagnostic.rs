//! Findings about the data that are not errors of the software.

use serde::{Deserialize, Serialize};

/// How much a finding matters to the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing was changed.
    Note,
    /// Something was changed or looks wrong; the rows were taken.
    Warning,
    /// Rows were refused.
    Error,
}

/// One place where a rule found something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Number of the row in its layer, from 0, in the order of the source; `None` for the whole layer.
    pub row: Option<u64>,
    /// The attribute as the source names it; `None` for the geometry or the whole row.
    pub field: Option<String>,
    /// What was found, shortened.
    pub found: String,
    /// What was taken instead, shortened; `None` if nothing was changed.
    pub taken: Option<String>,
}

/// What one rule found in one layer: how often, and a few examples.
///
/// Diagnostics are counted by rule, never listed by row, so that a million bad rows cost no more than one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The rule's stable name, e.g. `geometry.invalid`.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence for people.
    pub message: String,
    /// How many values, rows or columns it concerns.
    pub count: u64,
    /// The first few of them, at most [`Diagnostic::EXAMPLES_MAX`].
    pub examples: Vec<Example>,
}

impl Diagnostic {
    /// How many examples a diagnostic keeps.
    pub const EXAMPLES_MAX: usize = 5;
}
