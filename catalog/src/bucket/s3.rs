//! A bucket behind the S3 protocol: the only file that names `object_store`.
//!
//! The client is asynchronous and runs on a small runtime of its own; callers wait for it on whatever thread they are.

use super::{Bucket, BucketOptions};
use crate::disk::{Listed, Stat};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, RetryConfig};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use ukimet_model::{Error, Result};

/// How long a failed request waits at first and at most before it is repeated.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Times that a put is tried of which the service says that another one is under way.
const PUTS_MAX: usize = 8;

/// See the module.
pub(crate) struct S3 {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    part_bytes: u64,
    runtime: Option<Runtime>,
}

impl S3 {
    /// Prepares to talk to a bucket; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the options or the environment do not say enough, or say `http` where it is not allowed.
    pub(crate) fn new(options: &BucketOptions) -> Result<Self> {
        let is_http = options.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        if is_http && !options.allows_http {
            return Err(Error::invalid_request(
                "the store's endpoint begins with http://, which sends rows in clear: use https://, or allow http",
            ));
        }
        let connect_max = options.request_max.min(CONNECT_MAX);
        let client = ClientOptions::new()
            .with_timeout(options.request_max)
            .with_connect_timeout(connect_max)
            .with_allow_http(options.allows_http);
        let backoff =
            BackoffConfig { init_backoff: BACKOFF_FIRST, max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: options.retries_max, retry_timeout: options.request_max };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&options.bucket)
            .with_virtual_hosted_style_request(options.is_virtual_hosted)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        }
        let unusable = |e| Error::invalid_request(format!("{} cannot be used", options.url())).caused_by(e);
        let store = builder.build().map_err(unusable)?;
        Self::over(Arc::new(store), &options.prefix, options.part_bytes)
    }

    /// The client's own bucket in memory: everything here but the wire.
    #[cfg(test)]
    pub(crate) fn in_memory(prefix: &str, part_bytes: u64) -> Self {
        Self::over(Arc::new(object_store::memory::InMemory::new()), prefix, part_bytes).expect("a runtime")
    }

    fn over(store: Arc<dyn ObjectStore>, prefix: &str, part_bytes: u64) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("bucket").enable_all().build();
        let runtime = runtime.map_err(|e| Error::unavailable("starting the bucket's client failed").caused_by(e))?;
        Ok(Self { store, prefix: prefix.to_owned(), part_bytes, runtime: Some(runtime) })
    }

    fn key(&self, key: &str) -> Key {
        let parts = [self.prefix.as_str(), key].into_iter().flat_map(|part| part.split('/'));
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// Runs a request on the client's own threads and waits for it.
    fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> object_store::Result<T> {
        let gone = || object_store::Error::Generic { store: "S3", source: "the bucket's client has ended".into() };
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        runtime.spawn(async move { sender.send(request.await).ok() });
        receiver.recv().map_err(|_| gone())?
    }

    /// `NotFound`, if it is the object that is missing and not the bucket.
    fn not_found(&self, key: &Key, error: object_store::Error) -> io::Error {
        let (store, prefix) = (Arc::clone(&self.store), key.clone());
        match self.run(async move { store.list(Some(&prefix)).take(1).try_collect::<Vec<_>>().await }) {
            Ok(_) => io::Error::new(io::ErrorKind::NotFound, error),
            Err(error) => out_of_reach(error),
        }
    }

    fn read_error(&self, key: &Key, error: object_store::Error) -> io::Error {
        match error {
            error @ object_store::Error::NotFound { .. } => self.not_found(key, error),
            error => out_of_reach(error),
        }
    }

    fn head(&self, key: &Key) -> io::Result<Option<ObjectMeta>> {
        let (store, asked) = (Arc::clone(&self.store), key.clone());
        match self.run(async move { store.head(&asked).await }).map_err(|e| self.read_error(key, e)) {
            Ok(meta) => Ok(Some(meta)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn upload_parts(&self, key: &Key, file: &File, size_bytes: u64) -> io::Result<()> {
        let (store, asked) = (Arc::clone(&self.store), key.clone());
        let mut upload = self.run(async move { store.put_multipart(&asked).await }).map_err(out_of_reach)?;
        let mut send_parts = || -> io::Result<()> {
            for start in (0..size_bytes).step_by(self.part_bytes as usize) {
                let mut part = vec![0; self.part_bytes.min(size_bytes - start) as usize];
                file.read_exact_at(&mut part, start)?;
                self.run(upload.put_part(part.into())).map_err(out_of_reach)?;
            }
            Ok(())
        };
        match send_parts() {
            Ok(()) => self.run(async move { upload.complete().await }).map(|_| ()).map_err(out_of_reach),
            // What was sent is not kept; if that cannot be said either, the bucket's own rule removes it.
            Err(error) => {
                self.run(async move { upload.abort().await }).ok();
                Err(error)
            }
        }
    }
}

impl Bucket for S3 {
    fn put_if_absent(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        let key = self.key(key);
        let mut error = None;
        for _ in 0..PUTS_MAX {
            let (store, asked, payload) = (Arc::clone(&self.store), key.clone(), bytes.clone().into());
            match self.run(async move { store.put_opts(&asked, payload, PutMode::Create.into()).await }) {
                Ok(_) => return Ok(()),
                // Some services also say so of a put that is under way and may yet fail.
                Err(e @ object_store::Error::AlreadyExists { .. }) => {
                    if self.head(&key)?.is_some() {
                        return Err(io::Error::new(io::ErrorKind::AlreadyExists, e));
                    }
                    error = Some(e);
                }
                Err(e) => return Err(out_of_reach(e)),
            }
        }
        Err(error.map_or_else(|| io::ErrorKind::ConnectionAborted.into(), out_of_reach))
    }

    fn upload(&self, key: &str, file: &File, size_bytes: u64) -> io::Result<()> {
        if size_bytes <= self.part_bytes {
            let mut bytes = vec![0; size_bytes as usize];
            file.read_exact_at(&mut bytes, 0)?;
            return self.put_if_absent(key, bytes.into());
        }
        let key = self.key(key);
        // Services ignore the condition at the end of an upload in parts.
        if self.head(&key)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.upload_parts(&key, file, size_bytes)
    }

    fn get(&self, key: &str) -> io::Result<Bytes> {
        let key = self.key(key);
        let (store, asked) = (Arc::clone(&self.store), key.clone());
        self.run(async move { store.get(&asked).await?.bytes().await }).map_err(|e| self.read_error(&key, e))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        let key = self.key(key);
        let (store, asked) = (Arc::clone(&self.store), key.clone());
        self.run(async move { store.get_range(&asked, range).await }).map_err(|e| self.read_error(&key, e))
    }

    fn stat(&self, key: &str) -> io::Result<Option<Stat>> {
        let key = self.key(key);
        let stat = |meta: ObjectMeta| {
            let at = meta.last_modified;
            let modified = Timestamp::new(at.timestamp(), at.timestamp_subsec_nanos() as i32).ok();
            Stat { size_bytes: meta.size, modified, is_versioned: meta.version.is_some() }
        };
        Ok(self.head(&key)?.map(stat))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Listed>> {
        let key = self.key(folder);
        let store = Arc::clone(&self.store);
        let found = self.run(async move { store.list_with_delimiter(Some(&key)).await }).map_err(out_of_reach)?;
        let listed = |key: &Key, is_dir| key.filename().map(|name| Listed { name: name.to_owned(), is_dir });
        let files = found.objects.iter().filter_map(|meta| listed(&meta.location, false));
        let folders = found.common_prefixes.iter().filter_map(|key| listed(key, true));
        Ok(files.chain(folders).collect())
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        let (store, key) = (Arc::clone(&self.store), self.key(key));
        match self.run(async move { store.delete(&key).await }) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(out_of_reach(e)),
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // The last owner may be on a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What an error that says nothing about one object comes to.
fn out_of_reach(error: object_store::Error) -> io::Error {
    let kind = match &error {
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, error)
}
