//! A bucket of an object store as the place of the truth: what asks it, and a disk over it and a local directory.
//!
//! Paths of the store are keys in the bucket; all others, such as scratch files, are files below a directory of the
//! node. What is written begins as a scratch file and is uploaded when it gets its key, whole or not at all. What is
//! read and named by its content is kept on the node's disk within a limit ([`cache`]).

mod cache;
mod fitness;
#[cfg(test)]
pub(crate) mod memory;
mod reading;
mod s3;
mod watched;

pub(crate) use fitness::check_fitness;
pub(crate) use s3::S3;

use crate::disk::{Disk, DiskFile, Listed, ReadAt, RealDisk, Stat};
use crate::paths;
use bytes::Bytes;
use cache::ObjectCache;
use reading::{Fetching, RemoteFile};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use watched::Watched;

/// Where a bucket is and how it is talked to. Credentials come from the environment, as for other programs (`AWS_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOptions {
    /// Its name.
    pub bucket: String,
    /// What all keys begin with; empty for nothing.
    pub prefix: String,
    /// URL of the service; `None` for that of the region.
    pub endpoint: Option<String>,
    /// Its region; `None` for that of the environment.
    pub region: Option<String>,
    /// Whether the bucket's name is in the host name and not in the path.
    pub is_virtual_hosted: bool,
    /// Whether it may be talked to without TLS.
    pub allows_http: bool,
    /// How long one request may take, and how long a failed one is repeated.
    pub request_max: Duration,
    /// How often a failed request is repeated at most.
    pub retries_max: usize,
    /// Bytes of one part of an upload; larger files, if their content names them, are uploaded in parts. At least 5 MiB.
    pub part_bytes: u64,
    /// Bytes of objects that are kept on the node's disk.
    pub cache_bytes: u64,
}

impl BucketOptions {
    /// A bucket of the region that the environment names, with limits that fit most networks.
    pub fn new(bucket: String, prefix: String) -> Self {
        Self {
            bucket,
            prefix,
            endpoint: None,
            region: None,
            is_virtual_hosted: false,
            allows_http: false,
            request_max: Duration::from_secs(30),
            retries_max: 10,
            part_bytes: 16 << 20,
            cache_bytes: 8 << 30,
        }
    }

    /// How the bucket is named in messages.
    pub fn url(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

/// What is asked of a bucket. All calls block; all are repeated within limits before they fail.
///
/// Kinds of errors: `NotFound` only if the bucket itself said that there is no such object, `AlreadyExists`,
/// `PermissionDenied`, and for everything else `ConnectionAborted`, after which nobody knows what was done.
pub(crate) trait Bucket: Send + Sync {
    /// Makes an object of bytes unless the key is taken.
    fn put_if_absent(&self, key: &str, bytes: Bytes) -> io::Result<()>;
    /// Makes an object of a file, in parts if it is large, unless the key is taken. Of several writers at the same
    /// time any may win, so it is only for keys that get the same from everyone.
    fn upload(&self, key: &str, file: &File, size_bytes: u64) -> io::Result<()>;
    /// All bytes of an object.
    fn get(&self, key: &str) -> io::Result<Bytes>;
    /// Some bytes of an object; the range lies in it and is not empty.
    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes>;
    /// What is known of an object; `None` if it is not there.
    fn stat(&self, key: &str) -> io::Result<Option<Stat>>;
    /// The names below a folder; none if there is no such folder.
    fn list(&self, folder: &str) -> io::Result<Vec<Listed>>;
    /// Takes an object away, if it is there.
    fn delete(&self, key: &str) -> io::Result<()>;
}

/// See the module.
pub(crate) struct BucketDisk {
    bucket: Arc<Watched>,
    local: RealDisk,
    dir: PathBuf,
    cache: Option<Arc<ObjectCache>>,
}

impl BucketDisk {
    /// A disk that reads every object from the bucket each time.
    pub(crate) fn new(bucket: Arc<dyn Bucket>, dir: &Path) -> Self {
        let bucket = Arc::new(Watched::new(bucket));
        Self { bucket, local: RealDisk::new(dir), dir: dir.to_owned(), cache: None }
    }

    /// A disk that keeps objects in a folder of the directory.
    pub(crate) fn caching(bucket: Arc<dyn Bucket>, dir: &Path, cache_bytes: u64) -> io::Result<Self> {
        let cache = ObjectCache::in_dir(&dir.join(paths::CACHE), cache_bytes)?;
        Ok(Self { cache: Some(Arc::new(cache)), ..Self::new(bucket, dir) })
    }

    fn upload(&self, from: &str, key: &str) -> io::Result<()> {
        let path = self.dir.join(from);
        let file = File::open(&path)?;
        if !paths::is_same_from_everyone(key) {
            return self.bucket.put_if_absent(key, std::fs::read(&path)?.into());
        }
        self.bucket.upload(key, &file, file.metadata()?.len())?;
        if let Some(cache) = self.cache.as_ref().filter(|_| paths::is_named_by_content(key)) {
            cache.keep(key, &path);
        }
        Ok(())
    }

    fn open_key(&self, key: &str) -> io::Result<RemoteFile> {
        let cache = self.cache.clone().filter(|_| paths::is_named_by_content(key));
        let bucket: Arc<dyn Bucket> = Arc::clone(&self.bucket) as _;
        RemoteFile::open(Fetching { bucket, key: key.to_owned(), cache })
    }
}

impl Disk for BucketDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        // A bucket has keys, no folders.
        if paths::is_of_store(path) { Ok(()) } else { self.local.create_dir(path) }
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        if paths::is_of_store(path) { Ok(()) } else { self.local.sync_dir(path) }
    }

    fn list(&self, path: &str) -> io::Result<Vec<Listed>> {
        if paths::is_of_store(path) { self.bucket.list(path) } else { self.local.list(path) }
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        if paths::is_of_store(path) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "an object is made of a whole file"));
        }
        Ok(Box::new(ScratchFile(self.local.create(path)?)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn ReadAt>> {
        if paths::is_of_store(path) { Ok(Arc::new(self.open_key(path)?)) } else { self.local.open(path) }
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        match (paths::is_of_store(from), paths::is_of_store(to)) {
            (false, false) => self.local.link(from, to),
            (false, true) => self.upload(from, to),
            (true, false) => self.open_key(from)?.link(&self.dir.join(to)),
            (true, true) => Err(io::Error::new(io::ErrorKind::Unsupported, "an object has one key")),
        }
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        if !paths::is_of_store(path) {
            return self.local.unlink(path);
        }
        self.bucket.delete(path)?;
        if let Some(cache) = &self.cache {
            cache.forget(path);
        }
        Ok(())
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        if paths::is_of_store(path) { Ok(()) } else { self.local.remove_dir(path) }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.local.free_bytes()
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        if !paths::is_of_store(path) || (self.cache.is_some() && paths::is_named_by_content(path)) {
            let file = self.open(path)?;
            return file.read_at(0, file.size() as usize);
        }
        self.bucket.get(path)
    }

    fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        if paths::is_of_store(path) { self.bucket.stat(path) } else { self.local.stat(path) }
    }

    fn forget_copies(&self, is_meant: &dyn Fn(&str) -> bool) -> io::Result<()> {
        self.cache.as_ref().map_or(Ok(()), |cache| cache.forget_all(is_meant))
    }

    fn unanswered(&self) -> u64 {
        self.bucket.unanswered()
    }

    fn is_shared(&self) -> bool {
        true
    }
}

/// A file that is uploaded or thrown away: it need not survive, so it is not synced.
struct ScratchFile(Box<dyn DiskFile>);

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskFile for ScratchFile {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
