//! `ukimet backup`.

use crate::cli::{output, verify};
use crate::store::StoreOptions;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use ukimet_catalog::BackupReport;
use ukimet_model::{Result, SystemClock};

/// Copy a catalog to another directory or bucket while a hub works: only what is not there yet.
///
/// The copy is a catalog as of one snapshot. Run it again after an interruption, and every time the backup is to be
/// renewed.
#[derive(Args)]
pub struct Backup {
    /// The catalog's directory, or its bucket as `s3://BUCKET/PREFIX`.
    #[arg(long, value_name = "DIR|URL")]
    data: String,
    /// Where the backup is or is to be: an empty directory or bucket, or a backup of the same catalog.
    #[arg(long, value_name = "DIR|URL")]
    to: String,
    #[command(flatten)]
    store: StoreOptions,
    /// Read and hash what the backup has already, and copy again what is damaged there.
    #[arg(long)]
    check: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

impl Backup {
    /// Makes or renews a backup and prints what was done.
    pub fn run(self) -> Result<ExitCode> {
        let (from, to) = (self.store.place(&self.data)?, self.store.place(&self.to)?);
        let bar = output::bar(Some(0), "copying", true);
        let progress = &mut |progress: &_| verify::show(&bar, progress);
        let report = ukimet_catalog::backup(from, to.clone(), self.check, &SystemClock, progress)?;
        bar.finish_and_clear();
        if self.json {
            output::document(&document(&report));
        } else {
            output::line(&format!("{} holds {}", to, sentence(&report)));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a copy did, as scripts see it.
pub fn document(report: &BackupReport) -> Value {
    json!({
        "snapshot": report.snapshot, "snapshot_before": report.previous,
        "objects_copied": report.copied.objects, "bytes_copied": report.copied.bytes,
        "commits_copied": report.commits.objects, "objects_present": report.objects_present,
        "objects_replaced": report.objects_replaced, "objects_erased": report.objects_erased,
    })
}

/// What a copy did, for people.
pub fn sentence(report: &BackupReport) -> String {
    let mut parts = vec![
        format!("snapshot {}", report.snapshot),
        format!("{} copied", output::counted(report.copied.objects, "object")),
        format!("{} bytes", output::grouped(report.copied.bytes)),
        output::counted(report.commits.objects, "new commit"),
        format!("{} there before", output::grouped(report.objects_present)),
    ];
    if report.objects_replaced > 0 {
        parts.push(format!("{} damaged and copied again", output::grouped(report.objects_replaced)));
    }
    if report.objects_erased > 0 {
        parts.push(format!("{} with erased rows removed", output::counted(report.objects_erased, "object")));
    }
    parts.join(", ")
}
