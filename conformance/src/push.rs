//! A push as a careful client makes it, and the ways to break it off.

use crate::failure::{Failure, Verdict, broken};
use crate::generate::File;
use crate::hub::Hub;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use ukimet_proto::v1::push_request::Message as Request;
use ukimet_proto::v1::push_response::Message as Response;
use ukimet_proto::v1::{PushChunk, PushFinish, PushHeader, PushMode, PushOutcome, PushRequest, PushResponse};

/// How often a client calls again while the hub still ends the stream that broke off, and how long it waits first;
/// the pause doubles, so that clients of one push do not push each other out for ever.
const RETRY_TIMES_MAX: u32 = 8;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A file on its way to a dataset.
#[derive(Clone, Debug)]
pub struct Push {
    /// What is said about it.
    pub header: PushHeader,
    /// Its bytes.
    pub bytes: Bytes,
    /// How many bytes a chunk has at most.
    pub chunk_bytes_max: usize,
}

impl Push {
    /// A push of a file with nothing declared.
    pub fn new(dataset: &str, push_id: &str, file: &File) -> Self {
        let header = PushHeader {
            push_id: push_id.to_owned(),
            dataset: dataset.to_owned(),
            mode: PushMode::Replace.into(),
            file_name: file.name.clone(),
            size_bytes: Some(file.bytes.len() as u64),
            ..PushHeader::default()
        };
        Self { header, bytes: file.bytes.clone(), chunk_bytes_max: 64 << 10 }
    }

    /// Every message of the push, for a client that does not wait for the hub: header, chunks, finish.
    pub fn frames(&self) -> Vec<PushRequest> {
        let mut frames = vec![header(self.header.clone())];
        frames.extend(self.chunks(0, self.bytes.len() as u64));
        frames.push(self.finish());
        frames
    }

    /// The chunks for the bytes from `start` to `end`.
    pub fn chunks(&self, start: u64, end: u64) -> Vec<PushRequest> {
        let step = self.chunk_bytes_max as u64;
        let starts = (start..end).step_by(self.chunk_bytes_max);
        starts.map(|at| chunk(at, self.bytes.slice(at as usize..(at + step).min(end) as usize))).collect()
    }

    /// The last message, true to the bytes.
    pub fn finish(&self) -> PushRequest {
        finish(Sha256::digest(&self.bytes).to_vec(), self.bytes.len() as u64)
    }

    /// Pushes the whole file, going on where the hub says.
    pub async fn send(&self, hub: &Hub) -> Result<PushOutcome, Status> {
        let mut open = OpenPush::begin(hub, self.header.clone()).await?;
        if let Some(start) = open.resume {
            open.send(self.chunks(start, self.bytes.len() as u64)).await;
            open.send([self.finish()]).await;
        }
        open.outcome().await
    }

    /// Pushes the whole file, calling again while the hub says that it cannot take it yet.
    pub async fn send_again(&self, hub: &Hub) -> Result<PushOutcome, Status> {
        self.send_with_pauses(hub, RETRY_PAUSE).await
    }

    /// As [`Push::send_again`] with a first pause of the caller's own.
    pub async fn send_with_pauses(&self, hub: &Hub, first: Duration) -> Result<PushOutcome, Status> {
        for attempt in 0..RETRY_TIMES_MAX {
            match self.send(hub).await {
                Err(status) if is_passing(&status) => tokio::time::sleep(first * 2_u32.pow(attempt)).await,
                answer => return answer,
            }
        }
        self.send(hub).await
    }

    /// Sends bytes up to `end`, then drops the call without a word. Returns the greatest offset called durable.
    ///
    /// Before sending, checks that the hub resumes where it must: not before `durable`, which it promised to
    /// keep, nor after `sent`, which is all it can have.
    pub async fn cut_at(&self, hub: &Hub, end: u64, durable: u64, sent: u64) -> Verdict<u64> {
        let mut open = OpenPush::begin_again(hub, &self.header).await?;
        let Some(start) = open.resume else {
            return broken(format!(
                "the hub gave no resume offset for a push that is not complete: {:?}",
                open.outcome
            ));
        };
        if start < durable || start > sent {
            return broken(format!("resume: expected {durable} to {sent}, found {start}"));
        }
        open.send(self.chunks(start, end.max(start))).await;
        open.take_ready().await;
        Ok(open.durable.max(durable).max(start))
    }
}

/// Whether an answer only says that an earlier stream of the push has not ended yet.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Aborted)
}

/// The first message.
pub fn header(header: PushHeader) -> PushRequest {
    PushRequest { message: Some(Request::Header(header)) }
}

/// A run of bytes.
pub fn chunk(offset: u64, data: Bytes) -> PushRequest {
    PushRequest { message: Some(Request::Chunk(PushChunk { offset, data })) }
}

/// The last message.
pub fn finish(sha256: Vec<u8>, size_bytes: u64) -> PushRequest {
    PushRequest { message: Some(Request::Finish(PushFinish { sha256: sha256.into(), size_bytes })) }
}

/// Sends messages as they are, without waiting for the hub, then ends the stream. Returns what the hub answers.
pub async fn send_frames(hub: &Hub, frames: Vec<PushRequest>) -> Result<Option<PushOutcome>, Status> {
    let mut responses = hub.ingest().push(tokio_stream::iter(frames)).await?.into_inner();
    let mut outcome = None;
    while let Some(response) = responses.message().await? {
        if let Some(Response::Outcome(found)) = response.message {
            outcome = Some(found);
        }
    }
    Ok(outcome)
}

/// A push whose stream is open. Dropping it cancels the call.
#[derive(Debug)]
pub struct OpenPush {
    sender: mpsc::Sender<PushRequest>,
    responses: Streaming<PushResponse>,
    /// Where the hub wants the client to go on; `None` if it answered with an outcome at once.
    pub resume: Option<u64>,
    /// The greatest offset the hub called durable.
    pub durable: u64,
    outcome: Option<PushOutcome>,
}

impl OpenPush {
    /// Sends the header and waits for the first answer.
    pub async fn begin(hub: &Hub, push_header: PushHeader) -> Result<Self, Status> {
        let (sender, receiver) = mpsc::channel(4);
        sender.send(header(push_header)).await.map_err(|_| Status::internal("the channel closed early"))?;
        let responses = hub.ingest().push(ReceiverStream::new(receiver)).await?.into_inner();
        let mut open = Self { sender, responses, resume: None, durable: 0, outcome: None };
        while open.resume.is_none() && open.outcome.is_none() {
            let response = open.responses.message().await?;
            open.take(response.ok_or_else(|| Status::internal("the hub ended the stream without an answer"))?);
        }
        Ok(open)
    }

    /// As [`OpenPush::begin`], calling again while an earlier stream of the push has not ended yet.
    pub async fn begin_again(hub: &Hub, push_header: &PushHeader) -> Result<Self, Status> {
        for attempt in 0..RETRY_TIMES_MAX {
            match Self::begin(hub, push_header.clone()).await {
                Err(status) if is_passing(&status) => tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(attempt)).await,
                answer => return answer,
            }
        }
        Self::begin(hub, push_header.clone()).await
    }

    fn take(&mut self, response: PushResponse) {
        match response.message {
            Some(Response::Resume(resume)) => self.resume = Some(resume.offset),
            Some(Response::Durable(durable)) => self.durable = self.durable.max(durable.offset),
            Some(Response::Outcome(outcome)) => self.outcome = Some(outcome),
            Some(Response::Progress(_)) | None => {}
        }
    }

    /// Sends messages. If the hub has ended the call, its reason shows in [`OpenPush::outcome`].
    pub async fn send(&mut self, frames: impl IntoIterator<Item = PushRequest>) {
        for frame in frames {
            if self.sender.send(frame).await.is_err() {
                return;
            }
        }
    }

    /// Takes the answers that have already arrived.
    async fn take_ready(&mut self) {
        while let Ok(Ok(Some(response))) =
            tokio::time::timeout(Duration::from_millis(2), self.responses.message()).await
        {
            self.take(response);
        }
    }

    /// Ends the stream and waits for the outcome.
    pub async fn outcome(self) -> Result<PushOutcome, Status> {
        let Self { sender, mut responses, mut outcome, .. } = self;
        drop(sender);
        while let Some(response) = responses.message().await? {
            if let Some(Response::Outcome(found)) = response.message {
                outcome = Some(found);
            }
        }
        outcome.ok_or_else(|| Status::internal("the hub ended the stream without an outcome"))
    }
}

/// Holds if a call failed with this code and a message that contains `part`, letter case aside.
pub fn require_refusal<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, part: &str) -> Verdict {
    match answer {
        Ok(found) => broken(format!("expected {code:?} about {part:?}, found {found:?}")),
        Err(status) if status.code() == code && status.message().to_lowercase().contains(&part.to_lowercase()) => {
            Ok(())
        }
        Err(status) => broken(format!(
            "expected {code:?} with {part:?} in the message, found {:?}: {}",
            status.code(),
            status.message()
        )),
    }
}

/// The only layer of an outcome.
pub fn only_layer(outcome: &PushOutcome) -> Verdict<&ukimet_proto::v1::LayerOutcome> {
    match outcome.layers.as_slice() {
        [layer] => Ok(layer),
        layers => Err(Failure::Broken(format!("expected one layer in the outcome, found {}", layers.len()))),
    }
}
