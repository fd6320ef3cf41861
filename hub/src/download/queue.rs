//! Parts on their way from who writes to who reads: few at a time, and none for ever.

use bytes::Bytes;
use futures::Stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use ukimet_model::{Error, Result};

/// Parts that wait for a slow reader.
const PARTS_AHEAD_MAX: usize = 2;

/// Where parts are put.
#[derive(Clone)]
pub(super) struct Queue {
    parts: mpsc::Sender<Result<Bytes>>,
    is_complete: Arc<AtomicBool>,
    /// How long a part waits to be taken.
    idle_max: Duration,
}

/// Where they are taken.
pub(super) struct Taken {
    parts: mpsc::Receiver<Result<Bytes>>,
    is_complete: Arc<AtomicBool>,
}

/// A queue whose parts wait at most so long.
pub(super) fn queue(idle_max: Duration) -> (Queue, Taken) {
    let (sender, receiver) = mpsc::channel(PARTS_AHEAD_MAX);
    let is_complete = Arc::new(AtomicBool::new(false));
    let taken = Taken { parts: receiver, is_complete: Arc::clone(&is_complete) };
    (Queue { parts: sender, is_complete, idle_max }, taken)
}

impl Queue {
    /// Puts a part, or why there are no more. `false` if nobody takes it, for now or ever.
    pub(super) async fn put(&self, part: Result<Bytes>) -> bool {
        let put = tokio::time::timeout(self.idle_max, self.parts.send(part)).await;
        matches!(put, Ok(Ok(())))
    }

    /// Says that all parts were put: without it, who takes them finds the end broken.
    pub(super) fn complete(&self) {
        self.is_complete.store(true, Ordering::Release);
    }
}

impl Taken {
    /// The first part.
    pub(super) async fn first(&mut self) -> Result<Option<Bytes>> {
        self.parts.recv().await.transpose()
    }

    /// All parts behind the first. An end that is not the end is an error. Who drops the stream cancels `over`.
    pub(super) fn stream(
        mut self,
        first: Option<Bytes>,
        over: CancellationToken,
    ) -> impl Stream<Item = Result<Bytes>> + Send {
        async_stream::stream! {
            let _guard = over.drop_guard();
            if let Some(first) = first {
                yield Ok(first);
            }
            while let Some(part) = self.parts.recv().await {
                let is_last = part.is_err();
                yield part;
                if is_last {
                    return;
                }
            }
            if !self.is_complete.load(Ordering::Acquire) {
                yield Err(Error::timed_out("a download was broken off, the client took nothing of it for too long"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up_and_finds_no_end() {
        let (queue, taken) = queue(Duration::from_millis(50));
        let part = || Ok(Bytes::from_static(b"part"));
        assert!(queue.put(part()).await && queue.put(part()).await);
        let began = std::time::Instant::now();
        assert!(!queue.put(part()).await);
        assert!(began.elapsed() >= Duration::from_millis(50));
        drop(queue);
        let over = CancellationToken::new();
        let taken: Result<Vec<_>> = taken.stream(None, over.clone()).try_collect().await;
        assert!(taken.expect_err("broken").message().contains("took nothing"));
        assert!(over.is_cancelled());
    }

    #[tokio::test]
    async fn an_end_that_was_said_is_one() {
        let (queue, mut taken) = queue(Duration::from_secs(30));
        assert!(queue.put(Ok(Bytes::from_static(b"part"))).await);
        queue.complete();
        drop(queue);
        let first = taken.first().await.expect("a part");
        let parts: Result<Vec<_>> = taken.stream(first, CancellationToken::new()).try_collect().await;
        assert_eq!(parts.expect("all"), [&b"part"[..]]);
    }
}
