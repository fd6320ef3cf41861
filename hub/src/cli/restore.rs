//! `ukimet restore`.

use crate::cli::{backup, output, verify};
use crate::store::StoreOptions;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use ukimet_model::{Result, SystemClock};

/// Make a catalog of a backup, in an empty directory or bucket, and verify it.
///
/// Run it again after an interruption. Exit code 1 if the verification finds anything.
#[derive(Args)]
pub struct Restore {
    /// The backup's directory, or its bucket as `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// The directory or bucket of the new catalog: empty, or with the beginnings of the same restore.
    #[arg(long, value_name = "DIR|URL")]
    data: String,
    #[command(flatten)]
    store: StoreOptions,
    /// The snapshot to restore; what came after it is left out. Without it, the newest.
    #[arg(long, value_name = "N")]
    snapshot: Option<u64>,
    /// Print what was done and found as JSON.
    #[arg(long)]
    json: bool,
}

impl Restore {
    /// Restores, verifies, and prints what was done and found.
    pub fn run(self) -> Result<ExitCode> {
        let (from, to) = (self.store.place(&self.from)?, self.store.place(&self.data)?);
        let bar = output::bar(Some(0), "restoring", true);
        let progress = &mut |progress: &_| verify::show(&bar, progress);
        let (copied, verified) = ukimet_catalog::restore(from, to.clone(), self.snapshot, &SystemClock, progress)?;
        bar.finish_and_clear();
        if self.json {
            output::document(
                &json!({ "restored": backup::document(&copied), "verified": verify::document(&verified) }),
            );
        } else {
            output::line(&format!("{} holds {}", to, backup::sentence(&copied)));
            verify::print(&verified);
        }
        Ok(verify::exit_code(&verified))
    }
}
