//! `ukimet verify`.

use crate::cli::erase::unfinished_text;
use crate::cli::output;
use crate::store::StoreOptions;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use ukimet_catalog::{
    ErasureLeft, Finding, Place, Progress, ProjectionCheck, ProjectionState, UnfinishedErasure, VerifyOptions,
    VerifyReport,
};
use ukimet_model::{Error, Result};

/// Dependents of a finding that a person is shown; JSON has all.
const DEPENDENTS_SHOWN: usize = 5;

/// Check a catalog: the chain of commits, every object's hash, versions without gaps, projections against the commits.
///
/// Reads only and takes no lock, so it may run beside a hub. Exit code 1 if anything is found.
#[derive(Args)]
pub struct Verify {
    /// The catalog's directory, or its bucket as `s3://BUCKET/PREFIX`.
    #[arg(value_name = "DIR|URL", required_unless_present = "data", conflicts_with = "data")]
    place: Option<String>,
    /// The same, as the other commands have it.
    #[arg(long, value_name = "DIR|URL")]
    data: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    /// Read every row of every version again, not only the bytes of the files; compare keys, R-trees and lists of changes with
    /// the rows.
    #[arg(long)]
    deep: bool,
    /// Keep in this file what was checked; if it is there, go on where an interrupted check was.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Verifies and prints what was found.
    pub fn run(self) -> Result<ExitCode> {
        let place = self.place.or(self.data).expect("the command line has one of them");
        let place = self.store.place(&place)?;
        if let Place::Directory(dir) = &place
            && !dir.is_dir()
        {
            return Err(Error::invalid_request(format!("there is no directory {}", dir.display())));
        }
        let bar = output::bar(Some(0), "verifying", true);
        let options = VerifyOptions { is_deep: self.deep, journal: self.resume };
        let report = ukimet_catalog::verify(place, &options, &mut |progress| show(&bar, progress))?;
        bar.finish_and_clear();
        if self.json {
            output::document(&document(&report));
        } else {
            print(&report);
        }
        Ok(exit_code(&report))
    }
}

/// Shows how far work has come.
pub fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.bytes_total);
    bar.set_position(progress.bytes_done);
}

/// 0 for a clean report, 1 for any other.
pub fn exit_code(report: &VerifyReport) -> ExitCode {
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A report as scripts see it.
pub fn document(report: &VerifyReport) -> Value {
    let finding = |f: &Finding| json!({ "object": f.object, "reason": f.reason, "dependents": f.dependents });
    let projection = |p: &ProjectionCheck| {
        let (state, behind, reason) = words(&p.state);
        json!({ "folder": p.folder, "state": state, "commits_behind": behind, "reason": reason })
    };
    let unfinished = |e: &UnfinishedErasure| {
        let (dataset, snapshot, ErasureLeft { objects, nodes, keeps_deleted, .. }) = (&e.dataset, e.snapshot, &e.left);
        json!({ "dataset": dataset, "snapshot": snapshot, "objects": objects, "nodes": nodes, "keeps_deleted": keeps_deleted })
    };
    json!({
        "clean": report.is_clean(), "commits": report.commits, "datasets": report.datasets,
        "versions": report.versions, "objects": report.objects, "bytes": report.bytes, "resumed": report.resumed,
        "unreferenced": report.unreferenced, "erased_rows": report.erased_rows,
        "projections": report.projections.iter().map(projection).collect::<Vec<_>>(),
        "unfinished_erasures": report.unfinished_erasures.iter().map(unfinished).collect::<Vec<_>>(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn words(state: &ProjectionState) -> (&'static str, Option<u64>, Option<&str>) {
    match state {
        ProjectionState::Behind(0) => ("current", Some(0), None),
        ProjectionState::Behind(commits) => ("behind", Some(*commits), None),
        ProjectionState::Unusable(reason) => ("unusable", None, Some(reason)),
        ProjectionState::Unknown(reason) => ("unknown", None, Some(reason)),
        ProjectionState::Differs(reason) => ("differs", None, Some(reason)),
    }
}

/// Prints a report for people.
pub fn print(report: &VerifyReport) {
    for finding in &report.findings {
        output::line(&format!("{}: {}{}", finding.object, finding.reason, dependents(finding)));
    }
    let found = output::counted(report.findings.len() as u64, "finding");
    let mut counts = vec![
        output::counted(report.commits, "commit"),
        output::counted(report.versions, "version"),
        output::counted(report.objects, "object"),
    ];
    if report.erased_rows > 0 {
        counts.push(format!("{} erased", output::counted(report.erased_rows, "row")));
    }
    if report.unreferenced > 0 {
        counts.push(format!("{} that no commit names", output::grouped(report.unreferenced)));
    }
    if report.resumed > 0 {
        counts.push(format!("{} checked before", output::grouped(report.resumed)));
    }
    output::line(&format!("{}: {}", if report.is_clean() { "clean" } else { &found }, counts.join(", ")));
    for erasure in &report.unfinished_erasures {
        let (dataset, snapshot) = (&erasure.dataset, erasure.snapshot);
        let waits = unfinished_text(&erasure.left).unwrap_or_default();
        output::line(&format!("rows erased from {dataset} in snapshot {snapshot}: {waits}"));
    }
    for projection in &report.projections {
        let consequence = match &projection.state {
            ProjectionState::Behind(0) | ProjectionState::Differs(_) => continue,
            ProjectionState::Behind(commits) => {
                format!("is {} behind, which it catches up when it is opened", output::counted(*commits, "commit"))
            }
            ProjectionState::Unusable(reason) => format!("is built anew when it is opened: {reason}"),
            ProjectionState::Unknown(reason) => format!("was not compared: {reason}"),
        };
        output::line(&format!("{} {consequence}", projection.folder));
    }
}

fn dependents(finding: &Finding) -> String {
    let shown = finding.dependents.iter().take(DEPENDENTS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match finding.dependents.len() {
        0 => String::new(),
        count if count > DEPENDENTS_SHOWN => format!(" (needed by {shown} and {} more)", count - DEPENDENTS_SHOWN),
        _ => format!(" (needed by {shown})"),
    }
}
