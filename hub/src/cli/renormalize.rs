//! `ukimet renormalize`.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use ukimet_model::{DatasetId, PushOutcome, PushStatus, Result};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::renormalize_response::Result as Answer;

/// Read the stored bytes of newest versions again, with the rules of today.
///
/// With --dry-run it only shows what would differ; without, each dataset whose rows differ gets a new version. One that
/// cannot be read again is told and does not stop the others.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line, each of its own")]
pub struct Renormalize {
    /// The dataset.
    #[arg(value_name = "AGENCY/NAME", required_unless_present = "all")]
    dataset: Option<DatasetId>,
    /// Every dataset of the catalog.
    #[arg(long, conflicts_with = "dataset")]
    all: bool,
    /// Only show what would differ.
    #[arg(long)]
    dry_run: bool,
    /// Begin a new major where what is read now breaks what readers rely on; otherwise that dataset is left as it is.
    #[arg(long, conflicts_with = "dry_run")]
    new_major: bool,
    /// The version of the rules that the adapter must apply; refused if it applies others.
    #[arg(long, value_name = "VERSION")]
    rules: Option<String>,
    /// How many changed values to show of each column.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    examples: u32,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print the answers as JSON, one line a dataset.
    #[arg(long)]
    json: bool,
}

impl Renormalize {
    /// Asks and prints; fails if a dataset could not be read again.
    pub async fn run(self) -> Result<ExitCode> {
        let request = v1::RenormalizeRequest {
            dataset: self.dataset.as_ref().map(DatasetId::to_string).unwrap_or_default(),
            rules: self.rules.clone().unwrap_or_default(),
            dry_run: self.dry_run,
            examples: self.examples,
            new_major: self.new_major,
        };
        let mut ingest = Client::connect(&self.hub).await?.ingest();
        let mut answers = ingest.renormalize(request).await.map_err(|status| from_status(&status))?.into_inner();
        let mut code = ExitCode::SUCCESS;
        while let Some(answer) = answers.message().await.map_err(|status| from_status(&status))? {
            if matches!(answer.result, Some(Answer::Failure(_))) {
                code = ExitCode::FAILURE;
            }
            if self.json {
                output::line(&json_of(answer)?.to_string());
            } else {
                print(answer)?;
            }
        }
        Ok(code)
    }
}

fn print(answer: v1::RenormalizeResponse) -> Result<()> {
    let head = format!("{}@v{}", answer.dataset, answer.version);
    match answer.result {
        None => output::line(&format!("{head}: no answer")),
        Some(Answer::Failure(why)) => output::line(&format!("{head}: not read again: {why}")),
        Some(Answer::Outcome(outcome)) => {
            let outcome = PushOutcome::try_from(outcome)?;
            let word = if outcome.status == PushStatus::Published { "new version" } else { "unchanged" };
            let version = outcome.layers.first().map_or_else(String::new, |layer| format!(" {}", layer.version));
            output::line(&format!("{head}: {word}{version}"));
        }
        Some(Answer::Difference(difference)) => {
            let rules = format!("rules {} → {}", known(&answer.rules_before), known(&answer.rules_now));
            output::line(&format!("{head}, {rules}: {}", summary(&difference)));
            print_columns(&difference);
        }
    }
    Ok(())
}

fn known(rules: &str) -> &str {
    if rules.is_empty() { "unknown" } else { rules }
}

/// Counts that add up to the rows before and after.
fn summary(difference: &v1::Difference) -> String {
    let counts = [
        (difference.rows_same, "rows the same"),
        (difference.rows_changed, "changed in one column"),
        (difference.rows_removed, "would go"),
        (difference.rows_added, "would come"),
    ];
    let counts = counts.into_iter().filter(|(count, what)| *count > 0 || *what == "rows the same");
    let mut text =
        counts.map(|(count, what)| format!("{} {what}", output::grouped(count))).collect::<Vec<_>>().join(", ");
    if difference.is_cut {
        text.push_str(" (so many differ that only the first were looked at value by value)");
    }
    text
}

fn print_columns(difference: &v1::Difference) {
    for (columns, what) in [(&difference.columns_removed, "goes"), (&difference.columns_added, "comes")] {
        for column in columns {
            output::line(&format!("  column {column} {what}"));
        }
    }
    for column in &difference.columns_changed {
        output::line(&format!("  {} in {} rows", column.column, output::grouped(column.rows)));
        for example in &column.examples {
            let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
            output::line(&format!("    {} → {}", shown(&example.before), shown(&example.after)));
        }
    }
}

fn json_of(answer: v1::RenormalizeResponse) -> Result<Value> {
    let result = match answer.result {
        None => Value::Null,
        Some(Answer::Failure(why)) => json!({ "failure": why }),
        Some(Answer::Outcome(outcome)) => {
            let replayed = outcome.replayed;
            super::push::outcome_json(&PushOutcome::try_from(outcome)?, replayed)
        }
        Some(Answer::Difference(difference)) => difference_json(&difference),
    };
    Ok(json!({
        "dataset": answer.dataset,
        "version": answer.version,
        "rules_before": answer.rules_before,
        "rules_now": answer.rules_now,
        "result": result,
    }))
}

fn difference_json(difference: &v1::Difference) -> Value {
    let example = |value: &v1::ChangedValue| json!([value.before, value.after]);
    let column = |column: &v1::ColumnDifference| {
        json!({
            "column": column.column,
            "rows": column.rows,
            "examples": column.examples.iter().map(example).collect::<Vec<_>>(),
        })
    };
    json!({
        "rows_before": difference.rows_before,
        "rows_after": difference.rows_after,
        "rows_same": difference.rows_same,
        "rows_changed": difference.rows_changed,
        "rows_removed": difference.rows_removed,
        "rows_added": difference.rows_added,
        "columns_removed": difference.columns_removed,
        "columns_added": difference.columns_added,
        "columns_changed": difference.columns_changed.iter().map(column).collect::<Vec<_>>(),
        "is_cut": difference.is_cut,
    })
}
