//! The bytes of one push: appended, made durable, checked when they are complete.

use super::{PushHeader, Room, StagingLimits, begun_otherwise, disk_error};
use crate::hashing::Hasher;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use ukimet_model::{Error, Result, Sha256};

/// One push that is being received, held by one connection.
pub struct Upload {
    /// What the push says about itself.
    pub header: PushHeader,
    /// Cancelled when another connection takes the push over.
    pub taken_over: CancellationToken,
    dir: PathBuf,
    bytes: File,
    mark: File,
    offset: u64,
    durable: u64,
    hasher: Hasher,
    limits: StagingLimits,
    room: Room,
    resumes: bool,
    _guard: tokio::sync::OwnedMutexGuard<()>,
}

impl Upload {
    pub(super) fn open(
        dir: PathBuf,
        header: PushHeader,
        limits: StagingLimits,
        room: Room,
        taken_over: CancellationToken,
        guard: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<Self> {
        let io = |e: io::Error| disk_error("opening a staged push", &e);
        fs::create_dir_all(&dir).map_err(io)?;
        check_header(&dir, &header)?;
        let open = |name: &str| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(name)).map_err(io)
        };
        let (mut bytes, mark) = (open("bytes")?, open("durable")?);
        // The names must survive a power cut as well as what is in the files.
        for folder in [dir.as_path(), dir.parent().unwrap_or(&dir)] {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        let durable = read_mark(&mark).min(bytes.metadata().map_err(io)?.len());
        bytes.set_len(durable).map_err(io)?;
        let hasher = hash_file(&mut bytes).map_err(io)?;
        Ok(Self {
            header,
            taken_over,
            dir,
            bytes,
            mark,
            offset: durable,
            durable,
            hasher,
            limits,
            room,
            resumes: true,
            _guard: guard,
        })
    }

    /// Whether a later call goes on where this one was cut.
    pub fn resumes(&self) -> bool {
        self.resumes
    }

    /// Forgets the bytes so far, for a way in that does not resume: a cut drops its bytes.
    pub fn restart(&mut self) -> Result<()> {
        self.resumes = false;
        let io = |e: io::Error| disk_error("beginning a push again", &e);
        self.bytes.set_len(0).map_err(io)?;
        self.bytes.seek(SeekFrom::Start(0)).map_err(io)?;
        (self.offset, self.durable, self.hasher) = (0, 0, Hasher::default());
        Ok(())
    }

    /// Where the next byte goes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends bytes; answers with the new durable offset when one was reached.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if `offset` is not where the bytes end, `LimitReached` if the file grows too large or
    /// the disk is full.
    pub fn append(&mut self, offset: u64, data: &[u8]) -> Result<Option<u64>> {
        if offset != self.offset {
            return Err(Error::invalid_request(format!(
                "a chunk at offset {} was expected, found {offset}",
                self.offset
            )));
        }
        let end = self.offset + data.len() as u64;
        if end > self.limits.bytes_max {
            return Err(Error::limit_reached(format!("a push has at most {} bytes", self.limits.bytes_max)));
        }
        self.bytes.write_all(data).map_err(|e| disk_error("keeping the bytes of a push", &e))?;
        self.hasher.update(data);
        self.offset = end;
        if end - self.durable < self.limits.durable_every_bytes {
            return Ok(None);
        }
        (self.room)(self.limits.durable_every_bytes)?;
        self.sync().map(Some)
    }

    /// Makes every byte so far durable, then marks it.
    pub fn sync(&mut self) -> Result<u64> {
        let io = |e: io::Error| disk_error("making a push durable", &e);
        self.bytes.sync_data().map_err(io)?;
        self.mark.write_all_at(&self.offset.to_le_bytes(), 0).map_err(io)?;
        self.mark.sync_data().map_err(io)?;
        self.durable = self.offset;
        Ok(self.durable)
    }

    /// Checks that the file is complete; its hash is then known.
    ///
    /// # Errors
    ///
    /// `DataLoss` naming both sizes or both digests.
    pub fn check(&self, sha256: &Sha256, size_bytes: u64) -> Result<()> {
        let declared = [Some(size_bytes), self.header.size_bytes];
        if let Some(declared) = declared.into_iter().flatten().find(|declared| *declared != self.offset) {
            return Err(Error::data_loss(format!("declared {declared} bytes, received {}", self.offset)));
        }
        let found = self.sha256();
        if found != *sha256 {
            return Err(Error::data_loss(format!(
                "declared sha256 {}, received bytes have {}",
                sha256.short(),
                found.short()
            )));
        }
        Ok(())
    }

    /// Hash of the bytes so far.
    pub fn sha256(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// The file with the bytes.
    pub fn path(&self) -> PathBuf {
        self.dir.join("bytes")
    }

    /// Removes everything: the push has ended.
    pub fn discard(mut self) {
        self.resumes = false;
    }
}

impl Drop for Upload {
    /// Keeps the bytes of a push that may be resumed, removes those of any other.
    fn drop(&mut self) {
        if self.resumes {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(push = %self.header.push_id, %error, "the bytes of an ended push were not removed");
        }
    }
}

/// Keeps the header of a new push; compares it for one that was begun.
fn check_header(dir: &Path, header: &PushHeader) -> Result<()> {
    let path = dir.join("header.json");
    let begun: Option<PushHeader> = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    match begun {
        Some(begun) if begun.digest(None) != header.digest(None) => {
            Err(begun_otherwise(header, &format!("it was begun for {} with", begun.dataset)))
        }
        Some(_) => Ok(()),
        None => {
            let text = serde_json::to_vec(header).expect("a header is plain data");
            let written = File::create(&path).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
            written.map_err(|e| disk_error("keeping the header of a push", &e))
        }
    }
}

fn read_mark(mark: &File) -> u64 {
    let mut bytes = [0; 8];
    mark.read_exact_at(&mut bytes, 0).map_or(0, |()| u64::from_le_bytes(bytes))
}

/// Hashes a file from its start; the position is then its end.
fn hash_file(file: &mut File) -> io::Result<Hasher> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher),
            n => hasher.update(&buffer[..n]),
        }
    }
}
