//! What an operator may set.

use std::time::Duration;

/// Limits and sizes of a catalog, each with its unit and a default that fits a small machine.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogOptions {
    /// Rows in one segment file at most.
    pub segment_rows_max: usize,
    /// Rows in one Parquet row group; one row group is held in memory while it is written.
    pub row_group_rows: usize,
    /// Rows in one Parquet data page: what a small window reads at least.
    pub page_rows: usize,
    /// Bytes of rows that are sorted in memory before they are spilled.
    pub sort_run_bytes: usize,
    /// Commits between two checkpoints.
    pub checkpoint_every: u64,
    /// Bytes that the state projection keeps in memory.
    pub state_cache_bytes: u64,
    /// Bytes that the text index gathers before it writes; at least 15,000,000.
    pub text_writer_bytes: usize,
    /// Bytes of R-trees and file footers kept in memory.
    pub rtree_cache_bytes: usize,
    /// Bytes that stay free on the disk: below that no push is taken, reads go on.
    pub disk_reserve_bytes: u64,
    /// Pushes in one log entry at most.
    pub group_commits_max: usize,
    /// What is kept of the verdicts on one layer; a push with more is refused.
    pub verdict_limits: TableLimits,
    /// What is kept of the refused rows of one layer; a push with more is refused.
    pub quarantine_limits: TableLimits,
    /// Bytes of one file made of a row; a push with a larger one is refused.
    pub asset_bytes_max: u64,
    /// Tags that versions of one dataset have at the same time.
    pub tags_max: usize,
    /// Notes on one version.
    pub notes_max: usize,
    /// Bytes of one note.
    pub note_bytes_max: usize,
    /// Keys that one erasure names.
    pub erase_keys_max: usize,
    /// Text indexes of earlier snapshots that are kept in memory; at least 1.
    pub past_indexes_max: usize,
    /// What a commit tells of changed rows beyond where they lie.
    pub described_changes: DescribedChanges,
    /// Share of the rows in a version's files, 0 to 1, that may be deleted rows before the files with most of them are
    /// written anew; 1 for never.
    pub compact_deleted_share: f64,
    /// Segments of a version at most that are less than half full before the smallest of them are put together; 0 for
    /// never.
    pub compact_segments_max: usize,
    /// How long files stay that a compaction took the place of, for tickets that name them.
    pub superseded_keep: Duration,
    /// Whether the files that a version was published with stay as long as the version does, whatever took their place:
    /// others read them without asking.
    pub keeps_published_files: bool,
    /// How several nodes on one store give way to each other.
    pub sharing: Sharing,
}

/// When a commit notes which columns of its changed rows differ, so that a difference reads no others, and when it stores
/// the values that were there before, so that it need not look for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribedChanges {
    /// Changed and removed rows in a hundred of the version before at most: to note the columns, both sides of all of
    /// them are read. Of more, a difference reads all columns, which costs little for each row, as they lie together.
    pub percent_max: u64,
    /// Pages of the version before over which the rows are strewn at least for their values to be stored: fewer are read
    /// fast.
    pub pages_min: u64,
}

/// How several nodes on one store give way to each other. All of them are to have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// A collection removes no object that was written less long ago, by the store's clock: longer than any push takes.
    pub garbage_age: Duration,
    /// Versions that were removed less long ago may still be read by some node, so their objects stay.
    pub reading_max: Duration,
    /// A collection waits this long between telling what it removes and removing it. Commits take less than a third.
    pub settling: Duration,
}

/// How large a table of a push may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// Rows at most.
    pub rows_max: u64,
    /// Bytes of text at most.
    pub bytes_max: u64,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            segment_rows_max: 1_048_576,
            row_group_rows: 131_072,
            page_rows: 1024,
            sort_run_bytes: 64 << 20,
            checkpoint_every: 1000,
            state_cache_bytes: 64 << 20,
            text_writer_bytes: 32_000_000,
            rtree_cache_bytes: 256 << 20,
            disk_reserve_bytes: 2 << 30,
            group_commits_max: 64,
            verdict_limits: TableLimits { rows_max: 2_000_000, bytes_max: 1 << 30 },
            quarantine_limits: TableLimits { rows_max: 1_000_000, bytes_max: 1 << 30 },
            asset_bytes_max: 32 << 30,
            tags_max: 10_000,
            notes_max: 1000,
            note_bytes_max: 10_000,
            erase_keys_max: 10_000,
            past_indexes_max: 2,
            described_changes: DescribedChanges { percent_max: 10, pages_min: 64 },
            sharing: Sharing {
                garbage_age: Duration::from_hours(24),
                reading_max: Duration::from_hours(24),
                settling: Duration::from_mins(3),
            },
            compact_deleted_share: 0.2,
            compact_segments_max: 16,
            superseded_keep: Duration::from_hours(24),
            keeps_published_files: false,
        }
    }
}
