//! Versioned state of the hub and its indexes: a library, no server, synchronous.
//!
//! The truth is a chain of immutable commits (`log`) and the immutable objects they name (`data`, `raw`,
//! `receipts`). Everything else, the state in sled and the text index, is a projection that can be deleted at any
//! time. Start with [`Catalog`]: [`Catalog::begin`] leads to a new version, [`Catalog::snapshot`] to every read.

#![forbid(unsafe_code)]

mod assets;
mod backup;
mod beside;
mod bucket;
mod catalog;
mod changes;
mod checkpoint;
mod claims;
mod collect;
mod collecting;
mod commit;
mod compaction;
mod contents;
mod deletes;
mod diff;
mod disk;
mod distance;
mod erase;
mod erasure;
mod extent;
mod filter;
mod follow;
mod forget;
mod format;
mod index;
mod invariants;
mod key;
mod keys;
mod layer;
mod layout;
mod log;
mod majors;
mod matching;
mod named;
mod needs;
mod node;
mod objects;
mod opening;
mod operation;
mod options;
mod pages;
mod paths;
mod place;
mod progress;
mod prospect;
mod push;
mod raw;
mod readers;
mod receipt;
mod renewed;
mod retention;
mod rowhash;
mod rows;
mod rtree;
mod seal;
mod search;
mod segment;
mod segments;
mod selecting;
mod shape;
mod snapshot;
mod sort;
mod state;
mod store;
mod successor;
mod tables;
mod transaction;
mod valid;
mod verify;

pub use assets::AssetBytes;
pub use backup::{BackupReport, Copied, backup, restore};
pub use beside::{Beside, ParquetFile};
pub use bucket::BucketOptions;
pub use catalog::{Catalog, DirectoryInUse};
pub use collect::Collected;
pub use compaction::{Compacted, CompactionScope};
pub use diff::Diff;
pub use erase::{ErasureIntent, ErasureLeft, UnfinishedErasure};
pub use erasure::Erasure;
pub use filter::{PlaceTest, way_m};
pub use forget::{ForgottenNode, forget_node};
pub use layer::{LayerWriter, MarksWithoutRow};
pub use majors::LayerBreaks;
pub use opening::{OpeningReport, ProjectionOpening};
pub use operation::{OperationIntent, OperationRecord};
pub use options::{CatalogOptions, DescribedChanges, Sharing, TableLimits};
pub use place::Place;
pub use progress::Progress;
pub use prospect::Prospect;
pub use push::{PushIntent, PushRecord};
pub use rowhash::row_hashes;
pub use search::{OrderedScan, RowOrder, Scan, ScanCounts};
pub use snapshot::{SearchResult, Snapshot};
pub use tables::{SOURCE_COLUMNS_KEY, Table, quarantine_schema, severity_name, verdict_schema};
pub use transaction::Transaction;
pub use verify::{Finding, ProjectionCheck, ProjectionState, VerifyOptions, VerifyReport, verify};

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_hub_holds_can_cross_threads() {
        fn check<T: Send + Sync>() {}
        fn check_send<T: Send>() {}
        check::<super::Catalog>();
        check::<super::Snapshot>();
        check_send::<super::Transaction>();
        check_send::<super::LayerWriter>();
        check_send::<super::Scan>();
        check_send::<super::Table>();
    }
}
