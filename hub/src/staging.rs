//! Incoming bytes: where they wait until a push is finished, how far they are durable, who holds them.
//!
//! A push has a folder named by a hash of agency and push id, with the bytes, the header they belong to,
//! and a mark of how many bytes have surely reached the disk. A push that is cut resumes from the mark;
//! one that ends, well or badly, takes its folder with it.

mod header;
mod upload;

use crate::hashing::Hasher;
pub use header::PushHeader;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use ukimet_model::{DatasetId, Error, ErrorKind, PushId, Result, Sha256};
pub use upload::Upload;

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

    /// Drops unfinished pushes into a dataset; those being received are left: they are later pushes.
    ///
    /// # Errors
    ///
    /// `Internal` or `LimitReached` if a folder cannot be listed or removed.
    pub fn drop_unfinished(&self, dataset: &DatasetId) -> Result<u64> {
        let mut dropped = 0;
        for entry in fs::read_dir(&self.dir).map_err(|e| disk_error("listing staged pushes", &e))?.flatten() {
            let lock = self.lock_of(&entry.file_name().to_string_lossy());
            let Ok(_guard) = lock.try_lock() else { continue };
            let header = fs::read(entry.path().join("header.json")).ok();
            let header = header.and_then(|bytes| serde_json::from_slice::<PushHeader>(&bytes).ok());
            if header.is_some_and(|header| header.dataset == *dataset) {
                fs::remove_dir_all(entry.path()).map_err(|e| disk_error("removing a staged push", &e))?;
                dropped += 1;
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
    use ukimet_model::{DatasetMetadata, LayerSelection, PushMode};

    fn header(push_id: &str) -> PushHeader {
        PushHeader {
            push_id: push_id.parse().expect("valid"),
            dataset: "almaty/schools".parse().expect("valid"),
            mode: PushMode::Replace,
            key: None,
            delete_column: None,
            file_name: "schools.csv".to_owned(),
            media_type: None,
            crs: None,
            encoding: None,
            mapping: None,
            region: None,
            time_zone: None,
            layers: LayerSelection::Only,
            metadata: DatasetMetadata::default(),
            expected_version: None,
            size_bytes: None,
            fixes: None,
            new_major: false,
            valid_from: None,
            valid_to: None,
            dry_run: false,
            rules: None,
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
