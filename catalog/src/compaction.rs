//! Compaction: the live rows of a version's worst segments are written into fresh ones, and the version is laid out in
//! them. Its rows, keys and root hash stay, no version is made, and whoever reads it meanwhile reads on where it lay.

mod choice;
mod rewrite;

use crate::catalog::{Catalog, Shared};
use crate::claims::ObjectClaim;
use crate::commit::{Answer, Drafted, Outcome};
use crate::layout::Layout;
use crate::log::{Change, Part, Requirement};
use crate::state::View;
use choice::Limits;
use jiff::Timestamp;
use rewrite::{Rewritten, rebased, rewrite, root_of};
use std::sync::{Arc, PoisonError};
use ukimet_model::{Dataset, DatasetId, Error, Result, SegmentRef, SnapshotId, Version, VersionNumber};

/// How often a layout is fitted to what pushes did while it was written.
const ATTEMPTS_MAX: usize = 8;

/// Which segments a compaction writes anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactionScope {
    /// Those past the limits of the catalog's options.
    PastLimits,
    /// All with deleted rows, and all that are less than half full if there are several.
    All,
}

/// What a compaction did, or would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The version.
    pub version: VersionNumber,
    /// Its segments before.
    pub segments_before: u64,
    /// Its segments after; the same number if there was nothing to do.
    pub segments_after: u64,
    /// How many of those before were written anew.
    pub segments_rewritten: u64,
    /// Rows of the version that were written.
    pub rows_rewritten: u64,
    /// Deleted rows that were left behind.
    pub rows_dropped: u64,
    /// Bytes of the files that were written anew, before.
    pub bytes_before: u64,
    /// Bytes that were written; `None` if nothing was.
    pub bytes_after: Option<u64>,
    /// The commit that recorded the new layout; `None` if there is none.
    pub snapshot: Option<SnapshotId>,
}

/// A layout that asks to be recorded.
pub(crate) struct LayoutProposal {
    pub(crate) dataset: DatasetId,
    principal: String,
    /// The version that must be the newest, laid out as it was.
    version: VersionNumber,
    before: Option<SnapshotId>,
    /// The commit of the dataset's last erasure when writing began; 0 for none.
    last_erasure: u64,
    segments: Vec<SegmentRef>,
}

impl Catalog {
    /// Writes rows of a dataset's newest version into fresh segments, if that is worth it. Blocks until it is durable.
    ///
    /// Readers do not notice, pushes go on. One compaction runs at a time. `principal` is who asks, for the log.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset, `LimitReached` if the disk has no room for what is written anew,
    /// `Unavailable` if pushes always came first, after a disk failure or when the catalog is closed.
    pub fn compact(&self, dataset: &DatasetId, scope: CompactionScope, principal: &str) -> Result<Compacted> {
        compact(self.shared(), dataset, Limits::of(self.options(), scope), principal)
    }

    /// What [`Catalog::compact`] would do now; nothing is written.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset.
    pub fn would_compact(&self, dataset: &DatasetId, scope: CompactionScope) -> Result<Compacted> {
        let (_, version) = self.snapshot().dataset(dataset)?;
        let options = self.options();
        let chosen = Limits::of(options, scope).choose(&version.segments, options.segment_rows_max);
        Ok(Compacted::planned(&version, &chosen, options.segment_rows_max))
    }
}

impl Compacted {
    fn planned(version: &Version, chosen: &[SegmentRef], segment_rows_max: usize) -> Self {
        let rows: u64 = chosen.iter().map(SegmentRef::live_rows).sum();
        let (before, rewritten) = (version.segments.len() as u64, chosen.len() as u64);
        Self {
            version: version.number,
            segments_before: before,
            segments_after: before - rewritten + rows.div_ceil(segment_rows_max.max(1) as u64),
            segments_rewritten: rewritten,
            rows_rewritten: rows,
            rows_dropped: chosen.iter().map(|segment| segment.rows).sum::<u64>() - rows,
            bytes_before: chosen.iter().map(|segment| segment.size_bytes).sum(),
            bytes_after: None,
            snapshot: None,
        }
    }
}

fn compact(shared: &Arc<Shared>, id: &DatasetId, limits: Limits, principal: &str) -> Result<Compacted> {
    let _only = shared.compacting.lock().unwrap_or_else(PoisonError::into_inner);
    // Another node may have done it.
    shared.follow()?;
    for _ in 0..ATTEMPTS_MAX {
        // Before the version: one that comes between is found at the commit.
        let last_erasure = shared.last_erasure(id)?;
        match compact_after(shared, id, limits, principal, last_erasure) {
            // What was written may hold rows that were erased meanwhile: it is gone, and begun anew.
            Err(_) if shared.last_erasure(id)? != last_erasure => (),
            done => return done,
        }
    }
    Err(Error::unavailable(format!("rows of dataset {id} were erased whenever it was compacted, try again later")))
}

/// Compacts what is there after an erasure, the last one; 0 for none.
fn compact_after(
    shared: &Arc<Shared>,
    id: &DatasetId,
    limits: Limits,
    principal: &str,
    last_erasure: u64,
) -> Result<Compacted> {
    // Keeps the segments that are written anew until they are.
    let snapshot = shared.snapshot();
    let (dataset, version) = snapshot.dataset(id)?;
    let segment_rows_max = shared.options.segment_rows_max;
    let chosen = limits.choose(&version.segments, segment_rows_max);
    let planned = Compacted::planned(&version, &chosen, segment_rows_max);
    if chosen.is_empty() {
        return Ok(planned);
    }
    check_room(shared, &planned)?;
    let rewritten = rewrite(shared, &dataset, &version, chosen)?;
    let mut target = version.clone();
    for _ in 0..ATTEMPTS_MAX {
        let Some((segments, claims)) = rebased(shared, &dataset, &rewritten, &target)? else { break };
        check_root(shared, &dataset, &target, &segments)?;
        let proposal = LayoutProposal {
            dataset: id.clone(),
            principal: principal.to_owned(),
            version: target.number,
            before: target.layout,
            last_erasure,
            segments: segments.clone(),
        };
        match shared.committer.commit(shared, Arc::new(proposal))? {
            Answer::Recorded(outcome, _) => {
                return Ok(done(planned, &target, &rewritten, (&segments, &claims), outcome.snapshot()));
            }
            Answer::Replayed(..) => return Err(Error::internal("a layout was answered as one of before")),
            Answer::Moved => target = shared.snapshot().dataset(id)?.1,
        }
        // What another node put together would lie in two files, marked in one.
        if is_laid_out_since(shared, &version, &target, id)? {
            break;
        }
    }
    Err(Error::unavailable(format!("dataset {id} changed while it was compacted, try again later")))
}

/// Whether a version was laid out anew since segments of it, or of one before it, were read.
fn is_laid_out_since(shared: &Shared, from: &Version, target: &Version, id: &DatasetId) -> Result<bool> {
    let after = (target.number.0 - from.number.0) as usize;
    let versions = shared.snapshot().versions(id, Some(VersionNumber(target.number.0 + 1)), after + 1)?;
    let before = |version: &Version| if version.number == from.number { from.layout } else { None };
    Ok(versions.iter().any(|version| version.number >= from.number && version.layout != before(version)))
}

/// What was done, once a commit names the files.
fn done(
    planned: Compacted,
    target: &Version,
    rewritten: &Rewritten,
    (segments, claims): (&[SegmentRef], &[ObjectClaim]),
    snapshot: SnapshotId,
) -> Compacted {
    rewritten.claims().chain(claims).for_each(ObjectClaim::commit);
    Compacted {
        version: target.number,
        segments_before: target.segments.len() as u64,
        segments_after: segments.len() as u64,
        bytes_after: Some(rewritten.size_bytes()),
        snapshot: Some(snapshot),
        ..planned
    }
}

fn check_room(shared: &Shared, planned: &Compacted) -> Result<()> {
    shared.check_takes_commits()?;
    let (free, reserve) = (shared.objects.free_bytes()?, shared.options.disk_reserve_bytes);
    if free >= reserve.saturating_add(planned.bytes_before) {
        return Ok(());
    }
    let needed = planned.bytes_before;
    Err(Error::limit_reached(format!(
        "a compaction writes up to {needed} bytes, {free} are free on the disk, {reserve} are kept in reserve"
    )))
}

/// Checks that a version would be the same in other segments.
fn check_root(shared: &Shared, dataset: &Dataset, version: &Version, segments: &[SegmentRef]) -> Result<()> {
    let (root_hash, rows) = root_of(shared, dataset, version, segments)?;
    if (root_hash, rows) == (version.root_hash, version.rows) {
        return Ok(());
    }
    Err(Error::internal(format!(
        "compacting {}@{} would change it from {} rows with root hash {} to {rows} with {}: nothing was changed",
        dataset.id,
        version.number,
        version.rows,
        version.root_hash.short(),
        root_hash.short()
    )))
}

/// Drafts a layout as a part of a commit, unless the version is not the newest any more or lies elsewhere by now.
///
/// # Errors
///
/// `Conflict` if rows were erased since writing began: what was written may hold them.
pub(crate) fn draft_layout(
    proposal: &LayoutProposal,
    view: &View<'_>,
    snapshot: SnapshotId,
    time: Timestamp,
) -> Result<Drafted> {
    if view.last_erasure(&proposal.dataset)? != proposal.last_erasure {
        let id = &proposal.dataset;
        return Err(Error::conflict(format!("rows of dataset {id} were erased while it was compacted: compact again")));
    }
    let newest = view.newest_version(&proposal.dataset)?.map(|newest| (newest.number, newest.layout));
    if newest != Some((proposal.version, proposal.before)) {
        return Ok(Drafted::Moved);
    }
    let (dataset, version) = (proposal.dataset.clone(), proposal.version);
    let layout = Layout { version, snapshot, made: time, segments: proposal.segments.clone() };
    let part = Part {
        principal: proposal.principal.clone(),
        requirements: vec![Requirement::NewestVersion { dataset: dataset.clone(), number: version.0 }],
        changes: vec![Change::LayoutChanged { dataset, layout: Box::new(layout) }],
    };
    Ok(Drafted::Commit(part, Outcome::Layout(snapshot)))
}

#[cfg(test)]
mod tests;
