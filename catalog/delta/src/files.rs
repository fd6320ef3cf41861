//! What a log is made from and where it goes.

use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringBitmap;
use std::sync::Arc;
use ukimet_model::{Dataset, Result, SegmentRef, SnapshotId, Version, VersionNumber};

/// The versions and files of one dataset. Paths are relative to the folder of its segments and use `/`.
///
/// All calls block on the disk; their errors are passed on as they are.
pub trait DatasetFiles {
    /// A version that is kept.
    fn version(&self, number: VersionNumber) -> Result<Version>;
    /// The commit that erased rows of the dataset last; `None` if none did. A log from before it is built anew.
    fn last_erasure(&self) -> Result<Option<SnapshotId>>;
    /// The dataset as the version's commit left it.
    fn dataset(&self, version: &Version) -> Result<Dataset>;
    /// The published columns of a version; a segment has a column of boxes behind them if it has places.
    fn schema(&self, version: &Version) -> Result<SchemaRef>;
    /// A segment's own file.
    fn segment(&self, segment: &SegmentRef) -> Result<ParquetFile>;
    /// The rows of a segment, by number, that a version has no more.
    fn deleted_rows(&self, segment: &SegmentRef) -> Result<RoaringBitmap>;
    /// Writes the rows of a segment that a version has as a Parquet file, unless the name is taken.
    fn put_live_rows(&self, segment: &SegmentRef, path: &str) -> Result<ParquetFile>;
    /// The names in a folder; none if there is no such folder.
    fn names(&self, folder: &str) -> Result<Vec<String>>;
    /// The bytes of a file.
    fn read(&self, path: &str) -> Result<Bytes>;
    /// Writes a file durably, unless the name is taken. Whoever reads it meanwhile sees all of it or nothing.
    fn put(&self, path: &str, bytes: &[u8]) -> Result<()>;
    /// Takes a file away.
    fn remove(&self, path: &str) -> Result<()>;
}

/// A Parquet file and its footer.
#[derive(Clone, Debug)]
pub struct ParquetFile {
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Its footer.
    pub footer: Arc<ParquetMetaData>,
}
