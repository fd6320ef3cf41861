//! Where a store is: in a directory, or in a bucket.

use crate::bucket::{Bucket, BucketDisk, BucketOptions, S3, check_fitness};
use crate::disk::RealDisk;
use crate::objects::Objects;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use ukimet_model::{Error, Result};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket.
    Bucket(Box<BucketOptions>),
}

impl From<&Path> for Place {
    fn from(dir: &Path) -> Self {
        Self::Directory(dir.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(dir: &PathBuf) -> Self {
        dir.as_path().into()
    }
}

impl From<BucketOptions> for Place {
    fn from(bucket: BucketOptions) -> Self {
        Self::Bucket(Box::new(bucket))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => dir.display().fmt(f),
            Self::Bucket(bucket) => f.write_str(&bucket.url()),
        }
    }
}

/// A store open for a check or a copy.
pub(crate) struct OpenPlace {
    pub(crate) objects: Objects,
    /// Where scratch files are that a bucket's objects begin as.
    _scratch: Option<TempDir>,
}

impl Place {
    /// Opens the store without a catalog over it: every read is of the store itself, never of a copy.
    pub(crate) fn open(&self) -> Result<OpenPlace> {
        match self {
            Self::Directory(dir) => {
                Ok(OpenPlace { objects: Objects::new(Arc::new(RealDisk::new(dir))), _scratch: None })
            }
            Self::Bucket(options) => {
                let failed = |e| Error::unavailable("making a directory for scratch files failed").caused_by(e);
                let (store, scratch) = (S3::new(options)?, TempDir::new().map_err(failed)?);
                let disk = BucketDisk::new(Arc::new(store), scratch.path());
                Ok(OpenPlace { objects: Objects::new(Arc::new(disk)), _scratch: Some(scratch) })
            }
        }
    }

    /// As [`Place::open`], for writing: a bucket is tried out first.
    pub(crate) fn open_for_writing(&self) -> Result<OpenPlace> {
        if let Self::Bucket(options) = self {
            let store: Arc<dyn Bucket> = Arc::new(S3::new(options)?);
            check_fitness(&*store, &options.url(), uuid::Uuid::new_v4().as_u128())?;
        }
        self.open()
    }

    /// Whether both are the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(one), Self::Directory(other)) => {
                std::path::absolute(one).ok() == std::path::absolute(other).ok()
            }
            (Self::Bucket(one), Self::Bucket(other)) => (one.url(), &one.endpoint) == (other.url(), &other.endpoint),
            _ => false,
        }
    }
}
