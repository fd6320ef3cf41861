//! A disk that counts what is read of each file.

use super::{Disk, DiskFile, Listed, ReadAt};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that were read, by path.
type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// A disk that passes everything on.
#[derive(Clone)]
pub(crate) struct CountingDisk {
    disk: Arc<dyn Disk>,
    counts: Counts,
}

impl CountingDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, counts: Counts::default() }
    }

    /// What was read since it was last asked, by path.
    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct CountedReads {
    path: String,
    file: Arc<dyn ReadAt>,
    counts: Counts,
}

impl ReadAt for CountedReads {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(self.path.clone()).or_default() +=
            length as u64;
        self.file.read_at(offset, length)
    }
}

impl Disk for CountingDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Listed>> {
        self.disk.list(path)
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path)
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn ReadAt>> {
        let file = self.disk.open(path)?;
        Ok(Arc::new(CountedReads { path: path.to_owned(), file, counts: Arc::clone(&self.counts) }))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.disk.unlink(path)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}
