//! `ukimet versions`.

use crate::cli::output;
use crate::cli::search::{time, version_json};
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::{DatasetId, Result};
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
        let request =
            v1::ListVersionsRequest { dataset: self.dataset.to_string(), before: self.before, limit: self.limit };
        let mut catalog = Client::connect(&self.hub).await?.catalog();
        let found = catalog.list_versions(request).await.map_err(|status| from_status(&status))?.into_inner();
        if self.json {
            let versions: Vec<_> = found.versions.iter().map(version_json).collect();
            output::document(&json!({ "snapshot": found.snapshot, "dataset": self.dataset, "versions": versions }));
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<_> = found.versions.iter().map(row).collect();
        output::table(&["version", "committed", "rows", "file", "content"], &rows);
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
    ]
}
