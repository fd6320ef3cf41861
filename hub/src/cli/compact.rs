//! `ukimet compact`.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::{DatasetId, Result};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// Write rows of the newest version into fresh files: those of files with deleted rows, and those of small files.
///
/// The version, its rows and its hash stay; the hub goes on working. It does the same by itself once the limits of `ukimet
/// serve` (--compact-deleted-share, --compact-segments-max) are passed.
#[derive(Args)]
pub struct Compact {
    /// The dataset.
    #[arg(value_name = "DATASET")]
    dataset: DatasetId,
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

impl Compact {
    /// Asks and prints.
    pub async fn run(self) -> Result<ExitCode> {
        let mut client = Client::connect(&self.hub).await?.versions();
        let request = v1::CompactRequest { dataset: self.dataset.to_string(), dry_run: self.dry_run };
        let answer = client.compact(request).await.map_err(|status| from_status(&status))?.into_inner();
        if self.json {
            output::document(&json!({
                "dry_run": self.dry_run,
                "version": answer.version,
                "segments_before": answer.segments_before,
                "segments_after": answer.segments_after,
                "segments_rewritten": answer.segments_rewritten,
                "rows_rewritten": answer.rows_rewritten,
                "rows_dropped": answer.rows_dropped,
                "bytes_before": answer.bytes_before,
                "bytes_after": answer.bytes_after,
                "snapshot": answer.snapshot,
            }));
        } else {
            self.say(&answer);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn say(&self, answer: &v1::CompactResponse) {
        let (id, version) = (&self.dataset, answer.version);
        let before = output::counted(answer.segments_before, "segment");
        if answer.segments_rewritten == 0 {
            return output::line(&format!("{id}@v{version}: nothing to do, {before} without deleted rows"));
        }
        let become_ = if self.dry_run { "would become" } else { "became" };
        output::line(&format!("{id}@v{version}: {before} {become_} {}", answer.segments_after));
        let (rows, dropped) = (output::counted(answer.rows_rewritten, "row"), output::grouped(answer.rows_dropped));
        let segments = output::counted(answer.segments_rewritten, "segment");
        let written = if self.dry_run { "would be written anew" } else { "written anew" };
        output::line(&format!("  {rows} of {segments} {written}, {dropped} deleted ones left behind"));
        let bytes_before = output::grouped(answer.bytes_before);
        match (answer.bytes_after, answer.snapshot) {
            (Some(after), Some(snapshot)) => {
                let after = output::grouped(after);
                output::line(&format!("  {bytes_before} bytes of files became {after} (snapshot {snapshot})"));
            }
            _ => output::line(&format!("  their files have {bytes_before} bytes")),
        }
    }
}
