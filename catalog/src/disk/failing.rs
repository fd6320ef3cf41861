//! A disk on which a chosen operation fails.

use super::{Disk, DiskFile, Listed, ReadAt};
use bytes::Bytes;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What happens to the chosen operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The disk is full from then on: nothing new is written, names can still be taken away.
    Full,
    /// As [`Failure::Full`], but half of the first write still fits.
    ShortWrite,
    /// The operation fails once, having had no effect.
    Error,
    /// The operation fails once, having had its effect.
    LateError,
}

/// A disk that passes everything on, but for one failure.
#[derive(Clone)]
pub(crate) struct FailingDisk {
    disk: Arc<dyn Disk>,
    failure: Failure,
    /// Operations until the failure.
    left: Arc<AtomicU64>,
    has_failed: Arc<AtomicBool>,
}

impl FailingDisk {
    /// Fails at the operation with this number, counted from 0.
    pub(crate) fn new(disk: Arc<dyn Disk>, at: u64, failure: Failure) -> Self {
        Self { disk, failure, left: Arc::new(AtomicU64::new(at)), has_failed: Arc::default() }
    }

    /// Whether the chosen operation was reached.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }

    fn is_due(&self) -> bool {
        let is_due = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.wrapping_sub(1)));
        let is_due = is_due == Ok(0);
        self.has_failed.fetch_or(is_due, Ordering::SeqCst);
        is_due
    }

    /// Runs an operation that needs room on the disk.
    fn writing<T>(&self, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let was_full = self.has_failed();
        let is_due = self.is_due();
        match self.failure {
            Failure::Full | Failure::ShortWrite if is_due || was_full => Err(ErrorKind::StorageFull.into()),
            _ if is_due => self.fail(run),
            _ => run(),
        }
    }

    /// Runs an operation that a full disk does not stop.
    fn other<T>(&self, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let is_due = self.is_due();
        if is_due && matches!(self.failure, Failure::Error | Failure::LateError) { self.fail(run) } else { run() }
    }

    fn fail<T>(&self, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.failure == Failure::LateError {
            run()?;
        }
        Err(io::Error::other("input/output error"))
    }
}

impl Disk for FailingDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.writing(|| self.disk.create_dir(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.other(|| self.disk.sync_dir(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<Listed>> {
        self.other(|| self.disk.list(path))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.writing(|| self.disk.create(path))?;
        Ok(Box::new(FailingFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn ReadAt>> {
        let file = self.other(|| self.disk.open(path))?;
        Ok(Arc::new(FailingReads { disk: self.clone(), file }))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.writing(|| self.disk.link(from, to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.other(|| self.disk.unlink(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.other(|| self.disk.remove_dir(path))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

struct FailingFile {
    disk: FailingDisk,
    file: Box<dyn DiskFile>,
}

impl Write for FailingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let was_full = self.disk.has_failed();
        let result = self.disk.writing(|| self.file.write(bytes));
        let is_short = self.disk.failure == Failure::ShortWrite && !was_full && result.is_err() && bytes.len() > 1;
        if is_short { self.file.write(&bytes[..bytes.len() / 2]) } else { result }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for FailingFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.other(|| self.file.sync())
    }
}

struct FailingReads {
    disk: FailingDisk,
    file: Arc<dyn ReadAt>,
}

impl ReadAt for FailingReads {
    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.disk.other(|| self.file.read_at(offset, length))
    }
}
