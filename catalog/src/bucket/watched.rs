//! A bucket that counts the requests that it did not answer: what failed with one says nothing about what it holds.

use super::Bucket;
use crate::disk::{Listed, Stat};
use crate::objects::is_out_of_reach;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
pub(super) struct Watched {
    bucket: Arc<dyn Bucket>,
    unanswered: AtomicU64,
}

impl Watched {
    pub(super) fn new(bucket: Arc<dyn Bucket>) -> Self {
        Self { bucket, unanswered: AtomicU64::new(0) }
    }

    /// Requests so far that were not answered.
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    fn note<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        answer.inspect_err(|error| {
            self.unanswered.fetch_add(u64::from(is_out_of_reach(error)), Ordering::Relaxed);
        })
    }
}

impl Bucket for Watched {
    fn put_if_absent(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        self.note(self.bucket.put_if_absent(key, bytes))
    }

    fn upload(&self, key: &str, file: &File, size_bytes: u64) -> io::Result<()> {
        self.note(self.bucket.upload(key, file, size_bytes))
    }

    fn get(&self, key: &str) -> io::Result<Bytes> {
        self.note(self.bucket.get(key))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        self.note(self.bucket.get_range(key, range))
    }

    fn stat(&self, key: &str) -> io::Result<Option<Stat>> {
        self.note(self.bucket.stat(key))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Listed>> {
        self.note(self.bucket.list(folder))
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        self.note(self.bucket.delete(key))
    }
}
