//! `ukimet gc`.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::Result;
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Remove the versions that retention does not keep, then the files that nobody needs any more.
///
/// The hub goes on working; what is being read stays until it is read.
#[derive(Args)]
pub struct Gc {
    /// Only tell what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print what was removed as JSON.
    #[arg(long)]
    json: bool,
}

impl Gc {
    /// Asks and prints.
    pub async fn run(self) -> Result<ExitCode> {
        let mut client = Client::connect(&self.hub).await?.versions();
        let request = v1::CollectGarbageRequest { dry_run: self.dry_run };
        let answer = client.collect_garbage(request).await.map_err(|status| from_status(&status))?.into_inner();
        if self.json {
            let removed = answer.removed.iter().map(|r| json!({ "dataset": r.dataset, "versions": r.versions }));
            output::document(&json!({
                "dry_run": self.dry_run,
                "removed": removed.collect::<Vec<_>>(),
                "objects": answer.objects,
                "bytes": answer.bytes,
            }));
            return Ok(ExitCode::SUCCESS);
        }
        let would = if self.dry_run { "would be removed" } else { "removed" };
        for removed in &answer.removed {
            let count = output::counted(removed.versions.len() as u64, "version");
            output::line(&format!("{}: {count} {would}", removed.dataset));
        }
        let objects = output::counted(answer.objects, "file");
        output::line(&format!("{objects} with {} bytes {would}", output::grouped(answer.bytes)));
        Ok(ExitCode::SUCCESS)
    }
}
