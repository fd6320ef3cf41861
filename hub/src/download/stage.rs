//! Files that are complete before the first of their bytes is sent.

use super::queue::{Queue, queue};
use super::sending::next;
use super::{Downloads, Representation};
use crate::api::body::incident;
use crate::files::{Losses, StagedFile};
use bytes::Bytes;
use futures::Stream;
use std::fs::File;
use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use ukimet_model::{Error, Result};

/// Bytes of one part.
const PART_BYTES: u64 = 256 << 10;

/// A complete file without a name: it goes with its owner.
pub struct Staged {
    file: File,
    /// How long it is, bytes.
    pub length: u64,
    /// What it has no place for.
    pub losses: Losses,
    idle_max: Duration,
    _permits: [OwnedSemaphorePermit; 2],
}

fn failed(error: std::io::Error) -> Error {
    Error::unavailable("reading a file that was made").caused_by(error)
}

impl Downloads {
    /// Makes a file of a format that is sent when it is complete. Who drops the answer ends the reading.
    ///
    /// # Errors
    ///
    /// `LimitReached` if it would be larger than configured, if as many are made or sent as may be, or if the disk is full;
    /// `InvalidRequest` if the format has no place for a value, naming formats that have.
    pub async fn stage(&self, representation: Representation) -> Result<Staged> {
        let running = self.permit()?;
        let permit = Arc::clone(&self.files).try_acquire_owned().map_err(|_| {
            Error::limit_reached(
                "as many files are made or sent as download-files-max allows, try again shortly or take .parquet or .csv",
            )
        })?;
        (self.room)(0)?;
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let downloads = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let (file, losses) = downloads.make(&representation, &over)?;
            let length = file.metadata().map_err(failed)?.len();
            downloads.lengths.remember(&representation.tag, length);
            let idle_max = downloads.limits.download_idle_max;
            Ok(Staged { file, length, losses, idle_max, _permits: [permit, running] })
        });
        let staged = made.await.map_err(|panic| incident(panic.into_panic().as_ref()))?;
        drop(guard);
        staged
    }

    fn make(&self, representation: &Representation, over: &CancellationToken) -> Result<(File, Losses)> {
        let bound = self.bind_again(representation)?;
        let form = representation.form;
        let mut file = StagedFile::begin(form.format, &self.subject(&bound, form))?;
        let mut batches = self.export.read(bound)?;
        self.metrics.export_began();
        while let Some(batch) = next(&mut batches, over)? {
            file.write(&batch)?;
            self.metrics.rows_went_out(batch.num_rows());
        }
        if over.is_cancelled() {
            return Err(Error::unavailable("nobody waits for the file any more"));
        }
        file.finish()
    }
}

impl Staged {
    /// A range of the file, which lies inside, in parts.
    pub fn parts(self, range: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send {
        let (queue, taken) = queue(self.idle_max);
        tokio::spawn(async move {
            if let Err(error) = self.send(range, &queue).await {
                // A client that left does not hear it.
                queue.put(Err(error)).await;
            }
        });
        taken.stream(None, CancellationToken::new())
    }

    async fn send(self, range: Range<u64>, queue: &Queue) -> Result<()> {
        let Self { file, _permits, .. } = self;
        let mut file = tokio::fs::File::from_std(file);
        file.seek(SeekFrom::Start(range.start)).await.map_err(failed)?;
        let mut left = range.end - range.start;
        while left > 0 {
            let mut part = vec![0; left.min(PART_BYTES) as usize];
            file.read_exact(&mut part).await.map_err(failed)?;
            left -= part.len() as u64;
            if !queue.put(Ok(part.into())).await {
                return Ok(());
            }
        }
        queue.complete();
        Ok(())
    }
}
