//! `ukimet describe`.

use crate::cli::output;
use crate::cli::search::{dataset_json, erased_text, time, title};
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::{LayerReport, Result, VersionSelector};
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
        let changed = if step.count == 0 {
            "nothing changed".to_owned()
        } else {
            format!("{} changed", output::grouped(step.count))
        };
        output::line(&format!("  {} ({}): {changed}", step.step, step.version));
        for (name, value) in &step.parameters {
            output::line(&format!("    {name}: {value}"));
        }
    }
    for diagnostic in &report.diagnostics {
        output::line(&format!("  {}: {} ({}×)", diagnostic.rule, diagnostic.message, diagnostic.count));
    }
}
