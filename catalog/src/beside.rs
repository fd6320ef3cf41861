//! Files beside the segments that other programs read: projections which the catalog never reads back.
//!
//! They lie in folders of a dataset's folder whose names begin with `_`. What goes wrong with them is told to whoever
//! writes them and stops nothing; a collection of garbage passes them by.

use crate::extent::live_rows;
use crate::objects::{Object, Objects};
use crate::paths;
use crate::search::read_rows;
use crate::segment::{parquet_error, rewrite_properties};
use crate::segments::SegmentCache;
use crate::snapshot::Snapshot;
use crate::successor::segment_objects;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use roaring::RoaringBitmap;
use std::fmt;
use std::sync::Arc;
use ukimet_model::{DatasetUuid, Error, Result, SegmentRef};

/// The files beside the segments of one dataset, and what is to be known of the segments to write them.
///
/// Whatever the snapshot shows that it came from can be read as long as it is held.
pub struct Beside {
    pub(crate) dataset: DatasetUuid,
    pub(crate) objects: Objects,
    pub(crate) segments: Arc<SegmentCache>,
    pub(crate) _pinned: Snapshot,
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Beside({})", self.dataset)
    }
}

/// A Parquet file as other programs find it.
#[derive(Clone, Debug)]
pub struct ParquetFile {
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Its footer, without page indexes.
    pub footer: Arc<ParquetMetaData>,
}

impl Beside {
    /// The names in a folder, sorted; none if there is no such folder.
    ///
    /// # Errors
    ///
    /// `Internal` if the folder's name does not begin with `_`, here and below, or the disk fails.
    pub fn names(&self, folder: &str) -> Result<Vec<String>> {
        self.objects.list(&self.key(folder)?)
    }

    /// The bytes of a file, path and name below the dataset's folder.
    pub fn read(&self, path: &str) -> Result<Bytes> {
        self.objects.get(&self.key(path)?)
    }

    /// Writes a file durably unless the name is taken.
    ///
    /// # Errors
    ///
    /// `LimitReached` if the disk is full, `Unavailable` if it fails.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.objects.put_beside(&self.key(path)?, bytes)
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) -> Result<()> {
        self.objects.delete(&self.key(path)?)
    }

    /// Whether the files of some segments are there.
    pub fn has_files(&self, segments: &[SegmentRef]) -> Result<bool> {
        for key in segments.iter().flat_map(|segment| segment_objects(&self.dataset, segment)) {
            if !self.objects.exists(&key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A segment's own file. Its bytes are not checked: who reads the file later does not check them either.
    pub fn segment_file(&self, segment: &SegmentRef) -> Result<ParquetFile> {
        parquet_file(&self.objects.open(&paths::parquet(&self.dataset, &segment.parquet))?)
    }

    /// A Parquet file beside the segments.
    pub fn parquet_file(&self, path: &str) -> Result<ParquetFile> {
        parquet_file(&self.objects.open(&self.key(path)?)?)
    }

    /// The rows of a segment, by number, that a version has no more; `None` if it has all of them.
    pub fn deleted_rows(&self, segment: &SegmentRef) -> Result<Option<Arc<RoaringBitmap>>> {
        self.segments.deletes(&self.dataset, segment)
    }

    /// Writes the rows of a segment that a version has as a file of their own: the same columns, boxes included, in the
    /// same order.
    ///
    /// # Errors
    ///
    /// `Internal` naming the segment if it is damaged, and as [`Beside::put`].
    pub fn put_live_rows(&self, segment: &SegmentRef, path: &str) -> Result<()> {
        let key = self.key(path)?;
        let open = self.segments.segment(&self.dataset, segment)?;
        let rows = live_rows(&self.segments, &self.dataset, segment)?;
        let schema = open.footer.schema();
        let columns: Vec<usize> = (0..schema.fields().len()).collect();
        let properties = rewrite_properties(open.footer.metadata());
        let file = self.objects.temporary()?;
        let mut writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(parquet_error)?;
        for batch in read_rows(&open, &columns, &rows, segment.rows)? {
            writer.write(&batch?).map_err(parquet_error)?;
        }
        writer.into_inner().map_err(parquet_error)?.publish_beside(&key)
    }

    fn key(&self, path: &str) -> Result<String> {
        if paths::is_beside(path) {
            return Ok(format!("{}/{}/{path}", paths::DATA, self.dataset));
        }
        Err(Error::internal(format!("a path beside the segments begins with _, found {path:?}")))
    }
}

fn parquet_file(object: &Object) -> Result<ParquetFile> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(object).map_err(parquet_error)?;
    Ok(ParquetFile { size_bytes: object.size_bytes(), footer: Arc::new(footer) })
}
