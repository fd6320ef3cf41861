//! Messages of a flight in a file, as they went out, and out of it again.
//!
//! Before each message stand the lengths of its parts and its rows: where it ends, and how far a client is.

use super::Stream;
use super::messages::{behind_the_end, rows_of};
use crate::api::body::catch_incident;
use crate::kept::{Keeping, KeptStream};
use crate::metrics::Metrics;
use arrow_flight::FlightData;
use futures::StreamExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use ukimet_model::{Error, Result};
use ukimet_proto::status::to_status;

/// Messages that are read ahead of a slow client, or wait to be written.
const MESSAGES_AHEAD_MAX: usize = 2;
/// Stands for the rows of a message that is no batch.
const NO_BATCH: u64 = u64::MAX;
/// Bytes before each message: three numbers, little-endian.
const HEAD_BYTES: usize = 24;

/// What stands before a message.
#[derive(Debug, PartialEq)]
struct Head {
    header_bytes: u64,
    body_bytes: u64,
    rows: Option<u64>,
}

impl Head {
    fn of(message: &FlightData) -> Self {
        let (header_bytes, body_bytes) = (message.data_header.len() as u64, message.data_body.len() as u64);
        Self { header_bytes, body_bytes, rows: rows_of(message).map(|rows| rows as u64) }
    }

    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let numbers = [self.header_bytes, self.body_bytes, self.rows.unwrap_or(NO_BATCH)];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).map(|number| number.try_into().ok().map(u64::from_le_bytes));
        let (header_bytes, body_bytes, rows) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Self { header_bytes, body_bytes, rows: (rows != NO_BATCH).then_some(rows) })
    }
}

/// Messages on their way, written into a file beside it; kept if all of them were taken.
pub(super) fn keep(mut messages: Stream<FlightData>, keeping: Keeping) -> Stream<FlightData> {
    let (sender, passing) = mpsc::channel(MESSAGES_AHEAD_MAX);
    let writing = tokio::task::spawn_blocking(move || write_all(passing, keeping));
    async_stream::stream! {
        while let Some(message) = messages.next().await {
            let Ok(passed) = &message else {
                yield message;
                return;
            };
            // Whoever writes may have given up; the flight goes on.
            let _ = sender.send(Some(passed.clone())).await;
            yield message;
        }
        let _ = sender.send(None).await;
        // Who has its end and asks again finds it. A writer that failed keeps nothing.
        let _ = writing.await;
    }
    .boxed()
}

/// Writes messages up to the end, which is told from a flight that was given up.
fn write_all(mut passing: mpsc::Receiver<Option<FlightData>>, mut keeping: Keeping) {
    while let Some(passed) = passing.blocking_recv() {
        let Some(message) = passed else { return keeping.finish() };
        keeping.write(&Head::of(&message).bytes());
        keeping.write(&message.data_header);
        keeping.write(&message.data_body);
    }
}

/// A flight as it went out before, behind the batches that the client has.
pub(super) fn replay(
    stream: Arc<KeptStream>,
    batches_there: u64,
    permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
) -> Stream<FlightData> {
    metrics.kept_export_began();
    let (sender, messages) = mpsc::channel(MESSAGES_AHEAD_MAX);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        if let Err(error) = catch_incident(|| send_all(&stream, batches_there, &sender, &metrics)) {
            // A client that left does not hear it.
            let _ = sender.blocking_send(Err(to_status(&error)));
        }
    });
    ReceiverStream::new(messages).boxed()
}

fn send_all(
    stream: &KeptStream,
    batches_there: u64,
    sender: &mpsc::Sender<Result<FlightData, Status>>,
    metrics: &Metrics,
) -> Result<()> {
    let (mut at, mut left) = (0, batches_there);
    while at < stream.length {
        let head = Head::read(&stream.read(at, HEAD_BYTES)?).ok_or_else(|| Error::internal("a kept flight is torn"))?;
        let message_at = at + HEAD_BYTES as u64;
        at = message_at + head.header_bytes + head.body_bytes;
        if head.rows.is_some() && left > 0 {
            left -= 1;
            continue;
        }
        let mut header = stream.read(message_at, (head.header_bytes + head.body_bytes) as usize)?;
        let body = header.split_off(head.header_bytes as usize);
        metrics.rows_went_out(head.rows.unwrap_or(0) as usize);
        if sender.blocking_send(Ok(FlightData::new().with_data_header(header).with_data_body(body))).is_err() {
            return Ok(());
        }
    }
    if left == 0 { Ok(()) } else { Err(behind_the_end(batches_there - left, batches_there)) }
}

#[cfg(test)]
mod tests {
    use super::super::messages::encode;
    use super::*;
    use crate::kept::{KeptLimits, KeptStreams};
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use futures::TryStreamExt;
    use tokio::sync::Semaphore;

    fn batches() -> Vec<RecordBatch> {
        let batch = |rows: std::ops::Range<i64>| {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows));
            RecordBatch::try_from_iter([("n", numbers)]).expect("one column")
        };
        vec![batch(0..3), batch(3..3), batch(3..200_000), batch(200_000..200_001)]
    }

    fn encoded(batches_there: u64) -> Stream<FlightData> {
        let (sender, receiver) = mpsc::channel(8);
        let all = batches();
        let schema = all[0].schema();
        for batch in all {
            sender.try_send(Ok(batch)).expect("room");
        }
        encode(schema, receiver, 1 << 20, batches_there, Arc::default())
    }

    fn replayed(stream: &Arc<KeptStream>, batches_there: u64) -> Stream<FlightData> {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("free");
        replay(Arc::clone(stream), batches_there, permit, Arc::default())
    }

    #[tokio::test]
    async fn a_kept_flight_is_the_flight_from_any_batch_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = KeptLimits { kept_bytes_max: 1 << 30, kept_streams_max: 1 };
        let streams = KeptStreams::new(dir.path().to_owned(), limits, Arc::new(|_| Ok(())));
        let dataset = "almaty/schools".parse().expect("an id");
        let given_up = keep(encoded(0), streams.keep("key", &dataset).expect("a place"));
        let first: Vec<FlightData> = given_up.take(2).try_collect().await.expect("two messages");
        assert_eq!(first.len(), 2);
        let keeping = loop {
            if let Some(keeping) = streams.keep("key", &dataset) {
                break keeping;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        };
        assert!(streams.get("key").is_none(), "a flight that was given up is not kept");
        let all: Vec<FlightData> = keep(encoded(0), keeping).try_collect().await.expect("all messages");
        assert!(all.len() > 4, "the schema, and a large batch in parts");
        let stream = streams.get("key").expect("kept before the end of the flight was told");
        for batches_there in 0..=5 {
            let expected: Result<Vec<_>, Status> = encoded(batches_there).try_collect().await;
            let found: Result<Vec<_>, Status> = replayed(&stream, batches_there).try_collect().await;
            match (expected, found) {
                (Ok(expected), Ok(found)) => assert_eq!(found, expected),
                (Err(expected), Err(found)) => assert_eq!(found.message(), expected.message()),
                (expected, found) => panic!("{batches_there}: {expected:?}, {found:?}"),
            }
        }
        let beyond = replayed(&stream, 99).try_collect::<Vec<_>>().await.expect_err("too far");
        assert!(beyond.message().contains("asked to go on behind 99"));
        streams.forget(&dataset);
        let forgotten = replayed(&stream, 0).try_collect::<Vec<_>>().await.expect_err("forgotten");
        assert!(forgotten.message().contains("erased"));
    }
}
