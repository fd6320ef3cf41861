//! A bucket in memory for tests: it can be cut off, and it can break the promises of one.

use super::Bucket;
use crate::disk::{Listed, Stat};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a bucket does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flaw {
    #[default]
    None,
    /// It replaces what is there.
    IgnoresCondition,
    /// It says that it replaced what is there, and did not.
    AcceptsAndKeeps,
    /// It looks, waits, then writes.
    LetsRacersWin,
    /// It lists nothing.
    ListsLate,
    /// It keeps what is deleted, as an earlier version.
    KeepsVersions,
}

/// See the module. Clones are one bucket.
#[derive(Clone, Default)]
pub(crate) struct MemoryBucket {
    held: Arc<Mutex<Held>>,
    flaw: Flaw,
}

#[derive(Default)]
struct Held {
    objects: BTreeMap<String, (Bytes, Timestamp)>,
    /// How far the bucket's clock is ahead.
    ahead: SignedDuration,
    /// Requests until it is cut off.
    left: Option<u64>,
    /// Requests that do what they are asked for, and fail.
    deaf: BTreeSet<u64>,
    /// Requests so far.
    requests: u64,
    /// What happens before the request in so many.
    interruption: Option<(u64, Box<dyn FnOnce() + Send>)>,
    /// How long each takes.
    latency: Duration,
}

impl MemoryBucket {
    pub(crate) fn with(flaw: Flaw) -> Self {
        Self { flaw, ..Self::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.held().objects.keys().cloned().collect()
    }

    /// Fails every request after that many more.
    pub(crate) fn cut_after(&self, requests: u64) {
        self.held().left = Some(requests);
    }

    /// Answers again, and is interrupted by nobody.
    pub(crate) fn mend(&self) {
        self.held().left = None;
        self.held().deaf.clear();
        self.held().interruption = None;
    }

    /// Does what the request in so many requests asks for, and fails it.
    pub(crate) fn lose_answer_after(&self, requests: u64) {
        let mut held = self.held();
        let at = held.requests + requests;
        held.deaf.insert(at);
    }

    /// Lets somebody else act before the request in so many requests, whose own are not counted.
    pub(crate) fn interrupt_after(&self, requests: u64, act: impl FnOnce() + Send + 'static) {
        self.held().interruption = Some((requests, Box::new(act)));
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.held().requests
    }

    /// Lets every request take some time.
    pub(crate) fn slow_down(&self, latency: Duration) {
        self.held().latency = latency;
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.held().ahead += SignedDuration::try_from(time).expect("a short time");
    }

    /// Changes an object behind the back of everyone.
    pub(crate) fn overwrite(&self, key: &str, bytes: &'static [u8]) {
        self.held().objects.insert(key.to_owned(), (Bytes::from_static(bytes), Timestamp::UNIX_EPOCH));
    }

    /// Runs one request, unless the bucket is cut off.
    fn request<T>(&self, run: impl FnOnce(&mut Held) -> io::Result<T>) -> io::Result<T> {
        let latency = self.held().latency;
        std::thread::sleep(latency);
        // It asks the bucket itself.
        let interruption = self.held().take_interruption();
        if let Some(act) = interruption {
            act();
        }
        let mut held = self.held();
        held.requests += 1;
        match &mut held.left {
            Some(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(left) => *left -= 1,
            None => (),
        }
        let number = held.requests - 1;
        let done = run(&mut held);
        if held.deaf.remove(&number) { Err(io::ErrorKind::ConnectionAborted.into()) } else { done }
    }
}

impl Held {
    fn take_interruption(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        match self.interruption.take() {
            Some((0, act)) => Some(act),
            Some((left, act)) => {
                self.interruption = Some((left - 1, act));
                None
            }
            None => None,
        }
    }

    fn get(&self, key: &str) -> io::Result<&(Bytes, Timestamp)> {
        self.objects.get(key).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Bucket for MemoryBucket {
    fn put_if_absent(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        if self.flaw == Flaw::LetsRacersWin {
            let is_there = self.held().objects.contains_key(key);
            std::thread::sleep(Duration::from_millis(20));
            if is_there {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
        }
        self.request(|held| {
            let is_there = held.objects.contains_key(key);
            match self.flaw {
                Flaw::None | Flaw::ListsLate | Flaw::KeepsVersions if is_there => {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                Flaw::AcceptsAndKeeps if is_there => return Ok(()),
                _ => (),
            }
            let now = Timestamp::now().checked_add(held.ahead).expect("a time");
            held.objects.insert(key.to_owned(), (bytes, now));
            Ok(())
        })
    }

    fn upload(&self, key: &str, file: &File, size_bytes: u64) -> io::Result<()> {
        let mut bytes = vec![0; size_bytes as usize];
        file.read_exact_at(&mut bytes, 0)?;
        self.put_if_absent(key, bytes.into())
    }

    fn get(&self, key: &str) -> io::Result<Bytes> {
        self.request(|held| Ok(held.get(key)?.0.clone()))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        self.request(|held| Ok(held.get(key)?.0.slice(range.start as usize..range.end as usize)))
    }

    fn stat(&self, key: &str) -> io::Result<Option<Stat>> {
        self.request(|held| {
            let is_versioned = self.flaw == Flaw::KeepsVersions;
            let stat = |(bytes, at): &(Bytes, Timestamp)| Stat {
                size_bytes: bytes.len() as u64,
                modified: Some(*at),
                is_versioned,
            };
            Ok(held.objects.get(key).map(stat))
        })
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Listed>> {
        self.request(|held| {
            let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let below = held.objects.keys().filter_map(|key| key.strip_prefix(&prefix));
            let listed = below.map(|rest| match rest.split_once('/') {
                Some((name, _)) => Listed { name: name.to_owned(), is_dir: true },
                None => Listed { name: rest.to_owned(), is_dir: false },
            });
            let listed: BTreeSet<Listed> = listed.collect();
            Ok(if self.flaw == Flaw::ListsLate { Vec::new() } else { listed.into_iter().collect() })
        })
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        self.request(|held| {
            held.objects.remove(key);
            Ok(())
        })
    }
}
