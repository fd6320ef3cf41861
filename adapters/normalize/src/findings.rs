//! Diagnostics, verdicts and receipts while they are counted.

use crate::layer::Limits;
use std::collections::BTreeMap;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Example, ProcessStep, Severity, Verdict};

/// What the rules found in one layer, one entry a rule, in the order of first sight, and the places one by one.
#[derive(Debug)]
pub(crate) struct Findings {
    found: Vec<Diagnostic>,
    verdicts: Vec<Verdict>,
    unlisted: u64,
    /// Verdicts that wait to be taken; what comes above is counted only. Bounds the memory of one batch.
    waiting_max: usize,
}

impl Default for Findings {
    fn default() -> Self {
        let waiting_max = Limits::default().verdicts_waiting_max;
        Self { found: Vec::new(), verdicts: Vec::new(), unlisted: 0, waiting_max }
    }
}

impl Findings {
    /// Counts `count` cases of a rule; the message of the first stays.
    ///
    /// `examples` names the cases one by one, as far as they have a place: every one becomes a verdict, the first few
    /// stay with the diagnostic. A rule without any is one verdict about the layer.
    pub(crate) fn add(
        &mut self,
        rule: &str,
        severity: Severity,
        message: impl Into<String>,
        count: u64,
        examples: impl IntoIterator<Item = Example>,
    ) {
        if count == 0 {
            return;
        }
        let message = message.into();
        let at = self.found.iter().position(|found| found.rule == rule).unwrap_or_else(|| {
            let (rule, message) = (rule.to_owned(), message.clone());
            self.found.push(Diagnostic { rule, severity, message, count: 0, examples: Vec::new() });
            self.found.len() - 1
        });
        let found = &mut self.found[at];
        let is_first = found.count == 0;
        found.count += count;
        found.severity = found.severity.max(severity);
        let mut examples = examples.into_iter().peekable();
        if is_first && examples.peek().is_none() {
            self.verdicts.push(Verdict::new(rule, severity, &message, example(None, None, "", None)));
        }
        for example in examples {
            if found.examples.len() < Diagnostic::EXAMPLES_MAX {
                found.examples.push(shortened(&example));
            }
            if self.verdicts.len() < self.waiting_max {
                self.verdicts.push(Verdict::new(rule, severity, &message, example));
            } else {
                self.unlisted += 1;
            }
        }
    }

    /// From now on at most so many verdicts wait; those above that do already are counted.
    pub(crate) fn wait_at_most(&mut self, waiting_max: usize) {
        self.waiting_max = waiting_max;
        self.unlisted += self.verdicts.len().saturating_sub(waiting_max) as u64;
        self.verdicts.truncate(waiting_max);
    }

    /// The verdicts since the last call, and how many more there were that are only counted.
    pub(crate) fn take_verdicts(&mut self) -> (Vec<Verdict>, u64) {
        (std::mem::take(&mut self.verdicts), std::mem::take(&mut self.unlisted))
    }

    /// The findings, counted.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.found
    }
}

fn shortened(example: &Example) -> Example {
    let short = |text: &String| {
        let text = quoted(text);
        text[1..text.len() - 1].to_owned()
    };
    Example {
        row: example.row,
        field: example.field.clone(),
        found: short(&example.found),
        taken: example.taken.as_ref().map(short),
    }
}

/// An example of a value at a row of a column.
pub(crate) fn example(row: Option<u64>, field: Option<&str>, found: &str, taken: Option<&str>) -> Example {
    Example { row, field: field.map(str::to_owned), found: bounded(found), taken: taken.map(bounded) }
}

/// Foreign text of bounded length, otherwise as it is.
fn bounded(text: &str) -> String {
    match text.char_indices().nth(Verdict::TEXT_CHARACTERS_MAX - 1) {
        Some((at, last)) if at + last.len_utf8() < text.len() => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
}

/// A receipt under way.
pub(crate) fn step<const N: usize>(name: &str, parameters: [(&str, String); N]) -> ProcessStep {
    ProcessStep {
        step: name.to_owned(),
        version: crate::RULES_VERSION.to_owned(),
        parameters: parameters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>(),
        count: 0,
        examples: Vec::new(),
    }
}

/// Adds an example to a receipt while there is room.
pub(crate) fn show(step: &mut ProcessStep, example: impl FnOnce() -> Example) {
    if step.examples.len() < Diagnostic::EXAMPLES_MAX {
        step.examples.push(shortened(&example()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_keeps_a_few_examples_and_every_one_becomes_a_verdict() {
        let mut findings = Findings::default();
        let long = "ж".repeat(2_000);
        let cells = (0..9).map(|row| example(Some(row), Some("имя"), &long, Some("b")));
        findings.add("text.repaired", Severity::Warning, "texts were repaired", 9, cells);
        let (verdicts, unlisted) = findings.take_verdicts();
        assert_eq!((verdicts.len(), unlisted), (9, 0));
        assert_eq!(verdicts[8].row, Some(8));
        assert_eq!(verdicts[0].found.chars().count(), Verdict::TEXT_CHARACTERS_MAX);
        assert!(findings.take_verdicts().0.is_empty(), "each is given once");
        let diagnostics = findings.into_diagnostics();
        assert_eq!((diagnostics[0].count, diagnostics[0].examples.len()), (9, Diagnostic::EXAMPLES_MAX));
        assert!(diagnostics[0].examples[0].found.chars().count() < 70, "shortened for people");
    }

    #[test]
    fn verdicts_above_the_limit_of_a_batch_are_counted() {
        let mut findings = Findings::default();
        let cells = |count: u64| (0..count).map(|row| example(Some(row), None, "", None));
        findings.add("r", Severity::Note, "m", 9, cells(9));
        findings.wait_at_most(5);
        findings.add("r", Severity::Note, "m", 3, cells(3));
        let (verdicts, unlisted) = findings.take_verdicts();
        assert_eq!((verdicts.len(), unlisted), (5, 7));
        findings.add("r", Severity::Note, "m", 6, cells(6));
        let (verdicts, unlisted) = findings.take_verdicts();
        assert_eq!((verdicts.len(), unlisted), (5, 1), "each batch has the whole room");
    }
}
