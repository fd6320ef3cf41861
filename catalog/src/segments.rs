//! Segments open for reading: checked once, footers, R-trees and deletion bitmaps kept in memory within a limit.

use crate::deletes::read_deletes;
use crate::objects::{Object, Objects};
use crate::paths;
use crate::rtree::Tree;
use crate::segment::parquet_error;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use roaring::RoaringBitmap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ukimet_model::{DatasetUuid, Error, Result, SegmentRef, Sha256};

/// What readers of all snapshots share.
pub(crate) struct SegmentCache {
    objects: Objects,
    bytes_max: usize,
    held: Mutex<Held>,
    /// How often the readers of any dataset were ended.
    endings: AtomicU64,
}

#[derive(Default)]
struct Held {
    /// Keys of the objects whose bytes were found to be whole since the process began.
    checked: HashSet<String>,
    entries: HashMap<String, (Cached, usize)>,
    /// Keys from the oldest entry to the newest.
    ages: VecDeque<String>,
    bytes: usize,
    /// Keys of objects that went while somebody may read them, and what whoever does is told.
    gone: HashMap<String, String>,
    /// How often the readers of a dataset were ended.
    endings: HashMap<DatasetUuid, u64>,
}

#[derive(Clone)]
enum Cached {
    Footer(Arc<ArrowReaderMetadata>),
    Tree(Arc<Tree>),
    Deletes(Arc<RoaringBitmap>),
}

/// How often readers had been ended when somebody began to read.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    all: u64,
    of_dataset: u64,
}

/// A segment's file, checked, with its footer.
pub(crate) struct OpenSegment {
    pub(crate) object: Object,
    pub(crate) footer: Arc<ArrowReaderMetadata>,
}

impl SegmentCache {
    pub(crate) fn new(objects: Objects, bytes_max: usize) -> Self {
        Self { objects, bytes_max, held: Mutex::default(), endings: AtomicU64::new(0) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what is held of an object that goes, and notes what whoever still asks for it is told.
    pub(crate) fn refuse(&self, key: &str, refusal: &str) {
        self.forget(key);
        self.held().gone.insert(key.to_owned(), refusal.to_owned());
    }

    /// Lets go of what is held of all objects of a dataset.
    pub(crate) fn forget_dataset(&self, dataset: &DatasetUuid) {
        let folder = format!("{}/{dataset}/", paths::DATA);
        let mut held = self.held();
        held.checked.retain(|key| !key.starts_with(&folder));
        let Held { entries, ages, bytes, .. } = &mut *held;
        entries.retain(|key, (_, size_bytes)| {
            let stays = !key.starts_with(&folder);
            *bytes -= if stays { 0 } else { *size_bytes };
            stays
        });
        ages.retain(|key| !key.starts_with(&folder));
    }

    /// Ends those who read a dataset now.
    pub(crate) fn end_readers(&self, dataset: &DatasetUuid) {
        *self.held().endings.entry(dataset.clone()).or_default() += 1;
        self.endings.fetch_add(1, Ordering::SeqCst);
    }

    /// How often the readers of a dataset were ended so far.
    pub(crate) fn reading(&self, dataset: &DatasetUuid) -> Reading {
        let all = self.endings.load(Ordering::SeqCst);
        Reading { all, of_dataset: self.held().endings.get(dataset).copied().unwrap_or(0) }
    }

    /// Checks that the readers of a dataset were not ended since.
    ///
    /// # Errors
    ///
    /// `Conflict` if they were.
    pub(crate) fn check_reading(&self, dataset: &DatasetUuid, since: Reading) -> Result<()> {
        if self.endings.load(Ordering::SeqCst) == since.all || self.reading(dataset).of_dataset == since.of_dataset {
            return Ok(());
        }
        Err(Error::conflict("rows of the dataset were erased while it was read: ask again"))
    }

    /// Opens an object whose bytes are known to be whole: the first time, all of them are read and hashed, unless that
    /// was done when they were written.
    pub(crate) fn open(&self, key: &str, hash: &Sha256) -> Result<Object> {
        let object = self.objects.open(key).map_err(|error| match self.held().gone.get(key) {
            Some(refusal) => Error::conflict(refusal.clone()),
            None => error,
        })?;
        if !self.objects.was_written(key) && !self.held().checked.contains(key) {
            object.check(hash)?;
            self.held().checked.insert(key.to_owned());
        }
        Ok(object)
    }

    /// A segment's file, ready to be read.
    pub(crate) fn segment(&self, dataset: &DatasetUuid, segment: &SegmentRef) -> Result<OpenSegment> {
        let key = paths::parquet(dataset, &segment.parquet);
        let object = self.open(&key, &segment.parquet)?;
        if let Some(Cached::Footer(footer)) = self.cached(&key) {
            return Ok(OpenSegment { object, footer });
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let footer = Arc::new(ArrowReaderMetadata::load(&object, options).map_err(parquet_error)?);
        self.keep(key, Cached::Footer(Arc::clone(&footer)), footer.metadata().memory_size());
        Ok(OpenSegment { object, footer })
    }

    /// A segment's R-tree; `None` if no row has a place.
    pub(crate) fn tree(&self, dataset: &DatasetUuid, segment: &SegmentRef) -> Result<Option<Arc<Tree>>> {
        let Some(hash) = &segment.rtree else { return Ok(None) };
        let key = paths::rtree(dataset, hash);
        if let Some(Cached::Tree(tree)) = self.cached(&key) {
            return Ok(Some(tree));
        }
        let object = self.open(&key, hash)?;
        let tree = Arc::new(Tree::try_new(&object.read(0, object.size_bytes() as usize)?)?);
        self.keep(key, Cached::Tree(Arc::clone(&tree)), tree.size_bytes());
        Ok(Some(tree))
    }

    /// The rows of a segment that the version has no more; `None` if it has all of them.
    pub(crate) fn deletes(&self, dataset: &DatasetUuid, segment: &SegmentRef) -> Result<Option<Arc<RoaringBitmap>>> {
        let Some(deletes) = &segment.deletes else { return Ok(None) };
        let key = paths::deletes(dataset, &deletes.sha256);
        if let Some(Cached::Deletes(rows)) = self.cached(&key) {
            return Ok(Some(rows));
        }
        let object = self.open(&key, &deletes.sha256)?;
        let rows = Arc::new(read_deletes(&object)?);
        self.keep(key, Cached::Deletes(Arc::clone(&rows)), object.size_bytes() as usize);
        Ok(Some(rows))
    }

    /// Forgets an object that is gone: one of that name that comes later is checked anew.
    pub(crate) fn forget(&self, key: &str) {
        let mut held = self.held();
        held.checked.remove(key);
        if let Some((_, size_bytes)) = held.entries.remove(key) {
            held.bytes -= size_bytes;
            held.ages.retain(|other| other != key);
        }
    }

    fn cached(&self, key: &str) -> Option<Cached> {
        self.held().entries.get(key).map(|(cached, _)| cached.clone())
    }

    fn keep(&self, key: String, cached: Cached, size_bytes: usize) {
        let mut held = self.held();
        if held.entries.insert(key.clone(), (cached, size_bytes)).is_none() {
            held.bytes += size_bytes;
            held.ages.push_back(key);
        }
        while held.bytes > self.bytes_max
            && let Some(oldest) = held.ages.pop_front()
        {
            let removed = held.entries.remove(&oldest).map_or(0, |(_, size_bytes)| size_bytes);
            held.bytes -= removed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::recording::RecordingDisk;
    use crate::seal::sha256;

    #[test]
    fn an_object_that_went_and_came_back_is_checked_anew() {
        let objects = Objects::new(Arc::new(RecordingDisk::with_scratch()));
        let cache = SegmentCache::new(objects.clone(), 1 << 20);
        let (key, hash) = ("raw/a", sha256(b"whole"));
        objects.put_if_absent(key, b"whole").expect("room");
        cache.open(key, &hash).expect("whole");
        cache.keep(key.to_owned(), Cached::Deletes(Arc::default()), 7);
        objects.delete(key).expect("a whole disk");
        cache.forget(key);
        let held = cache.held();
        assert!(held.checked.is_empty() && held.entries.is_empty() && held.ages.is_empty() && held.bytes == 0);
        drop(held);
        objects.put_if_absent(key, b"other").expect("room");
        assert!(cache.open(key, &hash).is_err(), "what has its name now is something else");
    }
}
