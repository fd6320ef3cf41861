//! Verdicts: what a rule said about one value, one row or one column of a push.

use crate::diagnostic::{Example, Severity};
use serde::{Deserialize, Serialize};

/// What one rule said about one place of a layer.
///
/// Diagnostics count by rule; verdicts list. An officer corrects a file by them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Number of the row in its layer, from 0, in the order of the source; `None` for a whole column or layer.
    pub row: Option<u64>,
    /// The attribute as the source names it; `None` for the geometry, the whole row or the layer.
    pub field: Option<String>,
    /// The rule's stable name, e.g. `geometry.invalid`.
    pub rule: String,
    /// How much it matters; [`Severity::Error`] means that the row was refused.
    pub severity: Severity,
    /// What was found, at most [`Verdict::TEXT_CHARACTERS_MAX`] characters.
    pub found: String,
    /// What was taken instead; `None` if nothing was changed.
    pub taken: Option<String>,
    /// One sentence for people.
    pub note: String,
}

impl Verdict {
    /// Longer texts are cut here and end with `…`.
    pub const TEXT_CHARACTERS_MAX: usize = 1_000;

    /// The verdict of a rule about the place that an example names.
    pub fn new(rule: &str, severity: Severity, note: &str, example: Example) -> Self {
        let Example { row, field, found, taken } = example;
        Self { row, field, rule: rule.to_owned(), severity, found, taken, note: note.to_owned() }
    }
}

/// A row that was refused, with its values as the source has them, so that it can be corrected and pushed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedRow {
    /// Number of the row in its layer, from 0, in the order of the source.
    pub row: u64,
    /// One text a column of the source, decoded but otherwise as found; the geometry as WKT in the source's CRS, x
    /// (east) before y (north), or as hexadecimal bytes if it is no WKB.
    pub values: Vec<Option<String>>,
}
