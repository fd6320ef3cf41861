//! Copies of a store: a backup that is made while a hub works, and a restore from it.
//!
//! A copy is a store like any other once it is complete. Objects come first, then the commits in their order, so that
//! a copy that was cut off names nothing that it does not have; marks say what it is until then ([`marks`]).

mod copy;
mod marks;
mod store;

pub(crate) use marks::Marks;

use crate::catalog::{DirectoryLock, create_durably};
use crate::disk::RealDisk;
use crate::objects::Objects;
use crate::paths;
use crate::progress::Progress;
use crate::verify::{VerifyOptions, VerifyReport, verify_objects};
use copy::{Copy, check_target};
use std::path::Path;
use std::sync::Arc;
use ukimet_model::{Clock, Error, Result};

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// The snapshot that the target is a copy of now.
    pub snapshot: u64,
    /// The last commit that the target had before.
    pub previous: u64,
    /// Objects that were copied.
    pub copied: Copied,
    /// Commits that were copied.
    pub commits: Copied,
    /// Objects that the target had.
    pub objects_present: u64,
    /// Objects of the target that were damaged and were copied again.
    pub objects_replaced: u64,
}

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes or continues a backup of the store in `from`, as of its newest snapshot, in the directory `to`.
///
/// Copies what the target does not have, compared by name and size; with `checks_hashes` what the target has is read
/// and hashed as well, and copied again if it is damaged. Reads the source only and takes no lock there, so a hub may
/// be at work. Everything that was copied when it is interrupted counts when it is run again.
///
/// # Errors
///
/// `InvalidRequest` if the target holds something else, `Conflict` if it is a backup of another history of the same
/// catalog, `DataLoss` naming objects that are missing or damaged in the source, `LimitReached` if the target's disk is
/// full, `Unavailable` if another process has the target.
pub fn backup(
    from: &Path,
    to: &Path,
    checks_hashes: bool,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(&Progress),
) -> Result<BackupReport> {
    let target = Target::open(from, to)?;
    back_up(&objects_of(from), &target.objects, checks_hashes, clock, progress)
}

pub(crate) fn back_up(
    from: &Objects,
    to: &Objects,
    checks_hashes: bool,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(&Progress),
) -> Result<BackupReport> {
    if let Some(unfinished) = Marks::read(from)?.unfinished() {
        return Err(Error::invalid_request(unfinished.to_string()));
    }
    let catalog = begin(from, to)?;
    let (time, report) = (clock.now(), BackupReport::default());
    let mut copy = Copy { from, to, catalog, snapshot: None, checks_hashes, time, progress, report };
    let snapshot = copy.run()?;
    copy.complete(snapshot)?;
    Ok(copy.report)
}

/// Restores the store in `from`, a backup or any other store, into the directory `to`, which is empty or has the
/// beginnings of the same restore; then verifies what is there.
///
/// `snapshot` says which one; without it, it is the one that the backup is complete up to.
///
/// # Errors
///
/// `InvalidRequest` if the target holds something else, `NotFound` if there is no such snapshot, `DataLoss` naming
/// objects of it that the source does not have any more, or that are damaged. What the verification finds is in its
/// report; the target then stays marked as unfinished.
pub fn restore(
    from: &Path,
    to: &Path,
    snapshot: Option<u64>,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(BackupReport, VerifyReport)> {
    let target = Target::open(from, to)?;
    restore_objects(&objects_of(from), &target.objects, snapshot, clock, progress)
}

pub(crate) fn restore_objects(
    from: &Objects,
    to: &Objects,
    snapshot: Option<u64>,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(BackupReport, VerifyReport)> {
    let marks = Marks::read(from)?;
    let snapshot = match (snapshot, marks.complete(), marks.unfinished()) {
        (None, None, Some(unfinished)) => return Err(Error::invalid_request(unfinished.to_string())),
        (None, Some(complete), Some(_)) => Some(complete),
        (snapshot, ..) => snapshot,
    };
    let catalog = begin(from, to)?;
    let begun = Marks::read(to)?;
    if begun.complete().is_some() {
        return Err(Error::invalid_request("the target must be empty, found a backup"));
    }
    let (time, report) = (clock.now(), BackupReport::default());
    let mut copy = Copy { from, to, catalog, snapshot, checks_hashes: !begun.is_empty(), time, progress, report };
    copy.run()?;
    let report = copy.report;
    let verified = verify_objects(to, &VerifyOptions::default(), progress)?;
    if verified.is_clean() {
        Marks::read(to)?.remove(to, None)?;
    }
    Ok((report, verified))
}

/// Checks the target and makes its folders.
fn begin(from: &Objects, to: &Objects) -> Result<ukimet_model::Sha256> {
    let catalog = check_target(from, to)?;
    to.ensure_dir(paths::SCRATCH)?;
    to.empty_dir(paths::SCRATCH)?;
    Ok(catalog)
}

fn objects_of(dir: &Path) -> Objects {
    Objects::new(Arc::new(RealDisk::new(dir)))
}

/// A directory that is being written, held for this process.
struct Target {
    objects: Objects,
    _lock: DirectoryLock,
}

impl Target {
    fn open(from: &Path, to: &Path) -> Result<Self> {
        let is_store = objects_of(from).exists(paths::FORMAT)? || !Marks::read(&objects_of(from))?.is_empty();
        if !is_store {
            let message = format!("there is no store in {}: object {} is missing", from.display(), paths::FORMAT);
            return Err(Error::not_found(message));
        }
        if std::path::absolute(from).ok() == std::path::absolute(to).ok() {
            return Err(Error::invalid_request("a store cannot be copied to itself"));
        }
        create_durably(to).map_err(|e| Error::unavailable("creating the target directory failed").caused_by(e))?;
        let lock = DirectoryLock::take(to)?;
        Ok(Self { objects: objects_of(to), _lock: lock })
    }
}
