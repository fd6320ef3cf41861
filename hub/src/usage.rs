//! Which programs read which columns of which datasets, when last and how often: so that a publisher learns whom a change
//! breaks.
//!
//! A small record beside the truth, never on the way of the rows: an export leaves a note in a bounded queue and goes on; a
//! full queue loses the note. Nobody is named: the program as it names itself, and the network of its address without the
//! last part. What was not seen for a while is forgotten.

mod client;
mod record;

pub use client::Client;

use jiff::Timestamp;
use record::{Reader, Record};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use ukimet_model::{Clock, DatasetId, Error, Result, SchemaBreak};

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct UsageLimits {
    /// Readers of one dataset that are remembered, so that a publisher learns whom a change breaks; 0 for none.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub usage_readers_max: usize,
    /// How long a reader is remembered after its last export.
    #[arg(long, value_name = "TIME", default_value = "2160h", value_parser = crate::config::parse_time)]
    pub usage_keep: Duration,
    /// Columns that are remembered of one reader; one that names more counts as reading all.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub usage_columns_max: usize,
}

/// Notes that wait to be written down.
const WAITING_MAX: usize = 1024;
/// How often the record is written to the disk, if it changed.
const WRITTEN_EVERY: Duration = Duration::from_secs(30);

/// What was seen of exports.
#[derive(Clone)]
pub struct Usage {
    notes: mpsc::Sender<Export>,
    seen: Arc<Seen>,
}

struct Seen {
    record: Mutex<Record>,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    limits: UsageLimits,
}

/// One export.
#[derive(Clone, Debug)]
pub struct Export {
    /// What was read.
    pub dataset: DatasetId,
    /// Which columns; `None` for all.
    pub columns: Option<Vec<String>>,
    /// Who read.
    pub client: Client,
}

/// Writes notes down; without it they wait until the queue is full.
pub struct UsageWriter {
    notes: mpsc::Receiver<Export>,
    seen: Arc<Seen>,
}

impl Usage {
    /// Reads what was remembered; a record that cannot be read is begun anew. Blocks on the disk.
    pub fn open(path: &Path, limits: UsageLimits, clock: Arc<dyn Clock>) -> (Self, UsageWriter) {
        let record = Record::read(path).unwrap_or_else(|error| {
            tracing::warn!(%error, "the record of readers is begun anew");
            Record::default()
        });
        let seen = Arc::new(Seen { record: Mutex::new(record), path: path.to_owned(), clock, limits });
        let (sender, notes) = mpsc::channel(WAITING_MAX);
        (Self { notes: sender, seen: Arc::clone(&seen) }, UsageWriter { notes, seen })
    }

    /// Takes a note of an export. Never waits.
    pub fn note(&self, export: Export) {
        if self.seen.limits.usage_readers_max > 0 {
            // A note that finds no room is lost: readers do not wait for it.
            let _ = self.notes.try_send(export);
        }
    }

    /// The readers that something breaks for, all of them if it is not known what breaks: a line each, the last that read
    /// first; a line that says so if there are none.
    pub fn readers_of(&self, dataset: &DatasetId, breaks: Option<&[SchemaBreak]>) -> Vec<String> {
        const SHOWN_MAX: usize = 20;
        let limits = &self.seen.limits;
        if limits.usage_readers_max == 0 {
            return vec!["who reads it is not recorded here".to_owned()];
        }
        let now = self.seen.clock.now();
        let record = self.seen.record.lock().unwrap_or_else(PoisonError::into_inner);
        let concerns = |reader: &&Reader| {
            reader.is_remembered(now, limits) && breaks.is_none_or(|breaks| reader.is_concerned(breaks))
        };
        let mut readers: Vec<&Reader> = record.readers(dataset).filter(concerns).collect();
        if readers.is_empty() {
            let days = limits.usage_keep.as_secs() / 86_400;
            return vec![format!("no export of these columns was seen here within {days} days")];
        }
        readers.sort_by_key(|reader| std::cmp::Reverse(reader.last));
        let more = readers.len().saturating_sub(SHOWN_MAX);
        let mut lines: Vec<String> = readers.iter().take(SHOWN_MAX).map(|reader| format!("read by {reader}")).collect();
        lines.extend((more > 0).then(|| format!("and {more} more readers")));
        lines
    }
}

impl UsageWriter {
    /// Writes notes down until nobody can leave one any more or `stop` ends, then for the last time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut is_changed = false;
        let mut due = tokio::time::interval(WRITTEN_EVERY);
        loop {
            tokio::select! {
                note = self.notes.recv() => match note {
                    Some(note) => {
                        self.seen.take(note);
                        is_changed = true;
                    }
                    None => break,
                },
                _ = due.tick() => if std::mem::take(&mut is_changed) { self.write().await },
                () = &mut stop => break,
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            self.seen.take(note);
            is_changed = true;
        }
        if is_changed {
            self.write().await;
        }
    }

    async fn write(&self) {
        let seen = Arc::clone(&self.seen);
        match tokio::task::spawn_blocking(move || seen.write()).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => tracing::warn!(%error, "the record of readers was not written"),
            Err(error) => tracing::warn!(%error, "the record of readers was not written"),
        }
    }
}

impl Seen {
    fn take(&self, export: Export) {
        let now = self.clock.now();
        self.record.lock().unwrap_or_else(PoisonError::into_inner).take(export, now, &self.limits);
    }

    /// Writes the record beside itself, then puts it in place: a reader of the file finds all of it or the one before.
    fn write(&self) -> Result<()> {
        let failed = |e: std::io::Error| Error::unavailable("writing the record of readers").caused_by(e);
        let text =
            self.record.lock().unwrap_or_else(PoisonError::into_inner).remembered(self.clock.now(), &self.limits);
        let folder = self.path.parent().ok_or_else(|| Error::internal("the record of readers has no folder"))?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.persist(&self.path).map_err(|e| failed(e.error)).map(drop)
    }
}

/// The span of time before `now` in which a reader is remembered.
fn since(now: Timestamp, limits: &UsageLimits) -> Timestamp {
    jiff::SignedDuration::try_from(limits.usage_keep)
        .ok()
        .and_then(|keep| now.checked_sub(keep).ok())
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
