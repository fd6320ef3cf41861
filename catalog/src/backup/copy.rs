//! One copy: objects first, then the commits in their order, then what says that it is whole.

use super::marks::{Mark, Marks, Stage, put_mark};
use super::store::{Store, read_all};
use super::{BackupReport, Copied};
use crate::checkpoint;
use crate::contents::Proof;
use crate::format;
use crate::layout::Superseded;
use crate::log;
use crate::named::{BytesOfRemoved, named_objects};
use crate::objects::Objects;
use crate::opening::{as_read, state_at};
use crate::paths;
use crate::progress::Progress;
use crate::seal::unseal;
use jiff::Timestamp;
use std::io::{self, Read};
use ukimet_model::{Error, ErrorKind, Result, Sha256};

/// Snapshots that are tried, each a newer one, while the source lets go of objects.
const ATTEMPTS_MAX: usize = 8;
/// Objects that an error names.
const NAMED_MAX: usize = 3;

/// A copy under way.
pub(super) struct Copy<'a> {
    pub(super) from: &'a Objects,
    pub(super) to: &'a dyn Store,
    pub(super) catalog: Sha256,
    /// The snapshot that is asked for; the newest one if none is.
    pub(super) snapshot: Option<u64>,
    /// Whether objects that the target has are compared by hash, not only by size.
    pub(super) checks_hashes: bool,
    pub(super) time: Timestamp,
    pub(super) progress: &'a mut dyn FnMut(&Progress),
    pub(super) report: BackupReport,
}

/// What the target needs for a snapshot.
struct Plan {
    missing: Vec<(String, u64)>,
    /// Objects that the source should have and has not.
    lost: Vec<String>,
}

impl Copy<'_> {
    /// Copies a snapshot and tells which.
    pub(super) fn run(&mut self) -> Result<u64> {
        let had = last_commit(self.to)?;
        let mut attempts = 0;
        let snapshot = loop {
            // A commit that the source could still lose must not be in its copy.
            self.from.sync_dir(paths::LOG)?;
            let snapshot = self.choose_snapshot()?;
            self.check_history(had, snapshot)?;
            put_mark(self.to, Stage::Begun, &self.mark(snapshot))?;
            let plan = self.plan(snapshot)?;
            let bad = self.copy_objects(&plan)?;
            if bad.is_empty() {
                break snapshot;
            }
            attempts += 1;
            // The source may have let go of them with a newer commit.
            let has_newer = self.snapshot.is_none() && log::last_sequence(self.from)? > snapshot;
            if !has_newer || attempts == ATTEMPTS_MAX {
                return Err(cannot_be_copied(snapshot, &bad));
            }
        };
        self.copy_log(had, snapshot)?;
        self.copy_checkpoint(snapshot)?;
        self.copy_whole(paths::FORMAT)?;
        self.report.snapshot = snapshot;
        self.report.previous = had;
        Ok(snapshot)
    }

    pub(super) fn mark(&self, snapshot: u64) -> Mark {
        Mark { catalog: self.catalog, snapshot, time: self.time }
    }

    fn choose_snapshot(&self) -> Result<u64> {
        let last = log::last_sequence(self.from)?;
        match self.snapshot {
            Some(snapshot) if snapshot > last => {
                Err(Error::not_found(format!("there is no snapshot {snapshot}, the newest is {last}")))
            }
            snapshot => Ok(snapshot.unwrap_or(last)),
        }
    }

    /// Checks that what the target has is the beginning of what it is to have.
    fn check_history(&self, had: u64, snapshot: u64) -> Result<()> {
        let other = |reason: String| {
            Error::new(ErrorKind::Conflict, format!("the target is a copy of another history of the catalog: {reason}"))
        };
        if had > snapshot {
            return Err(other(format!("it has commits up to {had}, the copy is to end at {snapshot}")));
        }
        if had > 0 && entry(self.to, had)?.1 != entry(self.from, had)?.1 {
            return Err(other(format!("its commit {had} is not the one of the source")));
        }
        Ok(())
    }

    fn plan(&mut self, snapshot: u64) -> Result<Plan> {
        let state = state_at(self.from, self.catalog, snapshot)?;
        let mut plan = Plan { missing: Vec::new(), lost: Vec::new() };
        self.report.objects_present = 0;
        // What compactions took the place of is copied as long as it is there: earlier snapshots can be restored with it.
        let needed = named_objects(as_read(&*state), BytesOfRemoved::AsRuled, Superseded::NONE)?;
        for key in named_objects(as_read(&*state), BytesOfRemoved::AsRuled, Superseded::ALL)?.into_keys() {
            match (self.from.size_bytes(&key)?, self.to.size_bytes(&key)?) {
                (Some(size), Some(found)) if size == found && !self.is_damaged(&key)? => {
                    self.report.objects_present += 1;
                }
                (Some(size), Some(_)) => {
                    self.to.remove(&key)?;
                    self.report.objects_replaced += 1;
                    plan.missing.push((key, size));
                }
                (Some(size), None) => plan.missing.push((key, size)),
                (None, _) if !needed.contains_key(&key) => (),
                (None, _) => plan.lost.push(key),
            }
        }
        Ok(plan)
    }

    /// Whether the target's object is damaged, as far as that is asked.
    fn is_damaged(&self, key: &str) -> Result<bool> {
        if !self.checks_hashes {
            return Ok(false);
        }
        let mut proving = Proving { from: self.to.reader(key)?, proof: Some(Proof::of(key)), key };
        Ok(io::copy(&mut proving, &mut io::sink()).is_err())
    }

    /// Copies what is missing, whatever is wrong with some of it, and tells what could not be copied, and why.
    fn copy_objects(&mut self, plan: &Plan) -> Result<Vec<String>> {
        let mut bad: Vec<String> = plan.lost.iter().map(|key| format!("object {key} is missing")).collect();
        let (objects_total, bytes_total) = (plan.missing.len() as u64, plan.missing.iter().map(|(_, size)| size).sum());
        let mut progress = Progress { objects_total, bytes_total, ..Progress::default() };
        (self.progress)(&progress);
        for (key, size_bytes) in &plan.missing {
            if self.from.size_bytes(key)?.is_none() {
                bad.push(format!("object {key} is missing"));
                continue;
            }
            match self.copy_proven(key) {
                Ok(()) => self.report.copied.add(*size_bytes),
                // The target's own errors are of other kinds.
                Err(error) if matches!(error.kind(), ErrorKind::DataLoss | ErrorKind::Internal) => {
                    bad.push(error.message().to_owned());
                }
                Err(error) => return Err(error),
            }
            progress.add(*size_bytes);
            (self.progress)(&progress);
        }
        Ok(bad)
    }

    fn copy_proven(&self, key: &str) -> Result<()> {
        let mut proving = Proving { from: self.from.reader(key)?, proof: Some(Proof::of(key)), key };
        self.to.put(key, &mut proving)
    }

    fn copy_whole(&self, key: &str) -> Result<()> {
        self.to.put(key, &mut read_all(self.from, key)?.as_slice())
    }

    /// Copies commits in their order, each checked against its seal and the one before.
    fn copy_log(&mut self, had: u64, snapshot: u64) -> Result<()> {
        let mut previous = if had == 0 { self.catalog } else { entry(self.from, had)?.1 };
        for sequence in had + 1..=snapshot {
            let (read, hash) = log::read(self.from, sequence)?;
            let key = paths::log_entry(sequence);
            if read.previous != previous {
                return Err(Error::data_loss(format!("object {key} does not build on the one before")));
            }
            let bytes = read_all(self.from, &key)?;
            unseal(&bytes).map_err(|e| e.context(format!("object {key} is damaged")))?;
            self.to.put(&key, &mut bytes.as_slice())?;
            self.report.commits.add(bytes.len() as u64);
            previous = hash;
        }
        Ok(())
    }

    /// Copies the newest checkpoint that fits. It makes opening quick and is no part of the truth.
    fn copy_checkpoint(&self, snapshot: u64) -> Result<()> {
        let fits = |(sequence, _): &(u64, Sha256)| *sequence <= snapshot;
        let Some((sequence, hash)) = checkpoint::list(self.from)?.into_iter().rev().find(fits) else { return Ok(()) };
        // A hub at work may remove it meanwhile.
        if checkpoint::read(self.from, sequence, &hash, &mut |_| Ok(())).is_err() {
            return Ok(());
        }
        let key = paths::checkpoint(sequence, &hash);
        match read_all(self.from, &key) {
            Ok(bytes) => self.to.put(&key, &mut bytes.as_slice()),
            Err(_) => Ok(()),
        }
    }

    /// Says that the copy is whole.
    pub(super) fn complete(&self, snapshot: u64) -> Result<()> {
        put_mark(self.to, Stage::Complete, &self.mark(snapshot))?;
        Marks::read(self.to)?.remove(self.to, Some(snapshot))
    }
}

impl Copied {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

fn cannot_be_copied(snapshot: u64, bad: &[String]) -> Error {
    let named = bad[..bad.len().min(NAMED_MAX)].join("; ");
    Error::data_loss(format!(
        "snapshot {snapshot} cannot be copied, {} of its objects are missing or damaged in the source, all others were copied: {named}",
        bad.len()
    ))
}

/// A commit's text without its seal, and its hash.
fn entry(store: &dyn Store, sequence: u64) -> Result<(Vec<u8>, Sha256)> {
    let key = paths::log_entry(sequence);
    unseal(&read_all(store, &key)?).map_err(|e| e.context(format!("object {key} is damaged")))
}

/// The last commit of a store whose log may be unfinished.
fn last_commit(store: &dyn Store) -> Result<u64> {
    let names = store.names(paths::LOG)?;
    Ok(names.iter().filter_map(|name| paths::log_sequence(name)).zip(1..).take_while(|(a, b)| a == b).count() as u64)
}

/// The identity of the store that is copied, and whether the target is or can become a copy of it.
pub(super) fn check_target(from: &Objects, to: &dyn Store) -> Result<Sha256> {
    let identity = format::read_identity(from)?;
    let marks = Marks::read(to)?;
    marks.check_catalog(to, &identity)?;
    if marks.is_empty() {
        let strange = |name: &String| !matches!(name.as_str(), paths::LOCK | paths::SCRATCH | paths::BACKUP);
        if let Some(name) = to.names("")?.iter().find(|name| strange(name)) {
            return Err(Error::invalid_request(format!(
                "the target must be empty or a copy of the same catalog, found {}",
                ukimet_model::error::quoted(name)
            )));
        }
    }
    Ok(identity)
}

/// Passes an object's bytes on and fails at their end if they are not whole.
struct Proving<'a> {
    from: Box<dyn Read>,
    proof: Option<Proof>,
    key: &'a str,
}

impl Read for Proving<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if count > 0 {
            self.proof.iter_mut().for_each(|proof| proof.update(&buffer[..count]));
            return Ok(count);
        }
        let proven = self.proof.take().map_or(Ok(()), Proof::finish);
        let damaged = |reason| Error::data_loss(format!("object {} is damaged: {reason}", self.key));
        proven.map(|()| 0).map_err(|reason| io::Error::other(damaged(reason)))
    }
}
