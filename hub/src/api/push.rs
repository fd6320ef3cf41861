//! `ukimet.v1.IngestService`: receives a push, then hands it to `ingest`.

mod header;

use crate::api::body::incident;
use crate::ingest::{Ingest, Ingested};
use crate::metrics::Metrics;
use crate::renormalize::Answers as RenormalizeAnswers;
use crate::staging::{Staging, Upload};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use header::push_header;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};
use ukimet_model::{DatasetId, Error, ErrorKind, Result, Sha256};
use ukimet_proto::status::to_status;
use ukimet_proto::v1;
use ukimet_proto::v1::ingest_service_server::IngestService;
use ukimet_proto::v1::push_request::Message;

/// Receives pushes, from gRPC and from Flight alike.
#[derive(Clone)]
pub struct Pushes {
    /// Where bytes wait.
    pub staging: Staging,
    /// Where finished pushes go.
    pub ingest: Ingest,
    /// Largest gRPC message, bytes; named in the error about a larger one.
    pub message_bytes_max: u64,
    /// Longest silence of a client.
    pub idle_max: Duration,
    /// Room for pushes being received.
    pub room: Arc<Semaphore>,
    /// Cancelled when the hub drains.
    pub draining: CancellationToken,
    /// Counts what happens.
    pub metrics: Arc<Metrics>,
}

type Answers = mpsc::Sender<Result<v1::PushResponse, Status>>;
type Answer = v1::push_response::Message;

/// How many answers may wait for a slow client.
const ANSWERS_WAITING_MAX: usize = 16;
/// How often a client hears how far the reading has come.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

#[tonic::async_trait]
impl IngestService for Pushes {
    type PushStream = ReceiverStream<Result<v1::PushResponse, Status>>;

    async fn push(&self, request: Request<Streaming<v1::PushRequest>>) -> Result<Response<Self::PushStream>, Status> {
        let permit = self.admit().map_err(|e| to_status(&e))?;
        let (answers, stream) = mpsc::channel(ANSWERS_WAITING_MAX);
        let pushes = self.clone();
        tokio::spawn(async move {
            let push = pushes.push_and_answer(request.into_inner(), &answers);
            let ended = pushes.ended(Box::pin(push)).await;
            drop(permit);
            // A client that left, or that does not listen, does not hear it.
            let last = ended.map(outcome_answer).map_err(|error| to_status(&error));
            let _ = tokio::time::timeout(pushes.idle_max, answers.send(last)).await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    type RenormalizeStream = BoxStream<'static, Result<v1::RenormalizeResponse, Status>>;

    async fn renormalize(
        &self,
        request: Request<v1::RenormalizeRequest>,
    ) -> Result<Response<Self::RenormalizeStream>, Status> {
        let permit = self.admit().map_err(|e| to_status(&e))?;
        let request = request.into_inner();
        let datasets = self.renormalizable(&request).map_err(|e| to_status(&e))?;
        let (answers, stream) = mpsc::channel(1);
        // Beside the answers: there is no room among them for why a client that takes none of them was cut.
        let (cut, was_cut) = oneshot::channel();
        let pushes = self.clone();
        tokio::spawn(async move {
            let told = tokio::select! {
                told = pushes.read_all_again(datasets, &request, &answers) => told,
                () = answers.closed() => Ok(()),
                () = pushes.draining.cancelled() => Ok(()),
            };
            drop(permit);
            if let Err(error) = told {
                let _ = cut.send(Err(to_status(&error)));
            }
        });
        let last = futures::stream::once(was_cut).filter_map(|cut| std::future::ready(cut.ok()));
        Ok(Response::new(ReceiverStream::new(stream).chain(last).boxed()))
    }
}

fn answer(message: Answer) -> v1::PushResponse {
    v1::PushResponse { message: Some(message) }
}

fn outcome_answer(ingested: Ingested) -> v1::PushResponse {
    let mut outcome = v1::PushOutcome::from(ingested.outcome);
    outcome.replayed = ingested.replayed;
    answer(Answer::Outcome(outcome))
}

impl Pushes {
    /// Room for one more push.
    ///
    /// # Errors
    ///
    /// `Unavailable` while the hub drains, `LimitReached` if too many pushes are being received.
    pub fn admit(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        if self.draining.is_cancelled() {
            return Err(Error::unavailable("the hub is stopping, push again when it is back"));
        }
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            Error::limit_reached("as many pushes are being received as pushes-max allows, try again shortly")
        })
    }

    /// Reads datasets again, one after the other, as long as the client takes the answers.
    async fn read_all_again(
        &self,
        datasets: Vec<DatasetId>,
        request: &v1::RenormalizeRequest,
        answers: &RenormalizeAnswers,
    ) -> Result<()> {
        for dataset in datasets {
            self.read_again(dataset, request, answers).await?;
        }
        Ok(())
    }

    /// Waits for a push, by gRPC or by Flight, to end, and counts it; a panic in it becomes an incident.
    pub async fn ended(&self, push: impl Future<Output = Result<Ingested>>) -> Result<Ingested> {
        let ended = AssertUnwindSafe(push).catch_unwind().await.unwrap_or_else(|panic| Err(incident(panic.as_ref())));
        self.metrics.push_ended(ended.as_ref().map(|ingested| &ingested.outcome));
        ended
    }

    async fn push_and_answer(&self, mut requests: Streaming<v1::PushRequest>, answers: &Answers) -> Result<Ingested> {
        let header = match self.next(&mut requests).await? {
            Some(Message::Header(header)) => push_header(header)?,
            Some(_) => return Err(Error::invalid_request("the first message of a push is its header")),
            None => return Err(ended_without_finish(0)),
        };
        let upload = self.staging.claim(header).await?;
        let resume = v1::PushResume { offset: upload.offset() };
        // A client that left is noticed by its request stream.
        let _ = answers.send(Ok(answer(Answer::Resume(resume)))).await;
        let (upload, sha256) = self.receive(upload, &mut requests, answers).await?;
        let interrupted = async {
            tokio::select! {
                error = self.after_finish(&mut requests) => error,
                () = answers.closed() => Error::unavailable("the client left before the push was committed"),
            }
        };
        self.finish(upload, sha256, answers, interrupted).await
    }

    /// Receives chunks until the finish. A cut keeps the bytes for a later call, a wrong message drops them.
    async fn receive(
        &self,
        mut upload: Upload,
        requests: &mut Streaming<v1::PushRequest>,
        answers: &Answers,
    ) -> Result<(Upload, Sha256)> {
        let mut frames = 0_u64;
        loop {
            let taken_over = upload.taken_over.clone();
            let message = tokio::select! {
                message = self.next(requests) => message,
                () = taken_over.cancelled() => Err(Error::conflict("another connection has taken this push over")),
            };
            frames += 1;
            let step = match message {
                Ok(Some(Message::Chunk(chunk))) => blocking(move || {
                    let durable = upload.append(chunk.offset, &chunk.data);
                    (upload, durable)
                }),
                Ok(Some(Message::Finish(finish))) => return Self::check_end(upload, &finish),
                Ok(Some(Message::Header(_))) => {
                    upload.discard();
                    return Err(Error::invalid_request("a push has one header, found a second"));
                }
                Ok(None) => return Err(keep(upload, ended_without_finish(frames)).await),
                Err(error) => return Err(keep(upload, error).await),
            };
            let (back, durable) = step.await?;
            upload = back;
            match durable {
                Ok(Some(offset)) => {
                    // A client that does not listen must not stop its own push.
                    let _ = answers.try_send(Ok(answer(Answer::Durable(v1::PushDurable { offset }))));
                }
                Ok(None) => (),
                Err(error) => {
                    upload.discard();
                    return Err(error);
                }
            }
        }
    }

    /// Compares what came with what the finish declares.
    fn check_end(upload: Upload, finish: &v1::PushFinish) -> Result<(Upload, Sha256)> {
        let checked = Sha256::try_from(finish.sha256.as_ref()).and_then(|sha256| {
            upload.check(&sha256, finish.size_bytes)?;
            Ok(sha256)
        });
        match checked {
            Ok(sha256) => Ok((upload, sha256)),
            Err(error) => {
                upload.discard();
                Err(error)
            }
        }
    }

    /// What comes after the finish, if it may not come: a further frame, or a cut. A stream that ended well, or that
    /// the client leaves open while it waits for the outcome, is pending here for ever.
    async fn after_finish(&self, requests: &mut Streaming<v1::PushRequest>) -> Error {
        match requests.message().await {
            Ok(Some(_)) => Error::invalid_request("frame after Finish"),
            Ok(None) => std::future::pending().await,
            Err(_) => Error::unavailable("the client left before the push was committed"),
        }
    }

    /// Ingests a complete upload; what interrupts it before the commit, or a newer connection, stops it.
    async fn finish(
        &self,
        mut upload: Upload,
        sha256: Sha256,
        answers: &Answers,
        interrupted: impl Future<Output = Error>,
    ) -> Result<Ingested> {
        upload = blocking(move || {
            let synced = upload.sync();
            synced.map(|_| upload)
        })
        .await??;
        let rows = Arc::new(AtomicU64::new(0));
        let bytes = upload.offset();
        let ended = tokio::select! {
            ended = Box::pin(self.ingest.ingest(&upload, sha256, Arc::clone(&rows))) => ended,
            error = interrupted => Err(error),
            () = upload.taken_over.cancelled() => Err(Error::unavailable("another connection has taken this push over")),
            never = tell_progress(answers, bytes, &rows) => match never {},
        };
        self.metrics.bytes_came(bytes);
        match &ended {
            // The same bytes may be taken later: they stay for a call with the same id.
            Err(error) if error.kind() == ErrorKind::Unavailable && upload.resumes() => drop(upload),
            _ => upload.discard(),
        }
        ended
    }

    /// Ingests bytes that came another way; the caller has checked that they are complete.
    ///
    /// # Errors
    ///
    /// As the push service; `Unavailable` if `client_left` before the commit.
    pub async fn ingest_received(&self, upload: Upload, client_left: impl Future<Output = ()>) -> Result<Ingested> {
        let sha256 = upload.sha256();
        // Nobody listens for progress: this way in has one answer.
        let (answers, _) = mpsc::channel(1);
        let interrupted = async {
            client_left.await;
            Error::unavailable("the client left before the push was committed")
        };
        self.finish(upload, sha256, &answers, interrupted).await
    }

    async fn next(&self, requests: &mut Streaming<v1::PushRequest>) -> Result<Option<Message>> {
        let request = tokio::select! {
            request = tokio::time::timeout(self.idle_max, requests.message()) => request,
            () = self.draining.cancelled() => {
                return Err(Error::unavailable("the hub is stopping, push again when it is back: it resumes"));
            }
        };
        match request {
            Err(_) => {
                Err(Error::timed_out(format!("nothing came for {} s; call again to resume", self.idle_max.as_secs())))
            }
            Ok(Err(status)) => Err(self.cut(&status)),
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(request))) => match request.message {
                Some(message) => Ok(Some(message)),
                None => Err(Error::invalid_request(
                    "a message of a push is a header, a chunk or a finish, found none of them",
                )),
            },
        }
    }

    /// What a broken request stream means.
    pub fn cut(&self, status: &Status) -> Error {
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => Error::limit_reached(format!(
                "a message has at most {} bytes: {}",
                self.message_bytes_max,
                status.message()
            )),
            Code::Internal | Code::InvalidArgument => {
                Error::internal(format!("a message of the push did not decode: {}", status.message()))
            }
            _ => Error::conflict(format!("the stream was cut before its finish: {}", status.message())),
        }
    }
}

fn ended_without_finish(frames: u64) -> Error {
    Error::conflict(format!("stream ended without Finish after {frames} frames; call again to resume"))
}

/// Keeps what has come so far, durably, for a later call.
async fn keep(mut upload: Upload, error: Error) -> Error {
    let synced = blocking(move || upload.sync().map(drop)).await;
    if let Ok(Err(sync_error)) | Err(sync_error) = synced {
        tracing::warn!(error = %sync_error, "the bytes of a cut push were not made durable");
    }
    error
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("receiving a push").caused_by(e))
}

/// Tells the client now and then how far the reading has come. Does not end; a client that left does not hear it.
async fn tell_progress(answers: &Answers, bytes: u64, rows: &Arc<AtomicU64>) -> Infallible {
    loop {
        tokio::time::sleep(PROGRESS_EVERY).await;
        let progress = v1::PushProgress { stage: "reading".to_owned(), bytes, rows: rows.load(Ordering::Relaxed) };
        let _ = answers.try_send(Ok(answer(Answer::Progress(progress))));
    }
}
