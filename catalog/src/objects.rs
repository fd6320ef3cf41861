//! Immutable objects on a disk: put if absent, get, list, delete. Everything true goes through here.
//!
//! The calls are the ones an object store has too, so that a bucket can take the disk's place.

use crate::disk::{Disk, DiskFile, ReadAt, Stat, empty_dir};
use crate::paths;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest, Sha256 as Hasher};
use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use ukimet_model::{Error, ErrorKind, Result, Sha256};
use xxhash_rust::xxh3::xxh3_128;

/// The object store over one disk.
///
/// A write error whose effect on the disk is unknown (a failed fsync, a failed link) stops all further writes until
/// the catalog is opened again: what the kernel then still remembers may not be what the disk holds.
#[derive(Clone)]
pub(crate) struct Objects(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    durable_dirs: Mutex<HashSet<String>>,
    /// Hashes of the keys of the data objects that were written here: their bytes were hashed on the way.
    written: Mutex<HashSet<u128>>,
    temporaries: AtomicU64,
    stopped: OnceLock<String>,
}

/// Objects of a shared store that are looked for at the same time.
const LOOKS_MAX: usize = 16;

/// Whether a put made the object or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Created,
    Existed,
}

impl Objects {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        Self(Arc::new(Inner {
            disk,
            durable_dirs: Mutex::default(),
            written: Mutex::default(),
            temporaries: AtomicU64::new(0),
            stopped: OnceLock::new(),
        }))
    }

    /// `Unavailable` with the reason if an earlier write left the disk in an unknown state.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match self.0.stopped.get() {
            None => Ok(()),
            Some(reason) => Err(Error::unavailable(format!(
                "the catalog takes no more commits until it is opened again, because {reason}"
            ))),
        }
    }

    /// Refuses all further writes.
    pub(crate) fn stop(&self, reason: String) {
        tracing::error!(%reason, "the catalog takes no more commits");
        self.0.stopped.get_or_init(|| reason);
    }

    pub(crate) fn free_bytes(&self) -> Result<u64> {
        self.0.disk.free_bytes().map_err(|e| read_error("asking for free space", "", e))
    }

    /// Makes a directory and its ancestors, names included, durable.
    pub(crate) fn ensure_dir(&self, path: &str) -> Result<()> {
        if path.is_empty() || self.dirs().contains(path) {
            return Ok(());
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.ensure_dir(parent)?;
        match self.0.disk.create_dir(path) {
            Ok(()) => (),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => (),
            Err(e) => return Err(self.write_error("creating the directory", path, e)),
        }
        self.sync_dir(parent)?;
        self.dirs().insert(path.to_owned());
        Ok(())
    }

    fn dirs(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the object was written since the store was opened, and its bytes hashed on their way to the disk.
    pub(crate) fn was_written(&self, key: &str) -> bool {
        self.written().contains(&xxh3_128(key.as_bytes()))
    }

    fn written(&self) -> std::sync::MutexGuard<'_, HashSet<u128>> {
        self.0.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_dir(&self, path: &str) -> Result<()> {
        self.0.disk.sync_dir(path).map_err(|e| self.unknown_state("syncing the directory", path, e))
    }

    /// Writes an object durably unless its key is taken.
    pub(crate) fn put_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Put> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|e| self.write_error("writing", key, e))?;
        writer.finish()?.publish(key)
    }

    /// Writes a file that is no part of the truth, durably, unless its name is taken. A failure stops nothing.
    pub(crate) fn put_beside(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let mut writer = self.temporary()?;
        writer.write_all(bytes).map_err(|e| self.write_error("writing", key, e))?;
        writer.publish_beside(key)
    }

    /// Begins an object whose key is not known yet.
    pub(crate) fn writer(&self) -> Result<ObjectWriter> {
        self.check_writable()?;
        Ok(ObjectWriter { hasher: Some(Hasher::new()), ..self.temporary()? })
    }

    /// Begins a file outside of the truth, for reading back with [`ObjectWriter::into_spill`]. Its bytes are not hashed.
    pub(crate) fn temporary(&self) -> Result<ObjectWriter> {
        let number = self.0.temporaries.fetch_add(1, Ordering::Relaxed);
        let path = format!("{}/object-{number}", paths::SCRATCH);
        let file = self.0.disk.create(&path).map_err(|e| self.write_error("creating", &path, e))?;
        let temporary = Temporary { objects: self.clone(), path };
        Ok(ObjectWriter { temporary, file: Some(file), hasher: None, size_bytes: 0, ran_full: Arc::default() })
    }

    /// Whether other processes write to the store as well: then it can be asked again what an operation did that failed.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.disk.is_shared()
    }

    pub(crate) fn get(&self, key: &str) -> Result<Bytes> {
        self.0.disk.read(key).map_err(|e| read_error("reading", key, e))
    }

    /// As [`Objects::get`]; `None` if there is no such object.
    pub(crate) fn get_if_there(&self, key: &str) -> Result<Option<Bytes>> {
        match self.0.disk.read(key) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(read_error("reading", key, e)),
        }
    }

    /// Opens an object for range reads.
    pub(crate) fn open(&self, key: &str) -> Result<Object> {
        let file = self.0.disk.open(key).map_err(|e| read_error("opening", key, e))?;
        Ok(Object { key: Arc::from(key), file })
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool> {
        self.stat(key).map(|stat| stat.is_some())
    }

    /// The first of several objects that is not there.
    pub(crate) fn first_missing(&self, keys: &BTreeSet<String>) -> Result<Option<String>> {
        let look = |key: &&String| self.exists(key).map(|is_there| !is_there);
        if !self.is_shared() {
            return first(keys.iter(), look);
        }
        // Each look is a journey, so several are made at a time.
        let keys: Vec<&String> = keys.iter().collect();
        let looks = std::thread::scope(|scope| {
            let share = keys.len().div_ceil(LOOKS_MAX).max(1);
            let looking: Vec<_> =
                keys.chunks(share).map(|keys| scope.spawn(|| first(keys.iter().copied(), look))).collect();
            let ended = |look: std::thread::ScopedJoinHandle<'_, Result<Option<String>>>| {
                look.join().unwrap_or_else(|_| Err(Error::internal("looking for an object failed")))
            };
            looking.into_iter().map(ended).collect::<Result<Vec<_>>>()
        });
        Ok(looks?.into_iter().flatten().next())
    }

    /// What is known of an object without reading it; `None` if it is not there.
    pub(crate) fn stat(&self, key: &str) -> Result<Option<Stat>> {
        self.0.disk.stat(key).map_err(|e| read_error("opening", key, e))
    }

    /// As [`Objects::open`]; `None` if there is no such object.
    pub(crate) fn open_if_there(&self, key: &str) -> Result<Option<Object>> {
        match self.0.disk.open(key) {
            Ok(file) => Ok(Some(Object { key: Arc::from(key), file })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(read_error("opening", key, e)),
        }
    }

    /// Gives an object a second name outside of the truth, which may be removed at any time.
    pub(crate) fn link_out(&self, key: &str, to: &str) -> Result<()> {
        self.0.disk.link(key, to).map_err(|e| self.write_error("linking", to, e))
    }

    /// The names in a directory, sorted; none if there is no such directory.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<String>> {
        let mut names: Vec<String> = match self.0.disk.list(path) {
            Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(read_error("listing", path, e)),
        };
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        self.written().remove(&xxh3_128(key.as_bytes()));
        self.0.disk.unlink(key).map_err(|e| read_error("deleting", key, e))
    }

    /// Requests so far that a store elsewhere did not answer.
    pub(crate) fn unanswered(&self) -> u64 {
        self.0.disk.unanswered()
    }

    /// Removes what this machine keeps of objects of a shared store, if their keys are meant.
    pub(crate) fn forget_copies(&self, is_meant: &dyn Fn(&str) -> bool) -> Result<()> {
        self.0.disk.forget_copies(is_meant).map_err(|e| read_error("removing copies of objects in", paths::CACHE, e))
    }

    /// Removes everything in a directory that holds nothing true.
    pub(crate) fn empty_dir(&self, path: &str) -> Result<()> {
        empty_dir(self.0.disk.as_ref(), path).map_err(|e| read_error("emptying", path, e))
    }

    /// An error after which the disk holds what it held before, or a full disk, which says so itself.
    pub(crate) fn write_error(&self, doing: &str, key: &str, error: io::Error) -> Error {
        if is_full(&error) {
            let free = self.0.disk.free_bytes().unwrap_or(0);
            return Error::limit_reached(format!("{doing} {key}: the disk is full, {free} bytes are free"))
                .caused_by(error);
        }
        Error::unavailable(format!("{doing} {key} failed")).caused_by(error)
    }

    /// An error after which nobody knows what the disk holds. A shared store can be asked, so that it need not stop.
    fn unknown_state(&self, doing: &str, key: &str, error: io::Error) -> Error {
        if self.is_shared() {
            return Error::unavailable(format!("{doing} {key} failed, and it is not known whether it will be there"))
                .caused_by(error);
        }
        self.stop(format!("{doing} {key} failed: {error}"));
        Error::unavailable(format!(
            "{doing} {key} failed, so the catalog takes no more commits until it is opened again"
        ))
        .caused_by(error)
    }
}

fn first<'a>(
    keys: impl Iterator<Item = &'a String>,
    is_it: impl Fn(&&String) -> Result<bool>,
) -> Result<Option<String>> {
    for key in keys {
        if is_it(&key)? {
            return Ok(Some(key.clone()));
        }
    }
    Ok(None)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error or one of its causes is that the disk is full.
pub(crate) fn is_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(is_full) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn read_error(doing: &str, key: &str, error: io::Error) -> Error {
    let kind = if is_out_of_reach(&error) { ErrorKind::Unavailable } else { ErrorKind::Internal };
    Error::new(kind, format!("{doing} {key} failed")).caused_by(error)
}

/// Whether a store did not do what it was asked for: that says nothing about what it holds.
pub(crate) fn is_out_of_reach(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::PermissionDenied)
}

/// A name in the scratch directory that goes away with its owner.
struct Temporary {
    objects: Objects,
    path: String,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the catalog is opened.
        self.objects.0.disk.unlink(&self.path).ok();
    }
}

/// An object being written; dropped unfinished, it leaves nothing.
pub(crate) struct ObjectWriter {
    temporary: Temporary,
    file: Option<Box<dyn DiskFile>>,
    /// Of the bytes of an object; of others nobody asks.
    hasher: Option<Hasher>,
    size_bytes: u64,
    ran_full: Arc<AtomicBool>,
}

impl ObjectWriter {
    /// Tells, now or later, whether a write found the disk full: libraries in between may turn errors into text.
    pub(crate) fn ran_full(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ran_full)
    }

    /// The hash of what was written so far.
    pub(crate) fn sha256_so_far(&self) -> Sha256 {
        hash_of(self.hasher.clone())
    }

    /// Makes the bytes durable. The object has no key yet.
    pub(crate) fn finish(mut self) -> Result<FinishedObject> {
        let mut file = self.file.take().expect("a writer holds its file until it is finished");
        let objects = &self.temporary.objects;
        file.flush().map_err(|e| objects.write_error("writing", &self.temporary.path, e))?;
        file.sync().map_err(|e| objects.unknown_state("syncing", &self.temporary.path, e))?;
        Ok(FinishedObject { temporary: self.temporary, sha256: hash_of(self.hasher), size_bytes: self.size_bytes })
    }

    /// As [`ObjectWriter::finish`] and [`FinishedObject::publish`], for a file that is no part of the truth: whatever
    /// fails, the catalog goes on.
    pub(crate) fn publish_beside(mut self, key: &str) -> Result<()> {
        let objects = self.temporary.objects.clone();
        objects.check_writable()?;
        let disk = &objects.0.disk;
        let (dir, _) = key.rsplit_once('/').unwrap_or_default();
        let (parent, _) = dir.rsplit_once('/').unwrap_or_default();
        let mut file = self.file.take().expect("a writer holds its file until it is finished");
        let is_there = |done: io::Result<()>| match done {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        };
        let published = file
            .flush()
            .and_then(|()| file.sync())
            .and_then(|()| is_there(disk.create_dir(dir)))
            .and_then(|()| disk.sync_dir(parent))
            .and_then(|()| is_there(disk.link(&self.temporary.path, key)))
            .and_then(|()| disk.sync_dir(dir));
        published.map_err(|e| objects.write_error("writing", key, e))
    }

    /// The rows spilled so far, for reading back; never an object.
    pub(crate) fn into_spill(mut self) -> Result<Spill> {
        let objects = self.temporary.objects.clone();
        if let Some(mut file) = self.file.take() {
            file.flush().map_err(|e| objects.write_error("writing", &self.temporary.path, e))?;
        }
        let object = objects.open(&self.temporary.path)?;
        Ok(Spill { _temporary: self.temporary, object })
    }
}

fn hash_of(hasher: Option<Hasher>) -> Sha256 {
    Sha256(hasher.expect("whoever writes an object hashes it from its first byte").finalize().into())
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let count = file.write(bytes).inspect_err(|e| self.ran_full.store(is_full(e), Ordering::Relaxed))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..count]);
        }
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), std::io::Write::flush)
    }
}

/// Bytes that are durable and wait for their name.
pub(crate) struct FinishedObject {
    temporary: Temporary,
    pub(crate) sha256: Sha256,
    pub(crate) size_bytes: u64,
}

impl FinishedObject {
    /// Gives the object its key, durably.
    pub(crate) fn publish(self, key: &str) -> Result<Put> {
        let objects = &self.temporary.objects;
        let dir = key.rsplit_once('/').map_or("", |(dir, _)| dir);
        objects.ensure_dir(dir)?;
        let put = match objects.0.disk.link(&self.temporary.path, key) {
            Ok(()) => Put::Created,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Put::Existed,
            Err(e) if is_full(&e) => return Err(objects.write_error("linking", key, e)),
            Err(e) => return Err(objects.unknown_state("linking", key, e)),
        };
        objects.sync_dir(dir)?;
        if put == Put::Created && key.starts_with(paths::DATA) {
            objects.written().insert(xxh3_128(key.as_bytes()));
        }
        Ok(put)
    }
}

/// A scratch file being read; removed when dropped.
pub(crate) struct Spill {
    _temporary: Temporary,
    pub(crate) object: Object,
}

/// An object open for range reads.
#[derive(Clone)]
pub(crate) struct Object {
    key: Arc<str>,
    file: Arc<dyn ReadAt>,
}

impl Object {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.file.size()
    }

    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.file.read_at(offset, length).map_err(|e| read_error("reading", &self.key, e))
    }

    /// Some of its bytes, as an object of their own.
    pub(crate) fn part(&self, offset: u64, length: u64) -> Self {
        Self { key: Arc::clone(&self.key), file: Arc::new(FilePart { file: Arc::clone(&self.file), offset, length }) }
    }

    /// A reader from `offset` to the end.
    pub(crate) fn reader(&self, offset: u64) -> ObjectReader {
        ObjectReader { file: Arc::clone(&self.file), offset }
    }

    /// Hashes all bytes.
    pub(crate) fn sha256(&self) -> Result<Sha256> {
        let mut hasher = Hasher::new();
        let mut reader = self.reader(0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match reader.read(&mut buffer).map_err(|e| read_error("reading", &self.key, e))? {
                0 => return Ok(Sha256(hasher.finalize().into())),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Checks the bytes against their hash: `Internal` naming the object if they differ.
    pub(crate) fn check(&self, expected: &Sha256) -> Result<()> {
        let found = self.sha256()?;
        if found == *expected {
            return Ok(());
        }
        Err(Error::internal(format!("object {} is damaged: its bytes have sha256 {}", self.key, found.short())))
    }
}

/// Some bytes of a file.
struct FilePart {
    file: Arc<dyn ReadAt>,
    offset: u64,
    length: u64,
}

impl ReadAt for FilePart {
    fn size(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_at(self.offset + offset, length)
    }
}

/// Reads an object front to back.
pub(crate) struct ObjectReader {
    file: Arc<dyn ReadAt>,
    offset: u64,
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.size().saturating_sub(self.offset);
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = self.file.read_at(self.offset, count)?;
        buffer[..count].copy_from_slice(&bytes);
        self.offset += count as u64;
        Ok(count)
    }
}

impl io::Seek for ObjectReader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let offset = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(distance) => self.file.size().checked_add_signed(distance),
            io::SeekFrom::Current(distance) => self.offset.checked_add_signed(distance),
        };
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

impl Length for Object {
    fn len(&self) -> u64 {
        self.size_bytes()
    }
}

impl ChunkReader for Object {
    type T = io::BufReader<ObjectReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(self.reader(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.file.read_at(start, length)?)
    }
}
