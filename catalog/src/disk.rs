//! The few things that the store asks of a disk, so that tests can cut the power at any of them.

use bytes::Bytes;
use jiff::Timestamp;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
pub(crate) mod counting;
#[cfg(test)]
pub(crate) mod failing;
#[cfg(test)]
pub(crate) mod recording;

/// A directory tree. Paths are relative to its root and use `/`; the root itself is the empty path.
///
/// Nothing is durable before [`DiskFile::sync`] (the bytes) and [`Disk::sync_dir`] (the names in one directory).
pub(crate) trait Disk: Send + Sync {
    /// Makes one directory; its parent exists. `AlreadyExists` if it does.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Makes a directory's entries durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// What a directory holds, in any order.
    fn list(&self, path: &str) -> io::Result<Vec<Listed>>;
    /// Makes a new file for writing. `AlreadyExists` if the name is taken.
    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading.
    fn open(&self, path: &str) -> io::Result<Arc<dyn ReadAt>>;
    /// Gives a file a second name. `AlreadyExists` if that is taken: a name is never replaced.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a name away.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Bytes that may still be written.
    fn free_bytes(&self) -> io::Result<u64>;

    /// All bytes of a file.
    fn read(&self, path: &str) -> io::Result<Bytes> {
        let file = self.open(path)?;
        file.read_at(0, file.size() as usize)
    }

    /// What is known of a file; `None` if it is not there.
    fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        match self.open(path) {
            Ok(file) => Ok(Some(Stat { size_bytes: file.size(), modified: None, is_versioned: false })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Removes what this machine keeps of objects that lie elsewhere, if their keys are meant.
    fn forget_copies(&self, _is_meant: &dyn Fn(&str) -> bool) -> io::Result<()> {
        Ok(())
    }

    /// Requests so far that a store elsewhere did not answer: what failed with one says nothing about what is there.
    fn unanswered(&self) -> u64 {
        0
    }

    /// Whether other processes write here as well. Then an operation that failed may still have its effect later, and
    /// what is there now is known only by asking again.
    fn is_shared(&self) -> bool {
        false
    }
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) size_bytes: u64,
    /// When it was written, by the clock of the store; `None` if the disk does not tell.
    pub(crate) modified: Option<Timestamp>,
    /// Whether the store keeps it as an earlier version when it is deleted.
    pub(crate) is_versioned: bool,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) is_dir: bool,
}

/// A file being written.
pub(crate) trait DiskFile: Write + Send {
    /// Makes the bytes durable. After an error nobody knows what is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read, from several threads at once.
pub(crate) trait ReadAt: Send + Sync {
    /// Bytes in the file.
    fn size(&self) -> u64;
    /// Exactly `length` bytes from `offset`. `UnexpectedEof` if there are fewer.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;
}

/// A directory of the machine.
pub(crate) struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &str) -> io::Result<()> {
        std::fs::create_dir(self.root.join(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.root.join(path))?.sync_all()
    }

    fn list(&self, path: &str) -> io::Result<Vec<Listed>> {
        let listed = |entry: io::Result<std::fs::DirEntry>| {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a file name is not UTF-8"))?;
            Ok(Listed { name, is_dir: entry.file_type()?.is_dir() })
        };
        std::fs::read_dir(self.root.join(path))?.map(listed).collect()
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(self.root.join(path))?))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(RealFile::new(File::open(self.root.join(path))?)?))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::hard_link(self.root.join(from), self.root.join(to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.root.join(path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir(self.root.join(path))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.root)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A file of the machine, open for reading: what it holds can be read even after its name is gone.
pub(crate) struct RealFile {
    file: File,
    size: u64,
}

impl RealFile {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for RealFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        // Memory that is zeroed first would be written twice.
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let at = offset + bytes.len() as u64;
            match rustix::io::pread(&self.file, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => (),
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(bytes.into())
    }
}

/// Removes everything in a directory, the directory itself stays.
pub(crate) fn empty_dir(disk: &dyn Disk, path: &str) -> io::Result<()> {
    for entry in disk.list(path)? {
        let inner = format!("{path}/{}", entry.name);
        if entry.is_dir {
            empty_dir(disk, &inner)?;
            disk.remove_dir(&inner)?;
        } else {
            disk.unlink(&inner)?;
        }
    }
    Ok(())
}
