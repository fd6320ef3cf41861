//! An object of a bucket being read: as a whole by way of the node's disk, or range by range.

use super::Bucket;
use super::cache::ObjectCache;
use crate::contents::Proof;
use crate::disk::ReadAt;
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Bytes of one request when a whole object is fetched.
const PIECE_BYTES: u64 = 8 << 20;

/// What it takes to fetch an object.
pub(super) struct Fetching {
    pub(super) bucket: Arc<dyn Bucket>,
    pub(super) key: String,
    /// Where the object is kept; `None` if it is not.
    pub(super) cache: Option<Arc<ObjectCache>>,
}

/// An object open for reading. Nothing is fetched before something is read.
pub(super) struct RemoteFile {
    fetching: Fetching,
    size_bytes: u64,
    /// The copy on the node's disk, once there is one.
    copy: OnceLock<Arc<dyn ReadAt>>,
}

impl RemoteFile {
    pub(super) fn open(fetching: Fetching) -> io::Result<Self> {
        if let Some(copy) = fetching.cache.as_ref().and_then(|cache| cache.open(&fetching.key)) {
            return Ok(Self { size_bytes: copy.size(), copy: OnceLock::from(copy), fetching });
        }
        let stat = fetching.bucket.stat(&fetching.key)?;
        let size_bytes = stat.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.size_bytes;
        Ok(Self { fetching, size_bytes, copy: OnceLock::new() })
    }

    /// The copy on the node's disk; `None` if the object is not kept there.
    fn copy(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        if let Some(copy) = self.copy.get() {
            return Ok(Some(Arc::clone(copy)));
        }
        let Some(cache) = self.fetching.cache.as_ref().filter(|cache| cache.takes(self.size_bytes)) else {
            return Ok(None);
        };
        let fetch = |file: &mut File| self.fetching.fetch(self.size_bytes, file);
        match cache.fetch(&self.fetching.key, fetch) {
            Ok(copy) => Ok(Some(Arc::clone(self.copy.get_or_init(|| copy)))),
            // A full disk must not keep anybody from reading.
            Err(e) if e.kind() == io::ErrorKind::StorageFull => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes a file of the object outside of the store.
    pub(super) fn link(&self, to: &Path) -> io::Result<()> {
        if self.copy()?.is_some()
            && let Some(cache) = &self.fetching.cache
            && cache.link(&self.fetching.key, to)?
        {
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(to)?;
        self.fetching.fetch(self.size_bytes, &mut file).inspect_err(|_| drop(std::fs::remove_file(to)))
    }
}

impl ReadAt for RemoteFile {
    fn size(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end = offset.saturating_add(length as u64);
        if end > self.size_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length == 0 {
            return Ok(Bytes::new());
        }
        match self.copy()? {
            Some(copy) => copy.read_at(offset, length),
            None => whole(self.fetching.bucket.get_range(&self.fetching.key, offset..end)?, length),
        }
    }
}

impl Fetching {
    /// Writes all bytes of the object and checks them against its name.
    fn fetch(&self, size_bytes: u64, to: &mut impl Write) -> io::Result<()> {
        let mut proof = Proof::of(&self.key);
        for start in (0..size_bytes).step_by(PIECE_BYTES as usize) {
            let end = size_bytes.min(start + PIECE_BYTES);
            let bytes = whole(self.bucket.get_range(&self.key, start..end)?, (end - start) as usize)?;
            proof.update(&bytes);
            to.write_all(&bytes)?;
        }
        let damaged = |reason| format!("object {} is damaged: {reason}", self.key);
        proof.finish().map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, damaged(reason)))
    }
}

/// The bytes, if they are as many as were asked for.
fn whole(bytes: Bytes, length: usize) -> io::Result<Bytes> {
    if bytes.len() == length {
        return Ok(bytes);
    }
    let message = format!("the bucket was asked for {length} bytes and sent {}", bytes.len());
    Err(io::Error::new(io::ErrorKind::ConnectionAborted, message))
}
