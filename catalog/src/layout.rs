//! Layouts: which files hold the rows of a version since a compaction.
//!
//! A version is published with its segments, and its record never changes. A layout is recorded later, beside it: other
//! segments that hold the same rows. The newest layout is read; the earlier ones, and the segments that the version was
//! published with, are superseded and kept as long as [`Superseded`] says, but never past an erasure of rows, which looks
//! through the newest only.

use crate::invariants::{fixed_objects_of, segments_objects_of};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use ukimet_model::{Dataset, SegmentRef, SnapshotId, Version, VersionNumber};

/// Other segments with the rows of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// The version.
    pub(crate) version: VersionNumber,
    /// The commit that recorded it.
    pub(crate) snapshot: SnapshotId,
    /// When that commit was made.
    pub(crate) made: Timestamp,
    /// The files that hold the rows, in the order of the rows.
    pub(crate) segments: Vec<SegmentRef>,
}

impl Layout {
    /// The version with its rows where this layout has them.
    pub(crate) fn lay_out(self, version: Version) -> Version {
        Version { segments: self.segments, layout: Some(self.snapshot), ..version }
    }
}

/// Which superseded files stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superseded {
    /// Those that the layout recorded by a later commit than this took the place of: somebody may read them.
    pub(crate) oldest_reader: u64,
    /// Those that were in use at this time or later: tickets name them.
    pub(crate) in_use_since: Timestamp,
    /// Whether those that a version was published with, or the last erasure left of it, stay as long as the version does.
    pub(crate) keeps_published: bool,
}

impl Superseded {
    /// None but those that are in use.
    pub(crate) const NONE: Self =
        Self { oldest_reader: u64::MAX, in_use_since: Timestamp::MAX, keeps_published: false };
    /// All of them.
    pub(crate) const ALL: Self = Self { oldest_reader: 0, in_use_since: Timestamp::MIN, keeps_published: true };

    /// Those that somebody may read who holds the state of a commit, and those that were in use a while ago.
    pub(crate) fn now(oldest_reader: u64, now: Timestamp, keep: Duration, keeps_published: bool) -> Self {
        let in_use_since = SignedDuration::try_from(keep).ok().and_then(|keep| now.checked_sub(keep).ok());
        // Nothing was laid out before the time that can be told.
        Self { oldest_reader, in_use_since: in_use_since.unwrap_or(Timestamp::MIN), keeps_published }
    }

    /// Whether files stay that a layout took the place of.
    fn keeps(&self, successor: &Layout) -> bool {
        successor.snapshot.0 > self.oldest_reader || successor.made > self.in_use_since
    }

    /// The objects that stay of a version with these layouts, the oldest first; its raw bytes excepted. What was
    /// superseded before the last erasure of rows went with these.
    pub(crate) fn objects_of(
        &self,
        dataset: &Dataset,
        version: &Version,
        layouts: &[Layout],
        last_erasure: u64,
    ) -> Vec<String> {
        let mut keys = fixed_objects_of(dataset, version);
        let gone = layouts.iter().take_while(|layout| layout.snapshot.0 <= last_erasure).count();
        let lay = [&version.segments].into_iter().chain(layouts.iter().map(|layout| &layout.segments));
        for (i, segments) in lay.enumerate().skip(gone) {
            let is_published = self.keeps_published && i == gone;
            if is_published || layouts.get(i).is_none_or(|successor| self.keeps(successor)) {
                keys.extend(segments_objects_of(dataset, segments));
            }
        }
        keys
    }
}
