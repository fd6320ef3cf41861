//! `ukimet verify`.

use crate::cli::output;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use ukimet_model::{Error, Result};

/// Check a catalog: the chain of commits, every object's hash, versions without gaps.
///
/// Reads only, so it may run beside a hub. Exit code 1 if anything is found.
#[derive(Args)]
pub struct Verify {
    /// The catalog's directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Read every row again, not only the bytes of the files.
    #[arg(long)]
    deep: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Verifies and prints what was found.
    pub fn run(self) -> Result<ExitCode> {
        if !self.data.is_dir() {
            return Err(Error::invalid_request(format!("there is no directory {}", self.data.display())));
        }
        let bar = output::bar(Some(0), "verifying", false);
        let report = ukimet_catalog::verify(&self.data, self.deep, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        bar.finish_and_clear();
        let clean = report.findings.is_empty();
        if self.json {
            let findings: Vec<_> =
                report.findings.iter().map(|f| json!({ "object": f.object, "reason": f.reason })).collect();
            output::document(&json!({
                "clean": clean, "commits": report.commits, "versions": report.versions, "objects": report.objects,
                "findings": findings,
            }));
        } else {
            for finding in &report.findings {
                output::line(&format!("{}: {}", finding.object, finding.reason));
            }
            let found = output::counted(report.findings.len() as u64, "finding");
            let word = if clean { "clean" } else { &found };
            output::line(&format!(
                "{word}: {}, {}, {}",
                output::counted(report.commits, "commit"),
                output::counted(report.versions, "version"),
                output::counted(report.objects, "object")
            ));
        }
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
