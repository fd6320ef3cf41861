//! The state projection on disk: the only file that names sled.
//!
//! sled neither syncs its files nor survives damage, so it holds nothing true: whatever is wrong with it, it is
//! thrown away and built again from checkpoint and log. To know that nothing is, all pairs are read when it is opened,
//! unless it was closed well ([`seal`]).

mod seal;

use crate::state::{Damage, Digest, KeyValue, Pair, Read, WATERMARK_KEY, Watermark, decode, each_pair};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of pairs from which on the database is opened once more when it is closed. Whoever opens it reads all of its log
/// that was written since it was opened before: then that was at the closing, which nobody waits for.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// A sled database in a directory.
pub(crate) struct SledState {
    dir: PathBuf,
    cache_bytes: u64,
    /// Bytes of pairs since it was opened.
    written_bytes: AtomicU64,
    /// There until it is closed.
    db: Option<sled::Db>,
    /// Whether its pairs are known to be whole.
    is_whole: AtomicBool,
    /// Whether its files are those that a whole one was closed with.
    is_sealed: bool,
}

impl Drop for SledState {
    #[expect(clippy::disallowed_methods, reason = "the seal syncs the files after it")]
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        let is_flushed = guarded(|| db.flush()).is_ok();
        drop(db);
        // Without a seal, all pairs are read when it is opened: slower, not worse.
        if !is_flushed || !self.is_whole.load(Ordering::Relaxed) {
            return;
        }
        let is_long = self.written_bytes.load(Ordering::Relaxed) > LOG_BYTES_MAX;
        if !is_long || open(&self.dir, self.cache_bytes).is_ok() {
            seal::make(&self.dir).unwrap_or_else(|error| tracing::debug!(%error, "the state was not sealed"));
        }
    }
}

/// Runs a call into sled; a panic in it is damage like any other.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Damage> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|e| Damage(e.to_string())),
        Err(panic) => Err(Damage(format!("sled panicked: {}", panic_text(&*panic)))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("no reason given").to_owned()
}

fn open(dir: &Path, cache_bytes: u64) -> Result<sled::Db, Damage> {
    guarded(|| sled::Config::new().path(dir).cache_capacity(cache_bytes).open())
}

impl SledState {
    /// Opens the database, making an empty one if there is none.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Damage> {
        let is_sealed = seal::take(dir);
        remove_unfinished_snapshots(dir);
        let (dir, db) = (dir.to_owned(), Some(open(dir, cache_bytes)?));
        let (written_bytes, is_whole) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self { dir, cache_bytes, written_bytes, db, is_whole, is_sealed })
    }

    /// How far the state has come, and that it is whole: known by its seal, or else every pair is read.
    pub(crate) fn check_or_trust(&self) -> Result<Option<Watermark>, Damage> {
        match self.get(WATERMARK_KEY)? {
            Some(value) if self.is_sealed => {
                self.is_whole.store(true, Ordering::Relaxed);
                decode(&value).map(Some)
            }
            _ => self.check(),
        }
    }

    /// Runs a call; after one that fails nobody knows whether the state is whole.
    fn run<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Damage> {
        let db = self.db.as_ref().ok_or_else(|| Damage("it is closed".to_owned()))?;
        guarded(|| call(db)).inspect_err(|_| self.distrust())
    }

    /// Reads every pair and compares the sum with the watermark; `None` for an empty database.
    pub(crate) fn check(&self) -> Result<Option<Watermark>, Damage> {
        let Some(value) = self.get(WATERMARK_KEY)? else {
            return if self.run(|db| db.first())?.is_none() {
                self.is_whole.store(true, Ordering::Relaxed);
                Ok(None)
            } else {
                Err(Damage("there are pairs but no watermark".to_owned()))
            };
        };
        let watermark: Watermark = decode(&value)?;
        let mut digest = Digest::default();
        each_pair(self, &mut |(key, value)| {
            digest.add(key, value);
            Ok(())
        })?;
        if digest == watermark.digest {
            self.is_whole.store(true, Ordering::Relaxed);
            return Ok(Some(watermark));
        }
        Err(Damage("the sum over all pairs is not the one in the watermark".to_owned()))
    }
}

/// A kill in the middle of sled's snapshot leaves an empty file that it takes for a damaged snapshot ever after.
fn remove_unfinished_snapshots(dir: &Path) {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let unfinished = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("snap.") && Path::new(&name).extension().is_some_and(|extension| extension == "generating")
    };
    for path in names.map(|entry| entry.path()).filter(unfinished) {
        std::fs::remove_file(path).ok();
    }
}

fn owned((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.to_vec(), value.to_vec())
}

impl Read for SledState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Damage> {
        Ok(self.run(|db| db.get(key))?.map(|value| value.to_vec()))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, Damage> {
        self.run(|db| db.range(from..=to).next_back().transpose()).map(|pair| pair.map(owned))
    }

    fn page(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Damage> {
        self.run(|db| db.range(from..to).take(limit).map(|pair| pair.map(owned)).collect())
    }
}

impl KeyValue for SledState {
    fn write(&self, pairs: &[Pair]) -> Result<(), Damage> {
        let mut batch = sled::Batch::default();
        for (key, value) in pairs {
            self.written_bytes.fetch_add((key.len() + value.len()) as u64, Ordering::Relaxed);
            batch.insert(key.as_slice(), value.as_slice());
        }
        self.run(|db| db.apply_batch(batch))
    }

    fn distrust(&self) {
        self.is_whole.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::watermark_pair;
    use ukimet_model::Sha256;

    fn open(dir: &Path) -> (SledState, Option<Watermark>) {
        let state = SledState::open(dir, 1 << 20).expect("whole");
        let watermark = state.check_or_trust().expect("whole");
        (state, watermark)
    }

    /// A state with a pair that its watermark does not know of, so that whoever reads all pairs sees it.
    fn closed_with_a_stray_pair(dir: &Path) {
        let (state, found) = open(dir);
        assert_eq!(found, None);
        let watermark = Watermark::empty(Sha256([0; 32]));
        state.write(&[watermark_pair(&watermark), (b"p/stray".to_vec(), b"{}".to_vec())]).expect("room");
    }

    #[test]
    fn a_state_that_was_closed_well_is_not_read_again_and_any_other_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let sled = dir.path().join("sled");
        closed_with_a_stray_pair(&sled);
        let (state, found) = open(&sled);
        assert!(state.is_sealed && found.is_some(), "it is trusted");
        state.distrust();
        drop(state);
        let state = SledState::open(&sled, 1 << 20).expect("whole");
        assert!(!state.is_sealed);
        assert!(state.check_or_trust().is_err(), "the stray pair is seen");
    }

    #[test]
    fn what_was_written_is_read_again_at_the_closing_and_not_at_the_opening() {
        let dir = tempfile::tempdir().expect("a directory");
        let sled = dir.path().join("sled");
        let reached = || -> Vec<_> {
            let names = std::fs::read_dir(&sled).expect("there").flatten().map(|entry| entry.file_name());
            names.filter(|name| name.to_string_lossy().starts_with("snap.")).collect()
        };
        closed_with_a_stray_pair(&sled);
        let (state, _) = open(&sled);
        let value = vec![7; LOG_BYTES_MAX as usize / 1000];
        for number in 0..1001_u32 {
            state.write(&[(number.to_be_bytes().to_vec(), value.clone())]).expect("room");
        }
        drop(state);
        let at_closing = reached();
        drop(open(&sled));
        assert_eq!(reached(), at_closing, "nothing was left to be read");
    }

    #[test]
    fn a_state_whose_files_changed_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let sled = dir.path().join("sled");
        closed_with_a_stray_pair(&sled);
        std::thread::sleep(std::time::Duration::from_millis(20));
        let db = sled.join("db");
        std::fs::write(&db, std::fs::read(&db).expect("bytes")).expect("room");
        let state = SledState::open(&sled, 1 << 20).expect("whole");
        assert!(state.check_or_trust().is_err(), "the stray pair is seen");
    }
}
