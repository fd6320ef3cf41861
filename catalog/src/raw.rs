//! The bytes as sent: kept compressed, under the hash that they have uncompressed.

use crate::catalog::Shared;
use crate::claims::ObjectClaim;
use crate::objects::Objects;
use crate::paths;
use crate::push::PushIntent;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use ukimet_model::{Error, Result, Sha256};

/// Their compression: they are read again only to be replayed.
const RAW_ZSTD_LEVEL: i32 = 1;

/// Bytes that are compressed at once, each a frame of its own: faster than a stream, which copies them and looks for what is
/// alike in two places.
const FRAME_BYTES: usize = 4 << 20;

/// Marks the end of a stored raw file: a zstd frame that decoders skip, with the hash of everything before it, so
/// that a changed byte shows even where zstd does not look.
pub(crate) const RAW_SEAL: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 32, 0, 0, 0];

/// Bytes on their way into the store, on a thread of their own, which has ended when this is dropped.
pub(crate) struct StoringRaw(Option<JoinHandle<Result<ObjectClaim>>>);

impl StoringRaw {
    /// `None` if no thread is to be had: then a commit does it.
    pub(crate) fn begin(shared: &Arc<Shared>, push: &PushIntent) -> Option<Self> {
        let (shared, push) = (Arc::clone(shared), push.clone());
        let thread = std::thread::Builder::new().name("raw".to_owned()).spawn(move || store(&shared, &push));
        thread.ok().map(|thread| Self(Some(thread)))
    }

    /// As [`store`].
    pub(crate) fn finish(mut self) -> Result<ObjectClaim> {
        let stored = self.0.take().map(JoinHandle::join);
        stored.and_then(Result::ok).unwrap_or_else(|| Err(Error::internal("storing the received file failed")))
    }
}

impl Drop for StoringRaw {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // The claim of a push that is given up takes the object away.
            thread.join().ok();
        }
    }
}

/// Stores the bytes of a push, compressed, unless a committed push brought them before.
///
/// # Errors
///
/// `DataLoss` if they are not what the push declares; `LimitReached` if the disk is full.
pub(crate) fn store(shared: &Shared, push: &PushIntent) -> Result<ObjectClaim> {
    let claim = shared.claims.claim(paths::raw(&push.asset.sha256))?;
    if !claim.is_there()? {
        compress(&shared.objects, push, &claim.key)?;
    }
    Ok(claim)
}

fn compress(objects: &Objects, push: &PushIntent, key: &str) -> Result<()> {
    let read_failed = |e| Error::internal("reading the received file failed").caused_by(e);
    let write_failed = |e| objects.write_error("writing", key, e);
    let file = File::open(&push.raw).map_err(read_failed)?;
    let mut compressor = zstd::bulk::Compressor::new(RAW_ZSTD_LEVEL).map_err(write_failed)?;
    let mut writer = objects.writer()?;
    let (mut hasher, mut size_bytes) = (<sha2::Sha256 as sha2::Digest>::new(), 0);
    let mut buffer = Vec::with_capacity(FRAME_BYTES);
    loop {
        buffer.clear();
        (&file).take(FRAME_BYTES as u64).read_to_end(&mut buffer).map_err(read_failed)?;
        // A file without a byte has a frame as well.
        if buffer.is_empty() && size_bytes > 0 {
            break;
        }
        sha2::Digest::update(&mut hasher, &buffer);
        let frame = compressor.compress(&buffer).map_err(write_failed)?;
        writer.write_all(&frame).map_err(write_failed)?;
        size_bytes += buffer.len() as u64;
        if buffer.len() < FRAME_BYTES {
            break;
        }
    }
    let found = Sha256(sha2::Digest::finalize(hasher).into());
    if (found, size_bytes) != (push.asset.sha256, push.asset.size_bytes) {
        return Err(Error::data_loss(format!(
            "the push declares {} bytes with sha256 {}, the received file has {size_bytes} with {}",
            push.asset.size_bytes,
            push.asset.sha256.short(),
            found.short()
        )));
    }
    let seal = writer.sha256_so_far();
    writer.write_all(&RAW_SEAL).and_then(|()| writer.write_all(&seal.0)).map_err(write_failed)?;
    writer.finish()?.publish(key).map(|_| ())
}
