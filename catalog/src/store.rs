//! The state projection on disk: the only file that names sled.
//!
//! sled neither syncs its files nor survives damage, so it holds nothing true: whatever is wrong with it, it is
//! thrown away and built again from checkpoint and log.

use crate::state::{Damage, Digest, KeyValue, Pair, Read, WATERMARK_KEY, Watermark, decode, each_pair};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A sled database in a directory.
pub(crate) struct SledState {
    db: sled::Db,
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

impl SledState {
    /// Opens the database, making an empty one if there is none.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Damage> {
        remove_unfinished_snapshots(dir);
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes);
        guarded(|| config.open()).map(|db| Self { db })
    }

    /// Reads every pair and compares the sum with the watermark; `None` for an empty database.
    pub(crate) fn check(&self) -> Result<Option<Watermark>, Damage> {
        let Some(value) = self.get(WATERMARK_KEY)? else {
            return if guarded(|| self.db.first())?.is_none() {
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
        Ok(guarded(|| self.db.get(key))?.map(|value| value.to_vec()))
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, Damage> {
        guarded(|| self.db.range(from..=to).next_back().transpose()).map(|pair| pair.map(owned))
    }

    fn page(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Damage> {
        guarded(|| self.db.range(from..to).take(limit).map(|pair| pair.map(owned)).collect())
    }
}

impl KeyValue for SledState {
    fn write(&self, pairs: &[Pair]) -> Result<(), Damage> {
        let mut batch = sled::Batch::default();
        for (key, value) in pairs {
            batch.insert(key.as_slice(), value.as_slice());
        }
        guarded(|| self.db.apply_batch(batch))
    }
}
