//! Incoming bytes: where they wait until a push is finished, how far they are durable, who holds them.
//!
//! A push has a folder named by a hash of agency and push id, with the bytes, the header they belong to,
//! and a mark of how many bytes have surely reached the disk. A push that is cut resumes from the mark;
//! one that ends, well or badly, takes its folder with it.

use crate::hashing::Hasher;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use ukimet_model::error::quoted;
use ukimet_model::{DatasetId, DatasetMetadata, Error, ErrorKind, LayerSelection, PushId, PushMode, Result, Sha256};

/// What a push says about itself before its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushHeader {
    /// Chosen by the client.
    pub push_id: PushId,
    /// Where the rows go.
    pub dataset: DatasetId,
    /// How they change it.
    pub mode: PushMode,
    /// The file's name at the sender.
    pub file_name: String,
    /// The media type if the sender knows it.
    pub media_type: Option<String>,
    /// The CRS that the publisher declares.
    pub crs: Option<String>,
    /// The encoding that the publisher declares.
    pub encoding: Option<String>,
    /// Which layers.
    pub layers: LayerSelection,
    /// Titles and so on.
    pub metadata: DatasetMetadata,
    /// The version that the publisher believes to be the newest.
    pub expected_version: Option<u64>,
    /// How many bytes will come, if known.
    pub size_bytes: Option<u64>,
}

impl PushHeader {
    /// Hash over everything here that decides what a push does; with the hash of the bytes it is the push's content.
    pub fn digest(&self, bytes: Option<&Sha256>) -> Sha256 {
        let deciding = (
            &self.dataset,
            self.mode,
            (&self.media_type, &self.crs, &self.encoding),
            &self.layers,
            &self.metadata,
            bytes,
        );
        let text = serde_json::to_vec(&deciding).expect("a header is plain data");
        let mut hasher = Hasher::default();
        hasher.update(&text);
        hasher.finish()
    }
}

/// The folder of unfinished pushes.
#[derive(Clone)]
pub struct Staging {
    dir: PathBuf,
    limits: StagingLimits,
    claims: Arc<Mutex<HashMap<String, Claim>>>,
}

/// How much and how long.
#[derive(Clone, Copy, Debug)]
pub struct StagingLimits {
    /// Largest file, bytes.
    pub bytes_max: u64,
    /// Bytes between two durable marks.
    pub durable_every_bytes: u64,
    /// Age at which the bytes of an unfinished push are dropped.
    pub keep: Duration,
}

#[derive(Clone, Default)]
struct Claim {
    holder: CancellationToken,
    lock: Arc<tokio::sync::Mutex<()>>,
}

/// How long a new connection waits for an old one of the same push to let go.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

impl Staging {
    /// Opens the folder, dropping what is older than `limits.keep`.
    pub fn open(dir: PathBuf, limits: StagingLimits) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|e| disk_error("making the staging folder", &e))?;
        let staging = Self { dir, limits, claims: Arc::default() };
        staging.drop_expired()?;
        Ok(staging)
    }

    /// Drops pushes whose last byte came longer ago than `limits.keep`; those being received are left.
    pub fn drop_expired(&self) -> Result<u64> {
        let mut dropped = 0;
        for entry in fs::read_dir(&self.dir).map_err(|e| disk_error("listing staged pushes", &e))?.flatten() {
            let path = entry.path();
            let newest = ["bytes", "durable", "header.json"]
                .iter()
                .filter_map(|name| fs::metadata(path.join(name)).ok()?.modified().ok())
                .max()
                .unwrap_or(SystemTime::UNIX_EPOCH);
            let held = self.held(&entry.file_name().to_string_lossy());
            if !held && newest.elapsed().is_ok_and(|age| age > self.limits.keep) {
                fs::remove_dir_all(&path).map_err(|e| disk_error("dropping an old push", &e))?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn held(&self, key: &str) -> bool {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.get(key).is_some_and(|claim| claim.lock.try_lock().is_err())
    }

    /// Takes hold of a push, new or begun; a connection that holds it is told to let go.
    ///
    /// # Errors
    ///
    /// `AlreadyUsed` if the push was begun with another header, `LimitReached` if the announced size is too
    /// large, `Unavailable` if the other connection does not let go.
    pub async fn claim(&self, header: PushHeader) -> Result<Upload> {
        if let Some(size) = header.size_bytes.filter(|size| *size > self.limits.bytes_max) {
            return Err(self.too_large(size));
        }
        let key = staging_key(header.dataset.agency(), &header.push_id);
        let (lock, holder) = self.take_over(&key);
        let guard = tokio::time::timeout(TAKEOVER_MAX, lock.lock_owned()).await.map_err(|_| {
            Error::unavailable(format!("push {} is still held by another connection, call again", header.push_id))
        })?;
        let dir = self.dir.join(&key);
        let limits = self.limits;
        let open = move || Upload::open(dir, header, limits, holder, guard);
        tokio::task::spawn_blocking(open).await.map_err(|e| Error::internal("opening a push").caused_by(e))?
    }

    /// Cancels whoever holds the key and leaves a token for the new holder.
    fn take_over(&self, key: &str) -> (Arc<tokio::sync::Mutex<()>>, CancellationToken) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|other, claim| other == key || Arc::strong_count(&claim.lock) > 1);
        let claim = claims.entry(key.to_owned()).or_default();
        claim.holder.cancel();
        claim.holder = CancellationToken::new();
        (Arc::clone(&claim.lock), claim.holder.clone())
    }

    fn too_large(&self, size: u64) -> Error {
        Error::limit_reached(format!("a push has at most {} bytes, this one has {size}", self.limits.bytes_max))
    }
}

fn staging_key(agency: &str, push_id: &PushId) -> String {
    let mut hasher = Hasher::default();
    hasher.update(agency.as_bytes());
    hasher.update(b"\0");
    hasher.update(push_id.as_str().as_bytes());
    hasher.finish().to_string()
}

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
    _guard: tokio::sync::OwnedMutexGuard<()>,
}

impl Upload {
    fn open(
        dir: PathBuf,
        header: PushHeader,
        limits: StagingLimits,
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
        let durable = read_mark(&mark).min(bytes.metadata().map_err(io)?.len());
        bytes.set_len(durable).map_err(io)?;
        let hasher = hash_file(&mut bytes).map_err(io)?;
        Ok(Self { header, taken_over, dir, bytes, mark, offset: durable, durable, hasher, limits, _guard: guard })
    }

    /// Forgets the bytes so far, for a way in that does not resume.
    pub fn restart(&mut self) -> Result<()> {
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
    pub fn discard(self) {
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
        Some(begun) if begun.digest(None) != header.digest(None) => Err(Error::already_used(format!(
            "push_id {} was begun for {} with file {} and other declarations; finish that push or choose another id",
            header.push_id,
            begun.dataset,
            quoted(&begun.file_name)
        ))),
        Some(_) => Ok(()),
        None => {
            let text = serde_json::to_vec(header).expect("a header is plain data");
            fs::write(&path, text).map_err(|e| disk_error("keeping the header of a push", &e))
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

/// A full disk is a limit that the operator can raise; anything else is a defect of the machine.
pub fn disk_error(doing: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::LimitReached
        }
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(push_id: &str) -> PushHeader {
        PushHeader {
            push_id: push_id.parse().expect("valid"),
            dataset: "almaty/schools".parse().expect("valid"),
            mode: PushMode::Replace,
            file_name: "schools.csv".to_owned(),
            media_type: None,
            crs: None,
            encoding: None,
            layers: LayerSelection::Only,
            metadata: DatasetMetadata::default(),
            expected_version: None,
            size_bytes: None,
        }
    }

    fn staging(dir: &Path) -> Staging {
        let limits = StagingLimits { bytes_max: 100, durable_every_bytes: 10, keep: Duration::from_hours(1) };
        Staging::open(dir.to_owned(), limits).expect("opens")
    }

    fn sha256(bytes: &[u8]) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    #[tokio::test]
    async fn a_cut_push_resumes_at_its_durable_mark() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut upload = staging(dir.path()).claim(header("p")).await.expect("new");
        assert_eq!(upload.append(0, b"0123456789").expect("fits"), Some(10));
        assert_eq!(upload.append(10, b"abc").expect("fits"), None);
        drop(upload);
        let mut again = staging(dir.path()).claim(header("p")).await.expect("begun");
        assert_eq!(again.offset(), 10);
        again.append(10, b"xyz").expect("fits");
        again.check(&sha256(b"0123456789xyz"), 13).expect("complete");
    }

    #[tokio::test]
    async fn wrong_offsets_sizes_and_hashes_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut upload = staging(dir.path()).claim(header("p")).await.expect("new");
        upload.append(0, b"abc").expect("fits");
        let error = upload.append(5, b"d").expect_err("a gap");
        assert_eq!(error.message(), "a chunk at offset 3 was expected, found 5");
        assert_eq!(upload.append(3, &[0; 98]).expect_err("too large").kind(), ErrorKind::LimitReached);
        assert_eq!(upload.check(&sha256(b"abc"), 4).expect_err("short").message(), "declared 4 bytes, received 3");
        let error = upload.check(&sha256(b"abd"), 3).expect_err("other bytes");
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert!(error.message().contains(&sha256(b"abc").short()) && error.message().contains(&sha256(b"abd").short()));
    }

    #[tokio::test]
    async fn another_header_under_the_same_id_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let staging = staging(dir.path());
        drop(staging.claim(header("p")).await.expect("new"));
        let other = PushHeader { crs: Some("EPSG:28413".to_owned()), ..header("p") };
        assert_eq!(staging.claim(other).await.err().expect("refused").kind(), ErrorKind::AlreadyUsed);
        let larger = PushHeader { size_bytes: Some(101), ..header("q") };
        assert_eq!(staging.claim(larger).await.err().expect("refused").kind(), ErrorKind::LimitReached);
    }

    #[tokio::test]
    async fn a_new_connection_takes_a_push_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let staging = staging(dir.path());
        let first = staging.claim(header("p")).await.expect("new");
        let token = first.taken_over.clone();
        let waiting = tokio::spawn(async move {
            token.cancelled().await;
            drop(first);
        });
        staging.claim(header("p")).await.expect("taken over");
        waiting.await.expect("the first let go");
    }

    #[tokio::test]
    async fn old_pushes_are_dropped_and_ended_ones_leave_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut staging = staging(dir.path());
        staging.claim(header("ended")).await.expect("new").discard();
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
        drop(staging.claim(header("old")).await.expect("new"));
        assert_eq!(staging.drop_expired().expect("a folder"), 0);
        staging.limits.keep = Duration::ZERO;
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(staging.drop_expired().expect("a folder"), 1);
    }
}
