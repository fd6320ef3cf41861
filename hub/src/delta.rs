//! Delta Lake logs of all datasets, kept current beside everything else.
//!
//! A thread looks for commits and writes what the logs lack. A push never waits for it; what it has not written when the
//! process ends, it writes at the next start.

use crate::config::{Config, DeltaDeletes};
use crate::staging::Room;
use bytes::Bytes;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use ukimet_catalog::{Beside, Catalog, Snapshot};
use ukimet_delta::{DatasetFiles, DeletedRows, LogOptions, ParquetFile, catch_up, remove_log};
use ukimet_model::{
    Dataset, DatasetId, Error, Result, SegmentRef, SnapshotId, Version, VersionNumber, VersionSelector,
};

/// How often commits are looked for: a log is behind its dataset by about this much.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long after a failure the logs that are behind are tried again; twice as long after each further one. A further
/// commit tries them at once.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long the end of the process may wait for logs that are behind.
const LAST_PASS_MAX: Duration = Duration::from_secs(2);

/// What keeps the logs current.
struct Keeper {
    catalog: Catalog,
    options: LogOptions,
    room: Room,
    ending: Arc<Ending>,
    /// The snapshot whose changes are known.
    seen: SnapshotId,
    /// Datasets whose log may lack something.
    behind: BTreeSet<DatasetId>,
    /// Those of them whose files were taken away after other hubs had written some: they are built anew.
    cleaned: BTreeSet<DatasetId>,
}

/// Until when to work, once the process is to end.
#[derive(Default)]
struct Ending {
    until: Mutex<Option<Instant>>,
    told: Condvar,
}

impl Ending {
    /// Waits, at most that long, for being told to end; until when there is time.
    fn wait(&self, max: Duration) -> Option<Instant> {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.told.wait_timeout_while(until, max, |until| until.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The thread that keeps the logs current.
pub(crate) struct DeltaLogs {
    ending: Arc<Ending>,
    keeping: JoinHandle<()>,
}

impl DeltaLogs {
    /// Starts to keep the logs current; `None` if they are not wanted. The first thing that is done is to look at all
    /// of them.
    pub(crate) fn start(catalog: &Catalog, config: &Config, room: Room) -> Option<Self> {
        let ending = Arc::<Ending>::default();
        let keeper = Keeper {
            catalog: catalog.clone(),
            options: LogOptions {
                deleted_rows: match config.delta_deletes {
                    DeltaDeletes::Vectors => DeletedRows::Vectors,
                    DeltaDeletes::Rewritten => DeletedRows::Rewritten,
                },
                checkpoint_every: config.delta_checkpoint_every,
            },
            room,
            ending: Arc::clone(&ending),
            seen: SnapshotId(0),
            behind: BTreeSet::new(),
            cleaned: BTreeSet::new(),
        };
        let keeping = || tokio::task::spawn_blocking(move || keeper.keep());
        config.delta_log.is_on().then(keeping).map(|keeping| Self { ending, keeping })
    }

    /// Lets the thread write what the logs lack and waits for its end, both not for long.
    pub(crate) async fn end(self) {
        let until = Instant::now() + LAST_PASS_MAX;
        *self.ending.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        self.ending.told.notify_all();
        if tokio::time::timeout(2 * LAST_PASS_MAX, self.keeping).await.is_err() {
            tracing::warn!("some Delta logs are behind; the next start brings them up to date");
        }
    }
}

impl Keeper {
    fn keep(mut self) {
        let (mut tried, mut pause) = (Instant::now(), RETRY_FIRST);
        loop {
            let until = self.ending.wait(LOOK_EVERY);
            let is_new = self.look();
            if !self.behind.is_empty() && (is_new || until.is_some() || tried.elapsed() >= pause) {
                self.catch_up();
                tried = Instant::now();
                pause = if is_new || self.behind.is_empty() { RETRY_FIRST } else { RETRY_MAX.min(2 * pause) };
            }
            if until.is_some() {
                return;
            }
        }
    }

    /// Notes which datasets changed; whether any did.
    fn look(&mut self) -> bool {
        let cleaned = self.catalog.take_cleaned_beside();
        let is_cleaned = !cleaned.is_empty();
        self.behind.extend(cleaned.iter().cloned());
        self.cleaned.extend(cleaned);
        let snapshot = self.catalog.snapshot();
        if snapshot.id() == self.seen {
            return is_cleaned;
        }
        let changed = snapshot.changed_since(self.seen).or_else(|error| {
            tracing::warn!(%error, "what changed is not known: all Delta logs are looked at");
            snapshot.changed_since(SnapshotId(0))
        });
        self.seen = snapshot.id();
        self.behind.extend(changed.unwrap_or_default());
        true
    }

    fn catch_up(&mut self) {
        let snapshot = self.catalog.snapshot();
        for dataset in self.behind.clone() {
            if self.ending.wait(Duration::ZERO).is_some_and(|until| Instant::now() > until) {
                return;
            }
            match self.catch_up_one(&snapshot, &dataset) {
                Ok(()) => {
                    self.behind.remove(&dataset);
                    self.cleaned.remove(&dataset);
                }
                Err(error) => tracing::warn!(%dataset, %error, "the Delta log is behind and is tried again later"),
            }
        }
    }

    fn catch_up_one(&self, snapshot: &Snapshot, id: &DatasetId) -> Result<()> {
        let (dataset, newest) = snapshot.dataset(id)?;
        let beside = snapshot.beside(&dataset);
        let newest_known = if self.catalog.is_shared() { Some(newest.number) } else { None };
        let files = Files { snapshot, id, beside, room: &self.room, newest_known };
        if self.cleaned.contains(id) {
            remove_log(&files)?;
        }
        let removed = snapshot.removals(id)?.into_iter().map(|removal| removal.version).collect();
        let done = catch_up(&files, newest.number, &removed, self.options)?;
        tracing::debug!(dataset = %id, version = %newest.number, ?done, "the Delta log is current");
        Ok(())
    }
}

/// The files of one dataset, as its log asks for them.
struct Files<'a> {
    snapshot: &'a Snapshot,
    id: &'a DatasetId,
    beside: Beside,
    room: &'a Room,
    /// Entries of later versions are of other hubs on the same store, which know more: they are passed by.
    newest_known: Option<VersionNumber>,
}

impl Files<'_> {
    /// Whether a name is of a version that is not known here yet.
    fn is_of_later_version(&self, name: &str) -> bool {
        let version = name.get(..20).and_then(|digits| digits.parse::<u64>().ok());
        self.newest_known.zip(version).is_some_and(|(newest, version)| version > newest.0)
    }
}

impl DatasetFiles for Files<'_> {
    fn version(&self, number: VersionNumber) -> Result<Version> {
        let selector = VersionSelector { dataset: self.id.clone(), version: Some(number.into()) };
        let (_, version) = self.snapshot.version(&selector)?;
        if version.layout.is_none() {
            return Ok(version);
        }
        // A compaction shows from the next version on: what a log says of a version stays so as long as it can.
        let (_, published) = self.snapshot.laid_out_as_of(SnapshotId(0)).version(&selector)?;
        Ok(if self.beside.has_files(&published.segments)? { published } else { version })
    }

    fn last_erasure(&self) -> Result<Option<SnapshotId>> {
        Ok(self.snapshot.erasures(self.id)?.last().map(|erasure| erasure.snapshot))
    }

    fn dataset(&self, version: &Version) -> Result<Dataset> {
        self.snapshot.dataset_of(self.id, version)
    }

    fn schema(&self, version: &Version) -> Result<arrow_schema::SchemaRef> {
        self.snapshot.schema(version)
    }

    fn segment(&self, segment: &SegmentRef) -> Result<ParquetFile> {
        self.beside.segment_file(segment).map(parquet_file)
    }

    fn deleted_rows(&self, segment: &SegmentRef) -> Result<RoaringBitmap> {
        Ok(self.beside.deleted_rows(segment)?.map_or_else(RoaringBitmap::new, |rows| RoaringBitmap::clone(&rows)))
    }

    fn put_live_rows(&self, segment: &SegmentRef, path: &str) -> Result<ParquetFile> {
        let (folder, name) = path.split_once('/').ok_or_else(|| Error::internal("a copy lies in a folder"))?;
        if !self.beside.names(folder)?.iter().any(|there| there == name) {
            (self.room)(segment.size_bytes)?;
            self.beside.put_live_rows(segment, path)?;
        }
        self.beside.parquet_file(path).map(parquet_file)
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let mut names = self.beside.names(folder)?;
        names.retain(|name| !self.is_of_later_version(name));
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Bytes> {
        self.beside.read(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        (self.room)(bytes.len() as u64)?;
        self.beside.put(path, bytes)
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.beside.remove(path)
    }
}

fn parquet_file(file: ukimet_catalog::ParquetFile) -> ParquetFile {
    ParquetFile { size_bytes: file.size_bytes, footer: file.footer }
}
