//! Checks everything that is true in a data directory, without changing it, even while a hub works on it.

mod changes;
mod journal;
mod objects;
mod projections;
mod rows;
mod truth;

pub use projections::{ProjectionCheck, ProjectionState};

use crate::backup::Marks;
use crate::erase::{UnfinishedErasure, unfinished_erasures};
use crate::layout::Superseded;
use crate::named::{BytesOfRemoved, named_objects};
use crate::objects::Objects;
use crate::place::Place;
use crate::progress::Progress;
use crate::{format, log, paths};
use journal::Journal;
use objects::size_of;
use std::path::PathBuf;
use truth::Truth;
use ukimet_model::{Error, ErrorKind, Result, Sha256};

/// How a data directory is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Whether every row of every version is read again as well, and key files, R-trees and lists of changes are compared
    /// with the rows.
    pub is_deep: bool,
    /// A file outside of the directory that keeps what was checked with what outcome. If it is there, what it says is
    /// whole is not read again; a check that came to its end begins a new one.
    pub journal: Option<PathBuf>,
}

/// What a check of a data directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Commits in the log.
    pub commits: u64,
    /// Datasets that the commits made.
    pub datasets: u64,
    /// Versions that the commits published.
    pub versions: u64,
    /// Objects that were read and hashed, log entries and checkpoints included.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that an earlier, interrupted check had found whole.
    pub resumed: u64,
    /// Objects that no commit names: of pushes under way, or left by a crash. Not a fault.
    pub unreferenced: u64,
    /// What the projections say, compared with the log. One that is behind or unusable is no fault.
    pub projections: Vec<ProjectionCheck>,
    /// Rows that erasures left blank in files, by the commits.
    pub erased_rows: u64,
    /// Erasures of which something may be left. Not a fault: a hub at work, or its next start, goes on with them.
    pub unfinished_erasures: Vec<UnfinishedErasure>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object it is wrong with, as a path in the data directory.
    pub object: String,
    /// What was expected and what was found.
    pub reason: String,
    /// What depends on the object: versions as `almaty/schools@v3`, pushes as `push almaty/p1`. Nothing for parts of
    /// the log, on which everything after them depends, and for what can be built again.
    pub dependents: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, object: impl Into<String>, reason: impl Into<String>) {
        self.findings.push(Finding { object: object.into(), reason: reason.into(), dependents: Vec::new() });
    }
}

/// Checks a store: the chain and the seals of all commits, the checkpoints against them, the hash of every
/// object that a live record names, and, in a directory, the projections against the commits.
///
/// Changes nothing and takes no lock. Commits that a hub makes meanwhile are left out.
///
/// # Errors
///
/// `NotFound` if there is no store, `InvalidRequest` if it has a format that this version does not read or the journal
/// is one of another catalog, `Unavailable` if a bucket does not answer. Damage is no error: it is in the report.
pub fn verify(
    place: impl Into<Place>,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<VerifyReport> {
    let place = place.into();
    let open = place.open()?;
    let objects = &open.objects;
    let marks = answered(objects, || Marks::read(objects))?;
    if let Some(unfinished) = marks.unfinished() {
        let mut report = VerifyReport::default();
        report.find(unfinished.key(), unfinished.to_string());
        return Ok(report);
    }
    let (mut report, truth) = answered(objects, || check(objects, options, progress))?;
    if let Place::Directory(dir) = &place {
        projections::check_projections(dir, objects, &truth, &mut report)?;
    }
    Ok(report)
}

/// As [`verify`], without the projections, of a store that may be an unfinished copy.
pub(crate) fn verify_objects(
    store: &Objects,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<VerifyReport> {
    answered(store, || check(store, options, progress)).map(|(report, _)| report)
}

/// Does what asks a store. If that leaves a request unanswered, nobody knows what the outcome says.
fn answered<T>(store: &Objects, ask: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = store.unanswered();
    let outcome = ask();
    match outcome {
        outcome if store.unanswered() == before => outcome,
        Ok(_) => Err(not_answered()),
        Err(error) => Err(not_answered().caused_by(error)),
    }
}

fn not_answered() -> Error {
    Error::unavailable(
        "the store did not answer while it was verified, so what was not read yet is not known: try again",
    )
}

fn check(
    store: &Objects,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(VerifyReport, Truth)> {
    if !store.exists(paths::FORMAT)? && store.list(paths::LOG)?.is_empty() {
        return Err(Error::not_found(format!("there is no store here: object {} is missing", paths::FORMAT)));
    }
    let mut report = VerifyReport::default();
    let identity = read_identity(store, &mut report)?;
    let journal = Journal::open(options.journal.as_deref(), identity)?;
    let mut truth = truth::check_truth(store, identity, &mut report)?;
    let mut run =
        Run { store, options, journal, report, progress, state: Progress::default(), unanswered: store.unanswered() };
    loop {
        run.check_all(&truth)?;
        // A hub at work may have let go of objects that older commits name: then newer commits say so.
        let is_missing = |finding: &Finding| !finding.dependents.is_empty() && !is_there(store, &finding.object);
        if !run.report.findings.iter().any(is_missing) || log::last_sequence(store).ok() <= Some(truth.last) {
            break;
        }
        run.begin_again();
        truth = truth::check_truth(store, identity, &mut run.report)?;
    }
    run.report.unfinished_erasures = unfinished_erasures(store, &truth.state)?;
    run.journal.finish()?;
    Ok((run.report, truth))
}

fn is_there(store: &Objects, key: &str) -> bool {
    // What cannot be looked for is not known to be missing.
    store.exists(key).unwrap_or(true)
}

fn read_identity(store: &Objects, report: &mut VerifyReport) -> Result<Option<Sha256>> {
    match format::read_identity(store) {
        Ok(identity) => Ok(Some(identity)),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unavailable) => Err(error),
        Err(error) => {
            report.find(paths::FORMAT, error.to_string());
            Ok(None)
        }
    }
}

/// A check under way.
struct Run<'a> {
    store: &'a Objects,
    options: &'a VerifyOptions,
    journal: Journal,
    report: VerifyReport,
    progress: &'a mut dyn FnMut(&Progress),
    state: Progress,
    /// Requests that the store had not answered when the check began.
    unanswered: u64,
}

impl Run<'_> {
    fn check_all(&mut self, truth: &Truth) -> Result<()> {
        // Names before objects: what a hub at work adds meanwhile is then unreferenced, never missing.
        let mut named = named_objects(&truth.state, BytesOfRemoved::AsRuled, Superseded::ALL)?;
        // Bytes that only the rule of today keeps may have gone under an earlier one, superseded files at any time.
        let needed = named_objects(&truth.state, BytesOfRemoved::Unneeded, Superseded::NONE)?;
        named.retain(|key, _| needed.contains_key(key) || is_there(self.store, key));
        self.state.objects_total = named.len() as u64;
        for key in named.keys() {
            self.state.bytes_total += size_of(self.store, key);
            self.check_answered()?;
        }
        let rows = if self.options.is_deep { self.rows_to_check(truth)? } else { Vec::new() };
        self.count_changes(&rows);
        (self.progress)(&self.state);
        self.check_objects(&named)?;
        self.check_rows(&rows, &named)?;
        self.check_changes(&rows, &named)
    }

    /// `Unavailable` if a request was not answered since the check began: then nothing more is tried.
    fn check_answered(&self) -> Result<()> {
        if self.store.unanswered() == self.unanswered { Ok(()) } else { Err(not_answered()) }
    }

    fn begin_again(&mut self) {
        let identity = self.report.findings.iter().filter(|finding| finding.object == paths::FORMAT).cloned().collect();
        self.report = VerifyReport { findings: identity, ..VerifyReport::default() };
        self.state = Progress::default();
    }

    /// Tells that one more piece of work is done.
    fn advance(&mut self, bytes: u64) {
        self.state.add(bytes);
        (self.progress)(&self.state);
    }
}
