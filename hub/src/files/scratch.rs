//! Where files are that are not complete: how much they may be, and that nothing stays of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;
use ukimet_model::{Error, Result};

/// A folder for files that are not complete, and what the files of one export may have together.
#[derive(Clone, Debug)]
pub struct Scratch {
    dir: PathBuf,
    bytes_max: u64,
    written: Arc<AtomicU64>,
}

impl Scratch {
    /// Files below a folder, which exists, of at most so many bytes together.
    pub fn new(dir: PathBuf, bytes_max: u64) -> Self {
        Self { dir, bytes_max, written: Arc::default() }
    }

    /// Bytes that the files may have together.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Counts bytes that another library writes.
    ///
    /// # Errors
    ///
    /// `LimitReached` if there are too many.
    pub(super) fn count(&self, bytes: u64) -> Result<()> {
        if self.written.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > self.bytes_max {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// What is said if the files would have more.
    pub(super) fn too_large(&self) -> Error {
        Error::limit_reached(format!(
            "a file of this format is made before it is sent, of at most {} bytes; ask for fewer rows or columns, or for \
             .parquet, .arrow, .geojson, .ndjson or .csv",
            self.bytes_max
        ))
    }

    /// A file without a name, which nothing stays of.
    pub(super) fn file(&self) -> Result<ScratchFile> {
        let file = tempfile::tempfile_in(&self.dir).map_err(unmade)?;
        Ok(ScratchFile { file, scratch: self.clone() })
    }

    /// A folder, which goes with its owner, and after a crash when the hub starts again.
    pub(super) fn folder(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("export-").tempdir_in(&self.dir).map_err(unmade)
    }

    /// What a writer that failed says: the limit is told apart from a disk.
    pub(super) fn told(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        if self.written.load(Ordering::Relaxed) > self.bytes_max { self.too_large() } else { super::failed(error) }
    }
}

fn unmade(error: io::Error) -> Error {
    Error::unavailable("making a file for an export").caused_by(error)
}

/// A file whose bytes are counted.
#[derive(Debug)]
pub(super) struct ScratchFile {
    file: File,
    scratch: Scratch,
}

impl ScratchFile {
    /// The file, read from its beginning.
    pub(super) fn into_file(mut self) -> Result<File> {
        self.file.rewind().map_err(super::failed)?;
        Ok(self.file)
    }
}

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.scratch.count(bytes.len() as u64).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        self.file.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Read for ScratchFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for ScratchFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
