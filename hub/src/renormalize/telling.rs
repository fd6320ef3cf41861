//! What is told of a dataset that is read again: its difference, batch by batch, as the service answers it.

use super::blocking;
use super::difference::Tally;
use crate::ingest::{Compared, ComparedVersions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tonic::Status;
use ukimet_model::{DatasetId, Error, Result};
use ukimet_proto::ipc;
use ukimet_proto::v1;
use ukimet_proto::v1::renormalize_response::Result as Answer;

/// Most of a difference that goes in one message unless a row is larger, bytes.
const MESSAGE_BYTES: usize = 4 << 20;
/// Largest row of a difference, bytes: its message is one that a client takes.
const ROW_BYTES_MAX: usize = 63 << 20;

/// Answers about one dataset.
pub(super) struct Telling<'a> {
    /// What every answer begins with.
    pub(super) head: v1::RenormalizeResponse,
    answers: &'a Answers,
    /// How long an answer waits to be taken.
    idle_max: Duration,
    /// Whether one waited too long; nothing more is told then.
    is_cut: AtomicBool,
}

/// Where answers go.
pub(crate) type Answers = mpsc::Sender<Result<v1::RenormalizeResponse, Status>>;

impl<'a> Telling<'a> {
    pub(super) fn new(dataset: &DatasetId, answers: &'a Answers, idle_max: Duration) -> Self {
        let head = v1::RenormalizeResponse { dataset: dataset.to_string(), ..v1::RenormalizeResponse::default() };
        Self { head, answers, idle_max, is_cut: AtomicBool::new(false) }
    }

    /// # Errors
    ///
    /// `Unavailable` if nobody listens any more; `TimedOut` if an answer waited too long, and for every further one.
    pub(super) async fn send(&self, answer: Answer) -> Result<()> {
        if self.is_cut.load(Ordering::Relaxed) {
            return Err(self.too_slow());
        }
        let answer = v1::RenormalizeResponse { result: Some(answer), ..self.head.clone() };
        match self.answers.send_timeout(Ok(answer), self.idle_max).await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Closed(_)) => Err(Error::unavailable("nobody waits any more for what would differ")),
            Err(SendTimeoutError::Timeout(_)) => {
                self.is_cut.store(true, Ordering::Relaxed);
                Err(self.too_slow())
            }
        }
    }

    fn too_slow(&self) -> Error {
        Error::timed_out(format!(
            "the client took nothing of the answer about {} for {} s; ask again",
            self.head.dataset,
            self.idle_max.as_secs()
        ))
    }
}

/// Passes a difference on to its end; the same in numbers, `None` if none began.
pub(super) async fn tell(
    mut told: mpsc::Receiver<Compared>,
    telling: &Telling<'_>,
    examples_max: usize,
) -> Result<Option<v1::Difference>> {
    let mut tally = None;
    while let Some(part) = told.recv().await {
        match part {
            Compared::Begin(versions) => {
                telling.send(Answer::DifferenceBegin(begin(&versions)?)).await?;
                tally = Some(Tally::new(*versions, examples_max));
            }
            Compared::Rows(rows) => {
                let mut open = tally.take().ok_or_else(|| Error::internal("rows came before their difference"))?;
                let (open, messages) = blocking(move || {
                    open.observe(&rows)?;
                    let messages = ipc::encode_batches(&rows, MESSAGE_BYTES, ROW_BYTES_MAX)?;
                    Ok((open, messages))
                })
                .await?;
                tally = Some(open);
                for message in messages {
                    telling.send(Answer::DifferenceRows(message.message)).await?;
                }
            }
        }
    }
    match tally {
        Some(tally) => blocking(move || tally.finish().map(Some)).await,
        None => Ok(None),
    }
}

fn begin(versions: &ComparedVersions) -> Result<v1::DifferenceBegin> {
    let heading = &versions.heading;
    Ok(v1::DifferenceBegin {
        schema: ipc::encode_schema(&versions.schema)?,
        snapshot: heading.snapshot.0,
        committed: Some(crate::api::diff::wire_time(heading.from.1)),
        key: heading.key.clone(),
        columns: heading.columns.iter().cloned().map(crate::api::diff::wire_column).collect(),
    })
}
