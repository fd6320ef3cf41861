//! The catalog: opens a store, hands out snapshots, takes pushes.

use crate::bucket::{Bucket, BucketDisk, BucketOptions, S3, check_fitness};
use crate::checkpoint;
use crate::claims::Claims;
use crate::collect::{Collected, collect_now, would_collect};
use crate::collecting::fresh_stat;
use crate::commit::{Answer, Committer};
use crate::disk::RealDisk;
use crate::follow::follow;
use crate::index::text::PastIndexes;
use crate::node::{Node, name_in};
use crate::objects::Objects;
use crate::opening::{OpeningReport, Projections, open_parts};
use crate::operation::OperationIntent;
use crate::options::CatalogOptions;
use crate::paths;
use crate::push::PushIntent;
use crate::readers::Readers;
use crate::seal::sha256;
use crate::segments::SegmentCache;
use crate::snapshot::{Snapshot, Sources};
use crate::state::StateSlot;
use crate::transaction::Transaction;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use ukimet_model::{Clock, DatasetId, DatasetUuid, Error, OperationOutcome, Result, Sha256, Version, VersionNumber};

/// Versioned state over one data directory. Cheap to clone; all clones are one catalog.
///
/// All calls block: on the disk, and commits on each other.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) shared: Arc<Shared>,
}

/// What transactions, snapshots and commits share.
pub(crate) struct Shared {
    pub(crate) objects: Objects,
    pub(crate) claims: Claims,
    pub(crate) options: CatalogOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: Arc<StateSlot>,
    pub(crate) committer: Committer,
    pub(crate) segments: Arc<SegmentCache>,
    pub(crate) readers: Readers,
    /// Held by the one collection that may run.
    pub(crate) collecting: Mutex<()>,
    /// Whether long work in the background is to end.
    is_closing: AtomicBool,
    /// Held by the one compaction that may run.
    pub(crate) compacting: Mutex<()>,
    pub(crate) past_indexes: Arc<PastIndexes>,
    pub(crate) report: OpeningReport,
    /// Who this is among the nodes on a shared store.
    pub(crate) node: Option<Node>,
    /// Datasets whose files beside the segments were removed after other nodes had written there.
    pub(crate) cleaned_beside: Mutex<BTreeSet<DatasetId>>,
    /// Hash of the catalog's identity.
    identity: Sha256,
    scratch: PathBuf,
    _lock: Option<DirectoryLock>,
}

impl Catalog {
    /// Opens the catalog in a directory; in an empty directory, or where there is none, makes an empty catalog.
    ///
    /// Projections that are missing, behind, ahead or damaged are caught up or built anew; scratch files are removed.
    /// Objects that no commit names, such as those of a push that a crash cut off, stay until
    /// [`Catalog::collect_garbage`]: opening costs no walk over what is stored.
    ///
    /// # Errors
    ///
    /// `Unavailable` if another process has the directory open, `InvalidRequest` if the store has a format that this
    /// version does not read, `Internal` naming the object if the log is damaged.
    pub fn open(dir: &Path, options: CatalogOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        create_durably(dir).map_err(|e| Error::unavailable("creating the data directory failed").caused_by(e))?;
        let lock = DirectoryLock::take(dir)?;
        let objects = Objects::new(Arc::new(RealDisk::new(dir)));
        let projections = Projections::OnDisk(dir.join(paths::PROJECTION));
        Self::open_with(objects, projections, options, clock, dir.join(paths::SCRATCH), Some(lock))
    }

    /// Opens the catalog in a bucket, which other nodes may have open as well; in an empty bucket makes an empty catalog.
    /// What this node keeps for itself, projections and copies of objects, is in the directory `dir`.
    ///
    /// The bucket is tried out first: it must give a key once, whoever asks.
    ///
    /// # Errors
    ///
    /// As [`Catalog::open`]; `InvalidRequest` if the bucket is not fit for commits, or the directory holds a catalog of
    /// its own; `Unavailable` if the bucket does not answer.
    pub fn open_bucket(
        dir: &Path,
        bucket: &BucketOptions,
        options: CatalogOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        create_durably(dir).map_err(|e| Error::unavailable("creating the node's directory failed").caused_by(e))?;
        let lock = DirectoryLock::take(dir)?;
        if dir.join(paths::FORMAT).exists() {
            let message = format!("{} holds a catalog of its own: give the node another directory", dir.display());
            return Err(Error::invalid_request(message));
        }
        let store: Arc<dyn Bucket> = Arc::new(S3::new(bucket)?);
        check_fitness(&*store, &bucket.url(), uuid::Uuid::new_v4().as_u128())?;
        let projections = Projections::OnDisk(dir.join(paths::PROJECTION));
        Self::open_node((store, bucket.cache_bytes), dir, projections, options, clock, Some(lock))
    }

    /// Opens the catalog in a bucket, of which at most some bytes are kept as copies, for the node that has the directory.
    pub(crate) fn open_node(
        (store, cache_bytes): (Arc<dyn Bucket>, u64),
        dir: &Path,
        projections: Projections,
        options: CatalogOptions,
        clock: Arc<dyn Clock>,
        lock: Option<DirectoryLock>,
    ) -> Result<Self> {
        let disk = BucketDisk::caching(store, dir, cache_bytes)
            .map_err(|e| Error::unavailable("opening the copies of objects failed").caused_by(e))?;
        let objects = Objects::new(Arc::new(disk));
        let scratch = (dir.join(paths::SCRATCH), lock);
        let name = name_in(dir, uuid::Uuid::new_v4().as_u128())?;
        let catalog = Self::open_as(Some(name), objects, projections, options, clock, scratch)?;
        let fresh = fresh_stat(&catalog.shared.objects, uuid::Uuid::new_v4().as_u128())?;
        if fresh.is_some_and(|stat| stat.is_versioned) {
            tracing::warn!("the store keeps deleted objects as earlier versions: rows that are erased stay in these");
        }
        Ok(catalog)
    }

    /// Opens a catalog over any disk and with any projections.
    pub(crate) fn open_with(
        objects: Objects,
        projections: Projections,
        options: CatalogOptions,
        clock: Arc<dyn Clock>,
        scratch: PathBuf,
        lock: Option<DirectoryLock>,
    ) -> Result<Self> {
        Self::open_as(None, objects, projections, options, clock, (scratch, lock))
    }

    fn open_as(
        node: Option<String>,
        objects: Objects,
        projections: Projections,
        options: CatalogOptions,
        clock: Arc<dyn Clock>,
        (scratch, lock): (PathBuf, Option<DirectoryLock>),
    ) -> Result<Self> {
        let opened = open_parts(&objects, projections, &options, node)?;
        let segments = Arc::new(SegmentCache::new(objects.clone(), options.rtree_cache_bytes));
        let shared = Shared {
            claims: Claims::new(objects.clone()).telling(Arc::clone(&segments)),
            clock,
            state: Arc::new(opened.state),
            committer: Committer::new(opened.turn),
            segments,
            readers: Readers::new(opened.published),
            collecting: Mutex::default(),
            is_closing: AtomicBool::new(false),
            compacting: Mutex::default(),
            past_indexes: Arc::new(PastIndexes::new(options.past_indexes_max)),
            report: opened.report,
            node: opened.node,
            cleaned_beside: Mutex::default(),
            identity: opened.identity,
            scratch,
            objects,
            options,
            _lock: lock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The state as of the newest commit. Cheap.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Begins to take in a push.
    ///
    /// # Errors
    ///
    /// `AlreadyUsed` if the push id was used for other content, `LimitReached` if less than the reserve is free on
    /// the disk, `Unavailable` after a disk failure or when the catalog is closed.
    pub fn begin(&self, push: PushIntent) -> Result<Transaction> {
        Transaction::begin(Arc::clone(&self.shared), push)
    }

    /// Does something to a dataset without a push. Blocks until it is durable and visible.
    ///
    /// Answers the outcome, whether it is that of an equal operation that was committed before, and the snapshot that
    /// shows it.
    ///
    /// # Errors
    ///
    /// `NotFound` for a dataset, version or tag that is not there, `AlreadyUsed` for an id that was used for something
    /// else or a tag that another version has, `Conflict` if the caller built on another version, `InvalidRequest` for a
    /// rule that keeps nothing or an empty note, `LimitReached` for too many tags or notes, or too long ones, or a full
    /// disk, `Unavailable` after a disk failure or when the catalog is closed.
    pub fn operate(&self, intent: OperationIntent) -> Result<(OperationOutcome, bool, Snapshot)> {
        let snapshot = self.snapshot();
        if let Some(record) = snapshot.operation(intent.dataset.agency(), &intent.id)? {
            return Ok((intent.replay(record)?, true, snapshot));
        }
        match self.shared.committer.commit(&self.shared, intent)? {
            Answer::Recorded(outcome, snapshot) => Ok((outcome.of_operation()?, false, snapshot)),
            Answer::Replayed(outcome, snapshot) => Ok((outcome.of_operation()?, true, snapshot)),
            Answer::Moved => Err(Error::internal("an operation was asked to prepare again")),
        }
    }

    /// Removes the objects that no version that is kept, no push and no reader needs, while the catalog is at work.
    ///
    /// What anybody reads, and what a push under way relies on, stays. Answers what was removed. Costs a walk over all
    /// that is stored.
    ///
    /// # Errors
    ///
    /// `Unavailable` after a disk failure, while another collection runs, or once the catalog is closed.
    pub fn collect_garbage(&self) -> Result<Collected> {
        collect_now(&self.shared)
    }

    /// What [`Catalog::collect_garbage`] would remove now; nothing is changed.
    pub fn garbage(&self) -> Result<Collected> {
        self.garbage_without(&[])
    }

    /// What [`Catalog::collect_garbage`] would remove if these versions were removed now; nothing is changed.
    ///
    /// Where several nodes share a store the objects of removed versions stay for their readers for some time; they are
    /// counted all the same.
    pub fn garbage_without(&self, removed: &[(DatasetId, Vec<VersionNumber>)]) -> Result<Collected> {
        would_collect(&self.shared, removed)
    }

    /// The checkpoints that are damaged, by name: opening passes over them, at the cost of the commits in between.
    /// Reads all of them.
    pub fn damaged_checkpoints(&self) -> Result<Vec<String>> {
        checkpoint::damaged(&self.shared.objects)
    }

    /// What was found and done when the catalog was opened.
    pub fn opening(&self) -> &OpeningReport {
        &self.shared.report
    }

    /// A directory for files that need not survive: emptied when the catalog is opened.
    ///
    /// Names that begin with `object-` are the catalog's own.
    pub fn scratch_dir(&self) -> &Path {
        &self.shared.scratch
    }

    /// Bytes that are free on the disk.
    pub fn free_bytes(&self) -> Result<u64> {
        self.shared.objects.free_bytes()
    }

    /// Takes no more commits, ends a collection that runs, and writes a checkpoint. Reads go on. The projections need no farewell: what they have
    /// not written by then, they catch up when they are opened.
    ///
    /// The directory is free for another process once all clones and snapshots are dropped.
    pub fn close(&self) -> Result<()> {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        let mut turn = self.shared.committer.turn(&self.shared)?;
        if !turn.is_closed {
            turn.is_closed = true;
            if turn.checkpointed < self.shared.state.watermark().sequence {
                self.shared.write_checkpoint();
            }
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The settings that it was opened with.
    pub fn options(&self) -> &CatalogOptions {
        &self.shared.options
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.readers.newest(), Sources::of(self))
    }

    /// `Unavailable` once the catalog is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closing.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the catalog is closed"));
        }
        Ok(())
    }

    /// `LimitReached` below the disk reserve, `Unavailable` after a disk failure.
    pub(crate) fn check_takes_commits(&self) -> Result<()> {
        self.objects.check_writable()?;
        let (free, reserve) = (self.objects.free_bytes()?, self.options.disk_reserve_bytes);
        if free >= reserve {
            return Ok(());
        }
        Err(Error::limit_reached(format!("{free} bytes are free on the disk, {reserve} are kept in reserve")))
    }

    /// The newest version of a dataset in the newest snapshot.
    pub(crate) fn newest_version(&self, dataset: &DatasetId) -> Result<Option<Version>> {
        let sequence = self.snapshot().id().0;
        self.state.read(sequence, |view| view.newest_version(dataset))
    }

    /// The commit of a dataset's last erasure; 0 for none.
    pub(crate) fn last_erasure(&self, dataset: &DatasetId) -> Result<u64> {
        let sequence = self.snapshot().id().0;
        self.state.read(sequence, |view| view.last_erasure(dataset))
    }

    /// The folder name of a dataset. One that does not exist yet gets the same one from whoever asks, so that pushes
    /// that create it at the same time write to one folder.
    pub(crate) fn uuid_of(&self, dataset: &DatasetId) -> DatasetUuid {
        let sequence = self.state.watermark().sequence;
        if let Ok(Some(dataset)) = self.state.read(sequence, |view| view.dataset(dataset)) {
            return dataset.uuid;
        }
        let hash = sha256(format!("{} {dataset}", self.identity).as_bytes());
        let bits = hash.0.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte));
        DatasetUuid::from_random(bits)
    }

    /// Applies what other nodes have committed.
    pub(crate) fn follow(self: &Arc<Self>) -> Result<()> {
        if self.objects.is_shared() {
            follow(self, &mut *self.committer.turn(self)?)?;
        }
        Ok(())
    }

    /// Writes a checkpoint. It is not the truth, so a failure is only told.
    pub(crate) fn write_checkpoint(&self) {
        let watermark = self.state.watermark();
        let written = self.state.read_pairs(|pairs| Ok(checkpoint::write(&self.objects, pairs, &watermark)));
        if let Err(error) = written.and_then(|written| written) {
            tracing::warn!(%error, "no checkpoint was written; the next commit that is due for one tries again");
        }
    }
}

/// Makes a directory and its ancestors; the names of those that were missing become durable.
pub(crate) fn create_durably(dir: &Path) -> std::io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let missing: Vec<&Path> = dir.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    std::fs::create_dir_all(&dir)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(|parent| File::open(parent)?.sync_all())
}

/// Holds a data directory for one process.
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let failed = |e| Error::unavailable("locking the data directory failed").caused_by(e);
        let path = dir.join(paths::LOCK);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                let pid = std::process::id().to_string();
                file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(failed)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(Error::unavailable(in_use(&mut file)).caused_by(DirectoryInUse)),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

/// The cause of the error for a data directory that another process has.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryInUse;

impl fmt::Display for DirectoryInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one process at a time may have it open")
    }
}

impl std::error::Error for DirectoryInUse {}

fn in_use(file: &mut File) -> String {
    let mut pid = String::new();
    // The holder may be about to write its number.
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut pid));
    match read.ok().and_then(|_| pid.trim().parse::<u32>().ok()) {
        Some(pid) => format!("data directory is in use by pid {pid}"),
        None => "data directory is in use by another process".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
