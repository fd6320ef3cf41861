//! Copies of a store: a backup that is made while a hub works, and a restore from it.
//!
//! A copy is a store like any other once it is complete. Objects come first, then the commits in their order, so that
//! a copy that was cut off names nothing that it does not have; marks say what it is until then ([`marks`]).

mod copy;
mod erased;
mod marks;
mod store;

pub(crate) use marks::Marks;

use crate::catalog::{DirectoryLock, create_durably};
use crate::objects::Objects;
use crate::paths;
use crate::place::{OpenPlace, Place};
use crate::progress::Progress;
use crate::verify::{VerifyOptions, VerifyReport, verify_objects};
use copy::{Copy, check_target};
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
    /// Objects of the target that were removed because they held rows that are erased.
    pub objects_erased: u64,
}

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes or continues a backup of the store in `from`, as of its newest snapshot, in `to`.
///
/// Copies what the target does not have, compared by name and size; with `checks_hashes` what the target has is read
/// and hashed as well, and copied again if it is damaged. What the target has of rows that were erased is removed there,
/// so that earlier snapshots which need it can be restored from it no more. Reads the source only and takes no lock there, so a hub may
/// be at work. Everything that was copied when it is interrupted counts when it is run again.
///
/// # Errors
///
/// `InvalidRequest` if the target holds something else, `Conflict` if it is a backup of another history of the same
/// catalog, `DataLoss` naming objects that are missing or damaged in the source, `LimitReached` if the target's disk is
/// full, `Unavailable` if another process has the target.
pub fn backup(
    from: impl Into<Place>,
    to: impl Into<Place>,
    checks_hashes: bool,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(&Progress),
) -> Result<BackupReport> {
    let (source, target) = open_both(&from.into(), &to.into())?;
    back_up(&source.objects, &target.place.objects, checks_hashes, clock, progress)
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
    copy.remove_erased(snapshot)?;
    copy.complete(snapshot)?;
    Ok(copy.report)
}

/// Restores the store in `from`, a backup or any other store, into `to`, which is empty or has the beginnings of the same restore; then verifies what is there.
///
/// `snapshot` says which one; without it, it is the one that the backup is complete up to.
///
/// # Errors
///
/// `InvalidRequest` if the target holds something else, `NotFound` if there is no such snapshot, `DataLoss` naming
/// objects of it that the source does not have any more, or that are damaged. What the verification finds is in its
/// report; the target then stays marked as unfinished.
pub fn restore(
    from: impl Into<Place>,
    to: impl Into<Place>,
    snapshot: Option<u64>,
    clock: &dyn Clock,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(BackupReport, VerifyReport)> {
    let (source, target) = open_both(&from.into(), &to.into())?;
    restore_objects(&source.objects, &target.place.objects, snapshot, clock, progress)
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

/// A store that is being written; a directory is held for this process.
struct Target {
    place: OpenPlace,
    _lock: Option<DirectoryLock>,
}

fn open_both(from: &Place, to: &Place) -> Result<(OpenPlace, Target)> {
    let source = from.open()?;
    let is_store = source.objects.exists(paths::FORMAT)? || !Marks::read(&source.objects)?.is_empty();
    if !is_store {
        let message = format!("there is no store in {from}: object {} is missing", paths::FORMAT);
        return Err(Error::not_found(message));
    }
    if from.is(to) {
        return Err(Error::invalid_request("a store cannot be copied to itself"));
    }
    let lock = match to {
        Place::Directory(dir) => {
            create_durably(dir).map_err(|e| Error::unavailable("creating the target directory failed").caused_by(e))?;
            Some(DirectoryLock::take(dir)?)
        }
        Place::Bucket(_) => None,
    };
    Ok((source, Target { place: to.open_for_writing()?, _lock: lock }))
}
