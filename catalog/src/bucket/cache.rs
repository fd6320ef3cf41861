//! Copies of objects on the node's disk: each is proven by its name, and all together have a limit.

use crate::contents::Proof;
use crate::disk::{ReadAt, RealFile};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An object is kept if this many of its size fit.
const SHARE: u64 = 4;
/// What files begin with that are not whole yet.
const FETCHED: &str = "fetch-";

/// Copies of objects, the ones least recently opened go first.
pub(crate) struct ObjectCache {
    dir: PathBuf,
    bytes_max: u64,
    held: Mutex<Held>,
    /// Held while an object is fetched, by a part of its name, so that it is fetched once.
    fetching: [Mutex<()>; 32],
    fetches: AtomicU64,
}

#[derive(Default)]
struct Held {
    copies: HashMap<String, Copy>,
    /// Names from the one that was opened least recently.
    ages: BTreeMap<u64, String>,
    tick: u64,
    bytes: u64,
}

struct Copy {
    size_bytes: u64,
    opened: u64,
    /// Whether its bytes were checked since the process began.
    is_proven: bool,
}

/// The name of an object's copy.
fn name_of(key: &str) -> String {
    key.replace('/', "+")
}

/// The key of the object that a copy is of.
fn key_of(name: &str) -> String {
    name.replace('+', "/")
}

impl ObjectCache {
    /// Takes over the copies that an earlier process left.
    pub(crate) fn in_dir(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut held = Held::default();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            match entry.file_name().into_string() {
                Ok(name) if !name.starts_with(FETCHED) => held.add(name, entry.metadata()?.len(), false),
                _ => std::fs::remove_file(entry.path())?,
            }
        }
        let fetching = std::array::from_fn(|_| Mutex::default());
        let cache =
            Self { dir: dir.to_owned(), bytes_max, held: Mutex::new(held), fetching, fetches: AtomicU64::new(0) };
        cache.shrink(&mut cache.held());
        Ok(cache)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an object of that size is kept.
    pub(crate) fn takes(&self, size_bytes: u64) -> bool {
        size_bytes <= self.bytes_max / SHARE
    }

    /// An object's copy; `None` if there is none or it is damaged.
    pub(crate) fn open(&self, key: &str) -> Option<Arc<dyn ReadAt>> {
        let name = name_of(key);
        let is_proven = self.held().touch(&name)?;
        let path = self.dir.join(&name);
        if !is_proven && !is_whole(key, &path) {
            tracing::warn!(object = key, "the copy of an object is damaged and is fetched again");
            self.forget(key);
            return None;
        }
        if let Some(copy) = self.held().copies.get_mut(&name) {
            copy.is_proven = true;
        }
        Some(Arc::new(RealFile::new(File::open(path).ok()?).ok()?))
    }

    /// An object's copy, fetched by `fetch`, which checks what it writes, unless it is there.
    pub(crate) fn fetch(
        &self,
        key: &str,
        fetch: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Arc<dyn ReadAt>> {
        let slot = key.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let _turn = self.fetching[slot % self.fetching.len()].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = self.open(key) {
            return Ok(copy);
        }
        let number = self.fetches.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{FETCHED}{number}"));
        let fetched = self.fetch_as(key, &path, fetch);
        std::fs::remove_file(&path).ok();
        fetched
    }

    fn fetch_as(
        &self,
        key: &str,
        path: &Path,
        fetch: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<Arc<dyn ReadAt>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        fetch(&mut file)?;
        self.keep(key, path);
        Ok(Arc::new(RealFile::new(file)?))
    }

    /// Keeps a whole file as an object's copy, if it fits. Without it, the object is fetched when it is read.
    pub(crate) fn keep(&self, key: &str, path: &Path) {
        let Ok(size_bytes) = std::fs::metadata(path).map(|metadata| metadata.len()) else { return };
        let name = name_of(key);
        let mut held = self.held();
        if self.takes(size_bytes) && std::fs::hard_link(path, self.dir.join(&name)).is_ok() {
            held.add(name, size_bytes, true);
            self.shrink(&mut held);
        }
    }

    /// Gives an object's copy a second name; whether there is a copy.
    pub(crate) fn link(&self, key: &str, to: &Path) -> io::Result<bool> {
        match std::fs::hard_link(self.dir.join(name_of(key)), to) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes an object's copy.
    pub(crate) fn forget(&self, key: &str) {
        let name = name_of(key);
        let mut held = self.held();
        held.remove(&name);
        std::fs::remove_file(self.dir.join(name)).ok();
    }

    /// Removes the copies of all objects whose keys are meant.
    pub(crate) fn forget_all(&self, is_meant: &dyn Fn(&str) -> bool) -> io::Result<()> {
        let mut held = self.held();
        let names: Vec<String> = held.copies.keys().filter(|name| is_meant(&key_of(name))).cloned().collect();
        for name in names {
            match std::fs::remove_file(self.dir.join(&name)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => held.remove(&name),
            }
        }
        Ok(())
    }

    fn shrink(&self, held: &mut Held) {
        while held.bytes > self.bytes_max
            && let Some(name) = held.ages.values().next().cloned()
        {
            held.remove(&name);
            // Who reads it has it open.
            std::fs::remove_file(self.dir.join(name)).ok();
        }
    }
}

impl Held {
    fn add(&mut self, name: String, size_bytes: u64, is_proven: bool) {
        self.remove(&name);
        self.tick += 1;
        self.bytes += size_bytes;
        self.ages.insert(self.tick, name.clone());
        self.copies.insert(name, Copy { size_bytes, opened: self.tick, is_proven });
    }

    fn remove(&mut self, name: &str) {
        if let Some(copy) = self.copies.remove(name) {
            self.ages.remove(&copy.opened);
            self.bytes -= copy.size_bytes;
        }
    }

    /// Notes that a copy is opened; whether it is proven, `None` if there is none.
    fn touch(&mut self, name: &str) -> Option<bool> {
        let copy = self.copies.get_mut(name)?;
        self.ages.remove(&copy.opened);
        self.tick += 1;
        copy.opened = self.tick;
        self.ages.insert(self.tick, name.to_owned());
        Some(copy.is_proven)
    }
}

fn is_whole(key: &str, path: &Path) -> bool {
    let prove = || -> io::Result<bool> {
        let (mut file, mut proof, mut buffer) = (File::open(path)?, Proof::of(key), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(proof.finish().is_ok()),
                count => proof.update(&buffer[..count]),
            }
        }
    };
    prove().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::sha256;
    use std::io::Write;

    fn key(bytes: &[u8]) -> String {
        format!("data/x/{}.rtree", sha256(bytes))
    }

    fn fetch(cache: &ObjectCache, bytes: &[u8]) -> Vec<u8> {
        let copy = cache.fetch(&key(bytes), |file| file.write_all(bytes)).expect("room");
        copy.read_at(0, copy.size() as usize).expect("whole").to_vec()
    }

    #[test]
    fn what_was_opened_least_recently_goes_first_and_the_limit_holds() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = ObjectCache::in_dir(dir.path(), 40).expect("a directory");
        let objects: Vec<Vec<u8>> = (0..5).map(|n| vec![n; 10]).collect();
        for object in &objects[..4] {
            assert_eq!(fetch(&cache, object), *object);
        }
        let held = cache.open(&key(&objects[0])).expect("a copy");
        drop(cache.open(&key(&objects[2])));
        fetch(&cache, &objects[4]);
        let is_there = |n: usize| cache.open(&key(&objects[n])).is_some();
        assert_eq!([is_there(0), is_there(1), is_there(2), is_there(3), is_there(4)], [true, false, true, true, true]);
        cache.forget(&key(&objects[0]));
        assert_eq!(held.read_at(0, 10).expect("open").to_vec(), objects[0], "who reads it goes on");
        assert!(!cache.takes(11), "one object must not push out all others");
    }

    #[test]
    fn a_copy_that_was_damaged_meanwhile_is_fetched_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes = b"an object".to_vec();
        fetch(&ObjectCache::in_dir(dir.path(), 1000).expect("a directory"), &bytes);
        std::fs::write(dir.path().join(name_of(&key(&bytes))), b"an abject").expect("room");
        std::fs::write(dir.path().join("fetch-7"), b"half of one").expect("room");
        let cache = ObjectCache::in_dir(dir.path(), 1000).expect("a directory");
        assert!(cache.open(&key(&bytes)).is_none());
        assert_eq!(fetch(&cache, &bytes), bytes);
        let names = std::fs::read_dir(dir.path()).expect("a directory").count();
        assert_eq!(names, 1, "what was not fetched whole is gone");
    }
}
