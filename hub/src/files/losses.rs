//! What a format has no place for, counted and told.

use std::collections::BTreeMap;
use std::fmt;

/// What a file does not say as the rows do: kinds of losses, each with how often. Nothing is lost without being here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// By kind: ASCII words with hyphens.
    counts: BTreeMap<&'static str, u64>,
}

impl Losses {
    /// Counts a loss.
    pub(super) fn add(&mut self, kind: &'static str, count: u64) {
        if count > 0 {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// How often something is lost; `None` if never.
    pub(super) fn count(&self, kind: &str) -> Option<u64> {
        self.counts.get(kind).copied()
    }

    /// Whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

impl fmt::Display for Losses {
    /// `cut-texts=3, renamed-columns=1`: a header of HTTP and a line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (kind, count)) in self.counts.iter().enumerate() {
            write!(f, "{}{kind}={count}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
