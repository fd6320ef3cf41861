//! The findings of a push by rule, with their first places.

use super::tables::each_verdict;
use super::{Filter, Subject};
use std::collections::HashMap;
use ukimet_catalog::Snapshot;
use ukimet_model::{Example, Result, Severity, Verdict};

/// Places that are named for one rule; the others are in the table.
pub(super) const PLACES_MAX: usize = 10;

/// What one rule found.
pub(super) struct Found {
    pub(super) rule: String,
    pub(super) severity: Severity,
    /// The adapter's own sentence.
    pub(super) message: String,
    /// How many values, rows or columns.
    pub(super) count: u64,
    /// The first places.
    pub(super) places: Vec<Example>,
    /// How many places the table has.
    pub(super) listed: u64,
}

/// The findings that a filter takes, the gravest first.
pub(super) fn findings(snapshot: &Snapshot, subject: &Subject, filter: &Filter) -> Result<Vec<Found>> {
    let diagnostics = subject.layer.report.diagnostics.iter();
    let diagnostics = diagnostics.filter(|found| filter.takes(&found.rule, found.severity));
    let mut found: Vec<Found> = diagnostics
        .map(|found| Found {
            rule: found.rule.clone(),
            severity: found.severity,
            message: found.message.clone(),
            count: found.count,
            places: Vec::new(),
            listed: 0,
        })
        .collect();
    let by_rule: HashMap<String, usize> = found.iter().enumerate().map(|(i, f)| (f.rule.clone(), i)).collect();
    each_verdict(snapshot, subject, &mut |verdict: Verdict| {
        if let Some(found) = by_rule.get(&verdict.rule).and_then(|i| found.get_mut(*i)) {
            found.listed += 1;
            if found.places.len() < PLACES_MAX {
                let Verdict { row, field, found: value, taken, .. } = verdict;
                found.places.push(Example { row, field, found: value, taken });
            }
        }
        Ok(())
    })?;
    found.sort_by_key(|found| std::cmp::Reverse(found.severity));
    Ok(found)
}
