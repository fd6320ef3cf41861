//! Requests that end before their time, answers that fail before they begin.
//!
//! A client that resets its call looks, to the handler, like one that ended it: tonic takes a request's error of code
//! `CANCELLED` for the end of the stream, and the HTTP library may give no error at all. So every request body is
//! watched here: one that is cancelled, or that stops without the end-of-stream flag of its last frame, becomes an
//! error that nobody takes for an end. Nothing may be committed on a stream that was cut.
//!
//! Two more answers are mended here: a handler that panics gives `INTERNAL` with an incident number and no
//! detail, and a message over the limit gives `RESOURCE_EXHAUSTED`, not `OUT_OF_RANGE`.

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tonic::{Code, Status};
use tower::{Layer, Service};
use ukimet_model::{Error, Result};
use ukimet_proto::status::to_status;

pin_project! {
    /// A body that tells a cut from an end.
    pub struct WatchedBody<B> {
        #[pin]
        inner: B,
        ended: bool,
    }
}

impl<B: Body<Data = Bytes, Error = Status>> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx)).map(|frame| frame.map_err(not_cancelled));
        if frame.is_none() && !*this.ended && !this.inner.is_end_stream() {
            *this.ended = true;
            return Poll::Ready(Some(Err(cut())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a cut request body gives. Not `CANCELLED`: tonic takes a request's error of that code for the end of the stream.
fn cut() -> Status {
    Status::aborted("the stream was cut before its end")
}

fn not_cancelled(status: Status) -> Status {
    if status.code() == Code::Cancelled { cut() } else { status }
}

/// Wraps every call; see the file's description.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuardLayer;

/// The service that [`GuardLayer`] makes.
#[derive(Clone, Debug)]
pub struct Guard<S>(S);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard(inner)
    }
}

type AnswerFuture<E> = Pin<Box<dyn Future<Output = Result<Response<tonic::body::Body>, E>> + Send>>;

impl<S> Service<Request<tonic::body::Body>> for Guard<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AnswerFuture<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let request = request.map(|inner| tonic::body::Body::new(WatchedBody { inner, ended: false }));
        let answer = AssertUnwindSafe(self.0.call(request)).catch_unwind();
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map(name_the_limit),
                Err(panic) => Ok(to_status(&incident(panic.as_ref())).into_http()),
            }
        })
    }
}

/// What a caller learns of a defect: a number to report, nothing else. The log has the rest.
pub fn incident(panic: &(dyn Any + Send)) -> Error {
    let incident = uuid::Uuid::new_v4();
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(%incident, panic = text, "a handler panicked");
    Error::internal(format!("a defect of the hub, incident {incident}"))
}

/// Runs work whose end nobody else watches; a panic in it becomes an incident.
pub fn catch_incident<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(incident(panic.as_ref())))
}

/// tonic answers a too large message with `OUT_OF_RANGE`; it is a limit.
fn name_the_limit(mut answer: Response<tonic::body::Body>) -> Response<tonic::body::Body> {
    let out_of_range = (Code::OutOfRange as i32).to_string();
    if answer.headers().get("grpc-status").is_some_and(|status| status.as_bytes() == out_of_range.as_bytes()) {
        answer.headers_mut().insert("grpc-status", HeaderValue::from(Code::ResourceExhausted as i32));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    /// A body of one frame that ends or is cut.
    struct Given {
        frames: Vec<Bytes>,
        cut: bool,
    }

    impl Body for Given {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.frames.pop().map(|bytes| Ok(Frame::data(bytes))))
        }

        fn is_end_stream(&self) -> bool {
            !self.cut && self.frames.is_empty()
        }
    }

    #[tokio::test]
    async fn a_cut_body_is_an_error_and_an_ended_one_is_not() {
        for cut in [true, false] {
            let inner = Given { frames: vec![Bytes::from_static(b"abc")], cut };
            let collected = WatchedBody { inner, ended: false }.collect().await;
            assert_eq!(collected.err().map(|status| status.code()), cut.then_some(Code::Aborted));
        }
    }

    #[test]
    fn a_cancelled_request_is_not_told_as_one_that_tonic_takes_for_an_end() {
        assert_eq!(not_cancelled(Status::cancelled("reset")).code(), Code::Aborted);
        assert_eq!(not_cancelled(Status::out_of_range("large")).code(), Code::OutOfRange);
    }

    #[tokio::test]
    async fn a_panic_becomes_an_incident_without_detail() {
        let panics = tower::service_fn(|_: Request<tonic::body::Body>| async {
            assert!(std::env::args().count() > 1_000_000, "the secret of /srv/data");
            Ok::<_, Status>(Response::new(tonic::body::Body::empty()))
        });
        let answer = GuardLayer.layer(panics).call(Request::new(tonic::body::Body::empty())).await.expect("answers");
        let message = answer.headers()["grpc-message"].to_str().expect("text");
        assert_eq!(answer.headers()["grpc-status"], "13");
        assert!(message.contains("incident") && !message.contains("srv"), "{message}");
    }
}
