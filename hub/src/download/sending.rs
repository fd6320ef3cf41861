//! Files that are sent while they are written: a bounded queue between who writes and who reads.

use super::coding::Coded;
use super::queue::{Queue, queue};
use super::{Downloads, Representation};
use crate::api::body::{catch_incident, incident};
use crate::export::{Batches, Bound};
use crate::files::RowFile;
use crate::kept::{Keeping, KeptStream};
use arrow_array::RecordBatch;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use std::io::{self, Write};
use std::ops::Range;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use ukimet_model::{Error, Result};

/// Bytes of one part.
const PART_BYTES: usize = 1 << 20;

/// Bytes behind a writer: those of a window go into the queue, all are counted.
struct Parts {
    /// `None` if they are counted only.
    queue: Option<Queue>,
    part: BytesMut,
    window: Range<u64>,
    written: u64,
    /// Where all of them are kept, of the window or not.
    keeping: Option<Keeping>,
    /// Cancelled once nobody waits for more.
    over: CancellationToken,
}

impl Parts {
    /// The bytes of a write that are in the window.
    fn wanted<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let within = |at: u64| at.saturating_sub(self.written).min(bytes.len() as u64) as usize;
        &bytes[within(self.window.start)..within(self.window.end)]
    }

    fn send(&mut self) -> io::Result<()> {
        let (Some(queue), false) = (&self.queue, self.part.is_empty()) else { return Ok(()) };
        let part = std::mem::replace(&mut self.part, BytesMut::with_capacity(PART_BYTES)).freeze();
        if Handle::current().block_on(queue.put(Ok(part))) { Ok(()) } else { Err(self.end()) }
    }

    /// Keeps the file, and sends what is left of it: who has its end and asks again finds it.
    fn finish(&mut self) -> io::Result<()> {
        if let Some(keeping) = self.keeping.take() {
            keeping.finish();
        }
        self.complete()
    }

    /// Sends what is left of the window, behind which there is nothing.
    fn complete(&mut self) -> io::Result<()> {
        self.send()?;
        self.queue.iter().for_each(Queue::complete);
        Ok(())
    }

    /// Tells a writer that nobody waits for more.
    fn end(&self) -> io::Error {
        self.over.cancel();
        io::Error::from(io::ErrorKind::BrokenPipe)
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.over.is_cancelled() {
            return Err(self.end());
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.write(bytes);
        }
        let mut wanted = self.wanted(bytes);
        while self.queue.is_some() && !wanted.is_empty() {
            let (now, later) = wanted.split_at(wanted.len().min(PART_BYTES - self.part.len()));
            self.part.extend_from_slice(now);
            wanted = later;
            if self.part.len() == PART_BYTES {
                self.send()?;
            }
        }
        self.written += bytes.len() as u64;
        if self.written >= self.window.end {
            self.complete()?;
            return Err(self.end());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The next batch; `None` behind the last, and once nobody waits for it.
pub(super) fn next(batches: &mut Batches, over: &CancellationToken) -> Result<Option<RecordBatch>> {
    let next = Handle::current().block_on(async {
        tokio::select! {
            batch = batches.recv() => batch,
            () = over.cancelled() => None,
        }
    });
    next.transpose()
}

/// Sends a window of what is kept; the queue's end is told from a reader that left.
fn send_kept(kept: &KeptStream, window: Range<u64>, queue: &Queue) -> Result<()> {
    let (mut at, end) = (window.start, window.end.min(kept.length));
    while at < end {
        let part = kept.read(at, (end - at).min(PART_BYTES as u64) as usize)?;
        at += part.len() as u64;
        if !Handle::current().block_on(queue.put(Ok(part))) {
            return Ok(());
        }
    }
    queue.complete();
    Ok(())
}

impl Downloads {
    /// The bytes of a file in a range, in parts of about 1 MiB. They come as fast as they are taken; who drops the stream
    /// ends the reading.
    ///
    /// # Errors
    ///
    /// What is found before the first part; what is found later is an item, behind which nothing comes.
    pub async fn stream(
        &self,
        representation: Representation,
        window: Range<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let permit = self.permit()?;
        let (queue, mut taken) = queue(self.limits.download_idle_max);
        let kept = self.kept.get(&representation.tag);
        let is_kept_again = kept.is_none() && window == (0..u64::MAX) && self.kept.is_asked_again(&representation.tag);
        let keeping = if is_kept_again { self.keep(&representation) } else { None };
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let (downloads, parts_over) = (self.clone(), over.clone());
        tokio::task::spawn_blocking(move || {
            let (_permit, failing) = (permit, queue.clone());
            let sent = catch_incident(|| {
                if let Some(kept) = kept {
                    downloads.metrics.kept_export_began();
                    if window.start == 0 {
                        downloads.metrics.rows_went_out(representation.version.rows as usize);
                    }
                    return send_kept(&kept, window, &queue);
                }
                let (queue, part) = (Some(queue), BytesMut::new());
                let parts = Parts { queue, part, window, written: 0, keeping, over: parts_over };
                downloads.write(&representation, parts)
            });
            if let Err(error) = sent {
                tracing::warn!(%error, dataset = %representation.dataset.id, "a download was broken off");
                // A client that left does not hear it.
                Handle::current().block_on(failing.put(Err(error)));
            }
        });
        let first = taken.first().await?;
        guard.disarm();
        Ok(taken.stream(first, over))
    }

    /// A place for a file that is written, if it is of a whole version.
    fn keep(&self, representation: &Representation) -> Option<Keeping> {
        let Representation { tag, dataset, .. } = representation;
        representation.is_whole.then(|| self.kept.keep(tag, &dataset.id)).flatten()
    }

    /// How long a file is, bytes: remembered, or counted by writing it, which then is kept if there is room.
    ///
    /// # Errors
    ///
    /// As [`Downloads::stream`].
    pub async fn length(&self, representation: &Representation) -> Result<u64> {
        if let Some(length) = self.known_length(representation) {
            return Ok(length);
        }
        let permit = self.permit()?;
        let over = CancellationToken::new();
        let _guard = over.clone().drop_guard();
        let (downloads, counted) = (self.clone(), representation.clone());
        let count = move || {
            let _permit = permit;
            let keeping = downloads.keep(&counted);
            let (part, window) = (BytesMut::new(), 0..u64::MAX);
            let sink = Parts { queue: None, part, window, written: 0, keeping, over };
            downloads.write(&counted, sink)
        };
        let written = tokio::task::spawn_blocking(count).await;
        written.map_err(|panic| incident(panic.into_panic().as_ref()))??;
        self.known_length(representation).ok_or_else(|| Error::internal("a file was counted without its length"))
    }

    /// How long a file is, if it was written to its end before.
    pub fn known_length(&self, representation: &Representation) -> Option<u64> {
        self.lengths.get(&representation.tag)
    }

    /// Writes a file as far as somebody waits for it; remembers its length if that was to its end. Blocks.
    fn write(&self, representation: &Representation, parts: Parts) -> Result<()> {
        let (over, is_sent) = (parts.over.clone(), parts.queue.is_some());
        let bound = self.bind_again(representation)?;
        let written = self.write_rows(representation, bound, parts, is_sent);
        if over.is_cancelled() {
            return Ok(());
        }
        self.lengths.remember(&representation.tag, written?);
        Ok(())
    }

    fn write_rows(&self, representation: &Representation, bound: Bound, parts: Parts, is_sent: bool) -> Result<u64> {
        let failed = |e: io::Error| Error::unavailable("sending a file").caused_by(e);
        let (form, over) = (representation.form, parts.over.clone());
        let coded = Coded::new(form.coding, parts).map_err(failed)?;
        let mut file = RowFile::begin(form.format, coded.sink(), &self.subject(&bound, form))?;
        let mut batches = self.export.read(bound)?;
        if is_sent {
            self.metrics.export_began();
        }
        while let Some(batch) = next(&mut batches, &over)? {
            file.write(&batch)?;
            if is_sent {
                self.metrics.rows_went_out(batch.num_rows());
            }
        }
        if over.is_cancelled() {
            return Ok(0);
        }
        file.finish()?;
        let mut parts = coded.finish().map_err(failed)?;
        parts.finish().map_err(failed)?;
        Ok(parts.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use std::time::Duration;

    /// What of writes of these lengths is in a window, and what is counted.
    async fn sent(window: Range<u64>, writes: &[usize]) -> (Vec<u8>, u64, bool) {
        let (queue, taken) = queue(Duration::from_secs(30));
        let over = CancellationToken::new();
        let (queue, part) = (Some(queue), BytesMut::new());
        let mut parts = Parts { queue, part, window, written: 0, keeping: None, over: over.clone() };
        let writes = writes.to_vec();
        let writing = tokio::task::spawn_blocking(move || {
            let mut next = 0_u8;
            for length in writes {
                let bytes: Vec<u8> = (0..length).map(|at| next.wrapping_add(at as u8)).collect();
                next = next.wrapping_add(length as u8);
                if parts.write_all(&bytes).is_err() {
                    return parts.written;
                }
            }
            parts.complete().expect("taken");
            parts.written
        });
        let taken: Vec<Bytes> = taken.stream(None, CancellationToken::new()).try_collect().await.expect("complete");
        let is_over = over.is_cancelled();
        (taken.concat(), writing.await.expect("written"), is_over)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_waits_for_rows_that_nobody_wants_any_more_waits_no_longer() {
        let (_still_reading, mut batches) = tokio::sync::mpsc::channel(1);
        let over = CancellationToken::new();
        let waited = over.clone();
        let waiting = tokio::task::spawn_blocking(move || next(&mut batches, &waited));
        over.cancel();
        assert!(waiting.await.expect("no panic").expect("no error").is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_window_has_its_bytes_whatever_the_writes() {
        let all: Vec<u8> = (0..3_000_000).map(|at| at as u8).collect();
        for writes in [&[3_000_000][..], &[1, 2_999_999], &[1_500_000, 1_500_000], &[100_000; 30]] {
            for (from, to) in [(0, 3_000_000), (0, 1), (5, 1 << 20), (1_499_999, 1_500_001), (2_999_999, 3_000_000)] {
                let (bytes, _, is_over) = sent(from..to, writes).await;
                assert!(bytes == all[from as usize..to as usize], "{from} to {to}");
                assert!(is_over, "nobody waits for what is behind");
            }
            let (bytes, written, is_over) = sent(2_000_000..u64::MAX, writes).await;
            assert!(bytes == all[2_000_000..] && written == 3_000_000 && !is_over);
        }
    }
}
