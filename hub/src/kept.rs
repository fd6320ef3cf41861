//! Streams that went out whole and were asked for again, kept as they were sent: who asks next costs no more than the sending.
//!
//! A kept stream is a file without a name. It goes with the process, when others need the room, and when rows of its dataset are
//! erased. Who asks knows what the bytes follow from and what they mean; here nobody does.

use crate::config::parse_bytes;
use crate::staging::Room;
use bytes::Bytes;
use clap::Args;
use lru::LruCache;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ukimet_model::{DatasetId, Error, Result};

/// How much is kept.
#[derive(Args, Clone, Copy, Debug)]
pub struct KeptLimits {
    /// Disk that streams of whole versions may take together that were asked for again, and are kept as they were sent; 0 for
    /// none.
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_bytes)]
    pub kept_bytes_max: u64,

    /// Streams that are kept so at most; each is an open file.
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub kept_streams_max: usize,
}

/// Streams of which is remembered that somebody asked for them.
const ASKED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// Bytes that are written at once.
const WRITTEN_BYTES: usize = 1 << 20;

/// The streams that are kept.
#[derive(Clone)]
pub struct KeptStreams(Arc<Shared>);

struct Shared {
    /// Where the files are: a folder on the disk that `room` is about.
    dir: PathBuf,
    limits: KeptLimits,
    room: Room,
    held: Mutex<Held>,
}

struct Held {
    streams: LruCache<String, Arc<KeptStream>>,
    /// Bytes of the streams and of those that are being written.
    bytes: u64,
    being_written: HashSet<String>,
    asked: LruCache<String, ()>,
    /// How often streams were forgotten.
    forgets: u64,
}

/// The bytes of a stream.
pub struct KeptStream {
    file: File,
    dataset: DatasetId,
    /// How many there are.
    pub length: u64,
    /// Whether rows of the dataset were erased since.
    is_forgotten: AtomicBool,
}

impl KeptStream {
    /// Bytes from a place on, which have to be there. Blocks.
    ///
    /// # Errors
    ///
    /// `Conflict` if rows of the dataset were erased since, as for whoever reads it from the catalog; `Unavailable` if the disk
    /// fails.
    pub fn read(&self, at: u64, length: usize) -> Result<Bytes> {
        if self.is_forgotten.load(Ordering::Acquire) {
            return Err(Error::conflict("rows of the dataset were erased while it was read: ask again"));
        }
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map(|()| bytes.into()).map_err(|e| Error::unavailable("reading a stream that was kept").caused_by(e))
    }
}

impl KeptStreams {
    /// Files in a folder that exists, on a disk that has room for more or not.
    pub fn new(dir: PathBuf, limits: KeptLimits, room: Room) -> Self {
        let held = Held {
            streams: LruCache::unbounded(),
            bytes: 0,
            being_written: HashSet::new(),
            asked: LruCache::new(ASKED_MAX),
            forgets: 0,
        };
        Self(Arc::new(Shared { dir, limits, room, held: Mutex::new(held) }))
    }

    /// The stream that a key stands for.
    pub fn get(&self, key: &str) -> Option<Arc<KeptStream>> {
        self.0.held().streams.get(key).cloned()
    }

    /// Whether a stream was asked for before; notes that it is now.
    pub fn is_asked_again(&self, key: &str) -> bool {
        self.0.held().asked.put(key.to_owned(), ()).is_some()
    }

    /// A place for a stream that is to be sent; `None` if none may be kept, somebody writes it already, or the disk has no room.
    /// What is in it must be read from now on only: rows may be erased at any time.
    pub fn keep(&self, key: &str, dataset: &DatasetId) -> Option<Keeping> {
        let KeptLimits { kept_bytes_max, kept_streams_max } = self.0.limits;
        if kept_bytes_max == 0 || kept_streams_max == 0 || (self.0.room)(0).is_err() {
            return None;
        }
        let file = tempfile::tempfile_in(&self.0.dir);
        let file = file.inspect_err(|error| tracing::warn!(%error, "a stream that goes out is not kept")).ok()?;
        let mut held = self.0.held();
        if !held.being_written.insert(key.to_owned()) {
            return None;
        }
        let counted = Counted { file, shared: Arc::clone(&self.0), key: key.to_owned(), bytes: 0 };
        let file = Some(BufWriter::with_capacity(WRITTEN_BYTES, counted));
        Some(Keeping { file, dataset: dataset.clone(), forgets: held.forgets })
    }

    /// Drops what is kept of a dataset of which rows were erased, and whatever is being written: it may have them. Who is sent
    /// one of its streams is sent no more.
    pub fn forget(&self, dataset: &DatasetId) {
        let mut held = self.0.held();
        held.forgets += 1;
        let of_it = held.streams.iter().filter(|(_, stream)| stream.dataset == *dataset);
        for key in of_it.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            let Some(stream) = held.streams.pop(&key) else { continue };
            stream.is_forgotten.store(true, Ordering::Release);
            held.bytes -= stream.length;
        }
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for further bytes, of streams that nobody asked for of late; `false` if there is none.
    fn reserve(&self, bytes: u64) -> bool {
        let mut held = self.held();
        while held.bytes.saturating_add(bytes) > self.limits.kept_bytes_max {
            if !held.drop_oldest() {
                return false;
            }
        }
        held.bytes += bytes;
        true
    }
}

impl Held {
    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.streams.pop_lru();
        self.bytes -= oldest.as_ref().map_or(0, |(_, stream)| stream.length);
        oldest.is_some()
    }
}

/// A stream that is written while it is sent. Dropped before its end, nothing stays of it.
pub struct Keeping {
    /// `None` once it cannot be kept.
    file: Option<BufWriter<Counted>>,
    dataset: DatasetId,
    forgets: u64,
}

/// A file whose bytes are taken off the room that there is.
struct Counted {
    file: File,
    shared: Arc<Shared>,
    key: String,
    bytes: u64,
}

impl Keeping {
    /// Writes what is sent. Of a stream that does not fit nothing is kept, and who sends it need not know. Blocks.
    pub fn write(&mut self, bytes: &[u8]) {
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes));
        if let Err(error) = written {
            tracing::debug!(%error, "a stream is not kept");
            self.file = None;
        }
    }

    /// Keeps the stream, of which everything was written.
    pub fn finish(self) {
        let Some(Ok(mut counted)) = self.file.map(BufWriter::into_inner) else { return };
        let Ok(file) = counted.file.try_clone() else { return };
        let shared = Arc::clone(&counted.shared);
        let mut held = shared.held();
        if held.forgets == self.forgets {
            let length = std::mem::take(&mut counted.bytes);
            let stream = KeptStream { file, dataset: self.dataset, length, is_forgotten: AtomicBool::new(false) };
            held.streams.put(counted.key.clone(), Arc::new(stream));
            if held.streams.len() > shared.limits.kept_streams_max {
                held.drop_oldest();
            }
        }
        // Before what is left of the writer goes, which counts.
        drop(held);
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.shared.reserve(bytes.len() as u64) {
            return Err(io::Error::from(io::ErrorKind::QuotaExceeded));
        }
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut held = self.shared.held();
        held.bytes -= self.bytes;
        held.being_written.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes_max: u64) -> (KeptStreams, tempfile::TempDir, DatasetId) {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = KeptLimits { kept_bytes_max: bytes_max, kept_streams_max: 4 };
        let streams = KeptStreams::new(dir.path().to_owned(), limits, Arc::new(|_| Ok(())));
        (streams, dir, "almaty/schools".parse().expect("an id"))
    }

    fn put(streams: &KeptStreams, key: &str, dataset: &DatasetId, length: usize) {
        let mut keeping = streams.keep(key, dataset).expect("a place");
        keeping.write(&vec![7; length]);
        keeping.finish();
    }

    #[test]
    fn a_stream_is_kept_as_it_was_written_and_has_no_name() {
        let (streams, dir, schools) = kept(1 << 30);
        assert!(!streams.is_asked_again("a") && streams.is_asked_again("a") && !streams.is_asked_again("b"));
        let mut keeping = streams.keep("a", &schools).expect("a place");
        let bytes: Vec<u8> = (0..3_000_000).map(|at| at as u8).collect();
        bytes.chunks(700_001).for_each(|chunk| keeping.write(chunk));
        assert!(streams.get("a").is_none() && streams.keep("a", &schools).is_none(), "somebody writes it");
        keeping.finish();
        let stream = streams.get("a").expect("kept");
        assert_eq!(stream.length, 3_000_000);
        assert_eq!(stream.read(1_999_990, 20).expect("there"), bytes[1_999_990..2_000_010]);
        assert!(stream.read(2_999_999, 2).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn what_was_asked_for_longest_ago_goes_first_and_what_never_fits_is_not_kept() {
        let (streams, _dir, schools) = kept(10_000_000);
        for key in ["a", "b", "c"] {
            put(&streams, key, &schools, 3_000_000);
        }
        assert!(streams.get("a").is_some());
        put(&streams, "d", &schools, 3_000_000);
        let left = ["a", "b", "c", "d"].map(|key| streams.get(key).is_some());
        assert_eq!(left, [true, false, true, true]);
        put(&streams, "e", &schools, 11_000_000);
        assert!(streams.get("e").is_none());
        assert!(streams.0.held().bytes <= 9_000_000, "what did not fit takes no room");
        put(&streams, "f", &schools, 9_000_000);
        assert!(streams.get("f").is_some());
        for key in ["g", "h", "i", "j"] {
            put(&streams, key, &schools, 1);
        }
        assert!(streams.get("f").is_none() && streams.get("g").is_some(), "four files at most");
        assert_eq!(streams.0.held().bytes, 4);
        let (none, _dir, _) = kept(0);
        assert!(none.keep("a", &schools).is_none());
    }

    #[test]
    fn what_is_cut_short_leaves_nothing() {
        let (streams, _dir, schools) = kept(1 << 30);
        let mut keeping = streams.keep("a", &schools).expect("a place");
        keeping.write(&vec![1; 2_000_000]);
        drop(keeping);
        assert!(streams.get("a").is_none());
        assert_eq!(streams.0.held().bytes, 0);
        put(&streams, "a", &schools, 5);
        assert!(streams.get("a").is_some());
    }

    #[test]
    fn after_rows_were_erased_nothing_of_the_dataset_is_kept_nor_what_was_being_written() {
        let (streams, _dir, schools) = kept(1 << 30);
        let roads = "almaty/roads".parse().expect("an id");
        put(&streams, "a", &schools, 5);
        put(&streams, "b", &roads, 5);
        let being_sent = streams.get("a").expect("kept");
        let mut keeping = streams.keep("c", &schools).expect("a place");
        keeping.write(b"rows");
        streams.forget(&schools);
        keeping.finish();
        let left = ["a", "b", "c"].map(|key| streams.get(key).is_some());
        assert_eq!(left, [false, true, false]);
        assert!(being_sent.read(0, 5).expect_err("forgotten").message().contains("erased"));
        assert_eq!(streams.0.held().bytes, 5);
    }

    #[test]
    fn nothing_is_kept_on_a_disk_without_room() {
        let (streams, dir, schools) = kept(1 << 30);
        let full: Room = Arc::new(|_| Err(Error::limit_reached("the disk has no room")));
        let full = KeptStreams::new(dir.path().to_owned(), streams.0.limits, full);
        assert!(full.keep("a", &schools).is_none() && streams.keep("a", &schools).is_some());
    }
}
