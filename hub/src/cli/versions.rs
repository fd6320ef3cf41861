//! `ukimet versions`.

use crate::cli::erase::erasure_json;
use crate::cli::output;
use crate::cli::search::{erased_text, time, version_json};
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use ukimet_model::{DatasetId, Result, RetentionRule};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// List the versions of a dataset, newest first.
#[derive(Args)]
pub struct Versions {
    /// The dataset.
    #[arg(value_name = "DATASET")]
    dataset: DatasetId,
    /// Only versions before this one.
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    /// As of this snapshot of the whole catalog.
    #[arg(long, value_name = "NUMBER")]
    snapshot: Option<u64>,
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

impl Versions {
    /// Asks and prints.
    pub async fn run(self) -> Result<ExitCode> {
        let request = v1::ListVersionsRequest {
            dataset: self.dataset.to_string(),
            before: self.before,
            limit: self.limit,
            snapshot: self.snapshot,
        };
        let mut catalog = Client::connect(&self.hub).await?.catalog();
        let found = catalog.list_versions(request).await.map_err(|status| from_status(&status))?.into_inner();
        if self.json {
            let versions: Vec<_> = found.versions.iter().map(version_json).collect();
            let removed: Vec<_> = found.removed.iter().map(removed_json).collect();
            output::document(&json!({
                "snapshot": found.snapshot,
                "dataset": self.dataset,
                "versions": versions,
                "removed": removed,
                "erasures": found.erasures.iter().map(erasure_json).collect::<Vec<_>>(),
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = found.versions.iter().map(row).collect();
        output::table(&["version", "committed", "rows", "file", "content", "tags"], &rows);
        for version in &found.versions {
            print_said(version);
        }
        print_removed(&found.removed);
        found.erasures.iter().for_each(print_erasure);
        Ok(ExitCode::SUCCESS)
    }
}

fn row(version: &v1::Version) -> Vec<String> {
    vec![
        format!("v{}", version.number),
        version.committed.as_ref().map_or_else(String::new, time),
        output::grouped(version.rows),
        version.file_name.clone(),
        hex::encode(&version.root_hash)[..12].to_owned(),
        version.tags.join(", "),
    ]
}

/// What is to be said of a version beside its line.
fn print_said(version: &v1::Version) {
    if version.major > 1 {
        output::line(&format!("v{}: major {}", version.number, version.major));
    }
    if let Some(number) = version.rolled_back_to {
        output::line(&format!("v{}: rolled back to v{number}", version.number));
    }
    if let Some(erased) = &version.erased {
        output::line(&format!("v{}: {}", version.number, erased_text(erased)));
    }
    for note in &version.notes {
        let written = note.written.as_ref().map_or_else(String::new, time);
        output::line(&format!("v{}: {} ({}, {written})", version.number, note.text, note.principal));
    }
}

/// One line for the versions that one commit removed.
fn print_removed(removed: &[v1::RemovedVersion]) {
    for of_commit in removed.chunk_by(|a, b| a.snapshot == b.snapshot) {
        let numbers: Vec<_> = of_commit.iter().map(|removed| format!("v{}", removed.version)).collect();
        let first = &of_commit[0];
        let when = first.removed.as_ref().map_or_else(String::new, time);
        let rule = first.rule.map_or_else(String::new, |rule| RetentionRule::from(rule).to_string());
        output::line(&format!("removed by retention on {when} ({rule}): {}", numbers.join(", ")));
    }
}

fn print_erasure(erasure: &v1::Erasure) {
    let when = erasure.erased.as_ref().map_or_else(String::new, time);
    let who = if erasure.who.is_empty() { &erasure.principal } else { &erasure.who };
    let rows = output::counted(erasure.rows, "row");
    output::line(&format!("erased on {when} for {who}: {rows} ({})", erasure.why));
}

fn removed_json(removed: &v1::RemovedVersion) -> Value {
    json!({
        "version": removed.version,
        "snapshot": removed.snapshot,
        "removed": removed.removed.as_ref().map(time),
        "rule": removed.rule.map(RetentionRule::from),
    })
}
