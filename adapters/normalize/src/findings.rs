//! Diagnostics and receipts while they are counted.

use std::collections::BTreeMap;
use ukimet_model::error::quoted;
use ukimet_model::{Diagnostic, Example, ProcessStep, Severity};

/// What the rules found in one layer, one entry a rule, in the order of first sight.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Diagnostic>);

impl Findings {
    /// Counts `count` cases of a rule; the message of the first stays.
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
        let at = self.0.iter().position(|found| found.rule == rule).unwrap_or_else(|| {
            let (rule, message) = (rule.to_owned(), message.into());
            self.0.push(Diagnostic { rule, severity, message, count: 0, examples: Vec::new() });
            self.0.len() - 1
        });
        let found = &mut self.0[at];
        found.count += count;
        found.severity = found.severity.max(severity);
        let room = Diagnostic::EXAMPLES_MAX - found.examples.len();
        found.examples.extend(examples.into_iter().take(room));
    }

    /// The findings, counted.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.0
    }
}

/// An example of a value at a row of a column.
pub(crate) fn example(row: Option<u64>, field: Option<&str>, found: &str, taken: Option<&str>) -> Example {
    let short = |text: &str| {
        let text = quoted(text);
        text[1..text.len() - 1].to_owned()
    };
    Example { row, field: field.map(str::to_owned), found: short(found), taken: taken.map(short) }
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
        step.examples.push(example());
    }
}
