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
use ukimet_model::{
    DatasetId, DatasetMetadata, Declarations, Error, ErrorKind, LayerSelection, PushId, PushMode, Result, Sha256,
};

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
    /// What the columns are to become: a mapping file; empty for nothing, `None` for the dataset's own.
    #[serde(default)]
    pub mapping: Option<String>,
    /// The region that the publisher declares.
    #[serde(default)]
    pub region: Option<String>,
    /// Which layers.
    pub layers: LayerSelection,
    /// Titles and so on.
    pub metadata: DatasetMetadata,
    /// The version that the publisher believes to be the newest.
    pub expected_version: Option<u64>,
    /// How many bytes will come, if known.
    pub size_bytes: Option<u64>,
    /// The push whose refused rows come back corrected.
    pub fixes: Option<PushId>,
}

impl PushHeader {
    /// What the publisher declares; which mapping is in force is told by the dataset as well.
    pub fn declared(&self) -> Declarations {
        Declarations {
            media_type: self.media_type.clone(),
            crs: self.crs.clone(),
            encoding: self.encoding.clone(),
            region: self.region.clone(),
            layers: self.layers.clone(),
            ..Declarations::default()
        }
    }

    /// Hash over everything here that decides what a push does (a file's name may decide its format); with the hash of
    /// the bytes it is the push's content.
    pub fn digest(&self, bytes: Option<&Sha256>) -> Sha256 {
        let declared = (&self.file_name, &self.media_type, &self.crs, &self.encoding);
        let deciding = (&self.dataset, self.mode, declared, &self.layers, &self.metadata, bytes);
        let text = serde_json::to_vec(&deciding).expect("a header is plain data");
        let mut hasher = Hasher::default();
        hasher.update(&text);
        // Only what is there: a push without it keeps the digest that it had before it could be said.
        let later = [
            ("region", self.region.as_deref()),
            ("mapping", self.mapping.as_deref()),
            ("fixes", self.fixes.as_ref().map(PushId::as_str)),
        ];
        for (what, text) in later.into_iter().filter_map(|(what, text)| Some((what, text?))) {
            for part in [what, text] {
                hasher.update(b"\0");
                hasher.update(part.as_bytes());
            }
        }
        hasher.finish()
    }
}

/// The folder of unfinished pushes.
#[derive(Clone)]
pub struct Staging {
    dir: PathBuf,
    limits: StagingLimits,
    room: Room,
    claims: Arc<Mutex<HashMap<String, Claim>>>,
}

/// Whether the disk has room for so many further bytes above its reserve; an error that says how much is missing.
pub type Room = Arc<dyn Fn(u64) -> Result<()> + Send + Sync>;

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
    /// Digest of the holder's header.
    header: Option<Sha256>,
    lock: Arc<tokio::sync::Mutex<()>>,
}

/// How long a new connection waits for an old one of the same push to let go.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

impl Staging {
    /// Opens the folder, dropping what is older than `limits.keep`.
    pub fn open(dir: PathBuf, limits: StagingLimits, room: Room) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|e| disk_error("making the staging folder", &e))?;
        let staging = Self { dir, limits, room, claims: Arc::default() };
        staging.drop_expired()?;
        Ok(staging)
    }

    /// Drops pushes whose last byte came longer ago than `limits.keep`; those being received are left, and one that
    /// cannot be removed does not keep the others.
    pub fn drop_expired(&self) -> Result<u64> {
        let mut dropped = 0;
        for entry in fs::read_dir(&self.dir).map_err(|e| disk_error("listing staged pushes", &e))?.flatten() {
            let lock = self.lock_of(&entry.file_name().to_string_lossy());
            // Held while the folder goes, so that nobody resumes it meanwhile.
            let Ok(_guard) = lock.try_lock() else { continue };
            if age(&entry.path()).is_none_or(|age| age <= self.limits.keep) {
                continue;
            }
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => dropped += 1,
                Err(error) => tracing::warn!(%error, "an old push was not removed"),
            }
        }
        Ok(dropped)
    }

    fn lock_of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&claims.entry(key.to_owned()).or_default().lock)
    }

    /// Takes hold of a push, new or begun; a connection that holds it is told to let go.
    ///
    /// # Errors
    ///
    /// `AlreadyUsed` if the push was begun with another header (the connection that holds it is left alone then),
    /// `LimitReached` if the announced size is too large or the disk has no room, `Unavailable` if the other
    /// connection does not let go.
    pub async fn claim(&self, header: PushHeader) -> Result<Upload> {
        if let Some(size) = header.size_bytes.filter(|size| *size > self.limits.bytes_max) {
            return Err(self.too_large(size));
        }
        (self.room)(header.size_bytes.unwrap_or(0))?;
        let key = staging_key(header.dataset.agency(), &header.push_id);
        let (lock, holder) = self.take_over(&key, &header)?;
        let guard = tokio::time::timeout(TAKEOVER_MAX, lock.lock_owned()).await.map_err(|_| {
            Error::unavailable(format!("push {} is still held by another connection, call again", header.push_id))
        })?;
        let dir = self.dir.join(&key);
        let (limits, room) = (self.limits, Arc::clone(&self.room));
        let open = move || Upload::open(dir, header, limits, room, holder, guard);
        tokio::task::spawn_blocking(open).await.map_err(|e| Error::internal("opening a push").caused_by(e))?
    }

    /// Cancels whoever holds the key with the same header and leaves a token for the new holder.
    fn take_over(&self, key: &str, header: &PushHeader) -> Result<(Arc<tokio::sync::Mutex<()>>, CancellationToken)> {
        let digest = header.digest(None);
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        claims.retain(|other, claim| other == key || Arc::strong_count(&claim.lock) > 1);
        let claim = claims.entry(key.to_owned()).or_default();
        let is_held = claim.lock.try_lock().is_err();
        if is_held && claim.header.is_some_and(|held| held != digest) {
            return Err(begun_otherwise(header, "another connection is pushing"));
        }
        claim.holder.cancel();
        claim.holder = CancellationToken::new();
        claim.header = Some(digest);
        Ok((Arc::clone(&claim.lock), claim.holder.clone()))
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
    room: Room,
    resumes: bool,
    _guard: tokio::sync::OwnedMutexGuard<()>,
}

impl Upload {
    fn open(
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

fn begun_otherwise(header: &PushHeader, by: &str) -> Error {
    Error::already_used(format!(
        "push_id {} was used: {by} another file or other declarations under it; finish that push or choose another id",
        header.push_id
    ))
}

/// How long ago the last byte of a staged push came; `None` if the clock stands before it.
fn age(path: &Path) -> Option<Duration> {
    let modified = |name: &&str| fs::metadata(path.join(name)).ok()?.modified().ok();
    let newest = ["bytes", "durable", "header.json"].iter().filter_map(modified).max();
    newest.unwrap_or(SystemTime::UNIX_EPOCH).elapsed().ok()
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
            mapping: None,
            region: None,
            layers: LayerSelection::Only,
            metadata: DatasetMetadata::default(),
            expected_version: None,
            size_bytes: None,
            fixes: None,
        }
    }

    fn staging(dir: &Path) -> Staging {
        let limits = StagingLimits { bytes_max: 100, durable_every_bytes: 10, keep: Duration::from_hours(1) };
        let room: Room = Arc::new(|bytes| match bytes {
            0..=1000 => Ok(()),
            more => Err(Error::limit_reached(format!("the disk has no room for {more} bytes"))),
        });
        Staging::open(dir.to_owned(), limits, room).expect("opens")
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
        let elsewhere = PushHeader { region: Some("KZ-75".to_owned()), ..header("p") };
        assert_eq!(staging.claim(elsewhere).await.err().expect("refused").kind(), ErrorKind::AlreadyUsed);
        let larger = PushHeader { size_bytes: Some(101), ..header("q") };
        assert_eq!(staging.claim(larger).await.err().expect("refused").kind(), ErrorKind::LimitReached);
    }

    #[tokio::test]
    async fn a_push_that_will_be_refused_leaves_the_running_one_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let staging = staging(dir.path());
        let running = staging.claim(header("p")).await.expect("new");
        let other = PushHeader { dataset: "almaty/roads".parse().expect("valid"), ..header("p") };
        assert_eq!(staging.claim(other).await.err().expect("refused").kind(), ErrorKind::AlreadyUsed);
        assert!(!running.taken_over.is_cancelled());
    }

    #[tokio::test]
    async fn bytes_need_room_on_the_disk() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut staging = staging(dir.path());
        staging.limits.bytes_max = 10_000;
        let large = PushHeader { size_bytes: Some(2000), ..header("p") };
        let error = staging.claim(large).await.err().expect("refused");
        assert_eq!((error.kind(), error.message()), (ErrorKind::LimitReached, "the disk has no room for 2000 bytes"));
        staging.limits.durable_every_bytes = 2000;
        let mut upload = staging.claim(header("q")).await.expect("said no size");
        assert_eq!(upload.append(0, &[0; 2000]).expect_err("full").kind(), ErrorKind::LimitReached);
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
