//! `ukimet describe`.

use crate::cli::output;
use crate::cli::search::{dataset_json, erased_text, time, title};
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::{LayerReport, ProcessStep, Result, VersionSelector};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Show one dataset: columns, extent, and what was done to the data.
#[derive(Args)]
pub struct Describe {
    /// The dataset, and perhaps its version: a number, a tag or a time.
    #[arg(value_name = "DATASET[@VERSION]")]
    dataset: VersionSelector,
    /// As of this snapshot of the whole catalog.
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Describe {
    /// Asks and prints.
    pub async fn run(self) -> Result<ExitCode> {
        let mut catalog = Client::connect(&self.hub).await?.catalog();
        let snapshot = self.snapshot;
        let request = v1::GetDatasetRequest { dataset: self.dataset.to_string(), version: None, snapshot };
        let found = catalog.get_dataset(request).await.map_err(|status| from_status(&status))?.into_inner();
        let described = found.dataset.unwrap_or_default();
        let version = described.version.as_ref().map(|v| v.number);
        let request = v1::GetReceiptRequest { dataset: self.dataset.dataset.to_string(), version, snapshot };
        let receipt = catalog.get_receipt(request).await.map_err(|status| from_status(&status))?.into_inner();
        let report = LayerReport::try_from(receipt.report.unwrap_or_default())?;
        if self.json {
            output::document(
                &json!({ "snapshot": found.snapshot, "dataset": dataset_json(&described), "receipt": report }),
            );
        } else {
            print_dataset(&described, &report);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_dataset(dataset: &v1::Dataset, report: &LayerReport) {
    let version = dataset.version.clone().unwrap_or_default();
    output::line(&format!("{}@v{}  {}", dataset.id, version.number, title(dataset)));
    let committed = version.committed.as_ref().map_or_else(String::new, time);
    output::line(&format!(
        "  {} rows, committed {committed}, from {}",
        output::grouped(version.rows),
        version.file_name
    ));
    if let Some(erased) = &version.erased {
        output::line(&format!("  {}", erased_text(erased)));
    }
    if let Some(number) = version.rolled_back_to {
        output::line(&format!("  rolled back to v{number}"));
    }
    if !version.tags.is_empty() {
        output::line(&format!("  tags: {}", version.tags.join(", ")));
    }
    for note in &version.notes {
        let written = note.written.as_ref().map_or_else(String::new, time);
        output::line(&format!("  note of {}, {written}: {}", note.principal, note.text));
    }
    if version.major > 1 {
        output::line(&format!("  major {}; the one before is {}@{}.x", version.major, dataset.id, version.major - 1));
    }
    if let Some(time) = &version.valid_time {
        let until = time.to.as_ref().map_or_else(String::new, |to| format!(" until before {to}"));
        output::line(&format!("  valid from {}{until}", time.from));
    }
    if let Some(b) = &version.bbox {
        output::line(&format!("  extent {} {} … {} {} (longitude latitude)", b.west, b.south, b.east, b.north));
    }
    for (kind, count) in &report.geometry_types {
        output::line(&format!("  {} {kind}", output::grouped(*count)));
    }
    let row = |field: &v1::Field| {
        let [role, unit] = [&field.role, &field.unit].map(|text| text.clone().unwrap_or_default());
        vec![field.name.clone(), field.data_type.clone(), role, unit, field.source_name.clone()]
    };
    let rows: Vec<_> = version.fields.iter().map(row).collect();
    output::table(&["column", "type", "role", "unit", "in the source"], &rows);
    output::line("what was done to the data:");
    for step in &report.steps {
        output::line(&format!("  {} ({}): {}", step.step, step.version, what_changed(step)));
        for (name, value) in &step.parameters {
            output::line(&format!("    {name}: {value}"));
        }
    }
    for diagnostic in &report.diagnostics {
        output::line(&format!("  {}: {} ({}×)", diagnostic.rule, diagnostic.message, diagnostic.count));
    }
}

/// How much a step changed: what it counts itself, and by its parameters the values that rules of its name repaired.
fn what_changed(step: &ProcessStep) -> String {
    let of_rule = |name: &str| name.strip_prefix(step.step.as_str()).is_some_and(|rule| rule.starts_with('.'));
    let by_rule = step.parameters.iter().filter(|(name, _)| of_rule(name));
    let repaired: u64 = by_rule.filter_map(|(_, count)| count.parse::<u64>().ok()).sum();
    let said = [(step.count, "changed"), (repaired, "repaired")];
    let said = said.into_iter().filter(|(count, _)| *count > 0);
    let said: Vec<String> = said.map(|(count, what)| format!("{} {what}", output::grouped(count))).collect();
    if said.is_empty() { "nothing changed".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_counts_repairs_by_rule_did_not_change_nothing() {
        let step = |count, parameters: &[(&str, &str)]| ProcessStep {
            step: "text".to_owned(),
            version: "2".to_owned(),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            count,
            examples: Vec::new(),
        };
        let known = ("known_by", "the publisher");
        assert_eq!(what_changed(&step(0, &[known])), "nothing changed");
        assert_eq!(
            what_changed(&step(0, &[known, ("text.cut", "2"), ("text.mojibake: utf-8", "1200")])),
            "1 202 repaired"
        );
        assert_eq!(what_changed(&step(7, &[("text.cut", "2")])), "7 changed, 2 repaired");
    }
}
