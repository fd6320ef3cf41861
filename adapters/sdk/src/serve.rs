//! An [`Adapter`] as the gRPC service `ukimet.v1.AdapterService`: limits, cancellation, errors.
//!
//! A job is one `Inspect` or `Read`. Its bytes go to a temporary file first; only the client's `finish` makes them an
//! asset, because a stream that the client gave up ends like one that is complete. The adapter then runs on a blocking
//! thread; its rows leave through a queue of a few messages, so that a slow client slows the adapter and not the memory.
//! When the client goes away the sink fails, and the adapter returns.

mod asset;
mod job;
mod listen;

use crate::adapter::Adapter;
use crate::confine::{Confined, or_out_of_resources};
use futures::Stream;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};
use ukimet_model::{Error, Result};
use ukimet_proto::status::to_status;
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_server::{AdapterService, AdapterServiceServer};

use asset::receive_asset;
use job::{AnswerEnd, JobEnd, run_inspect, run_read};
use listen::Listener;
pub use listen::{BoundListen, Listen};

/// Where and how an adapter is served.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The address.
    pub listen: Listen,
    /// Folder for the bytes of running jobs.
    pub scratch: PathBuf,
    /// The file that a client may name by path, or the folder below which it may; `None`: bytes only.
    pub granted: Option<PathBuf>,
    /// Whether the server ends itself once its first job is over.
    pub single_job: bool,
    /// How the process is confined, for whoever asks what the adapter is.
    pub confined: Confined,
    /// What a job may use.
    pub limits: ServeLimits,
}

/// What a job may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Bytes of a message from a client.
    pub message_bytes_max: usize,
    /// Bytes of an asset.
    pub asset_bytes_max: u64,
    /// Jobs at a time; more are refused.
    pub jobs_max: usize,
    /// Time that a job may take, the transfer of its bytes included.
    pub wall_max: Duration,
    /// Time that a client may stay silent while it sends bytes.
    pub idle_max: Duration,
    /// Bytes of a message with rows, unless a single row is larger.
    pub batch_bytes_max: usize,
    /// Bytes of a message with a single row.
    pub row_bytes_max: usize,
    /// Messages that wait for the client.
    pub queue_messages: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 20,
            asset_bytes_max: 8 << 30,
            jobs_max: 4,
            wall_max: Duration::from_mins(5),
            idle_max: Duration::from_secs(30),
            batch_bytes_max: 8 << 20,
            row_bytes_max: 64 << 20,
            queue_messages: 4,
        }
    }
}

/// An adapter bound to its address, not yet answering.
pub struct Server {
    listener: Listener,
    service: Arc<Service>,
}

impl Server {
    /// Takes the address. A Unix socket that a dead process left behind is replaced.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the address or the scratch folder cannot be had.
    #[allow(clippy::unused_async, reason = "the runtime that it needs is then there")]
    pub async fn bind(adapter: Arc<dyn Adapter>, config: ServeConfig) -> Result<Self> {
        Self::on(config.listen.bind()?, adapter, config)
    }

    /// Serves at an address that was taken before, whatever the configuration says; call it inside a runtime.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the scratch folder cannot be had.
    pub fn on(bound: BoundListen, adapter: Arc<dyn Adapter>, config: ServeConfig) -> Result<Self> {
        std::fs::create_dir_all(&config.scratch)
            .map_err(|error| Error::unavailable("the scratch folder could not be made").caused_by(error))?;
        let listener = Listener::of(bound)?;
        let jobs = Arc::new(Semaphore::new(config.limits.jobs_max));
        let service =
            Arc::new(Service { adapter, config, jobs, thread_over: Arc::default(), answer_over: Arc::default() });
        Ok(Self { listener, service })
    }

    /// The address as a client writes it: `unix:/path` or `http://127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.listener.address()
    }

    /// Answers until `shutdown` is ready (or, with `single_job`, the first job is over); running calls end first.
    ///
    /// # Errors
    ///
    /// `Internal` if the transport fails as a whole.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let (health_reporter, health) = tonic_health::server::health_reporter();
        health_reporter.set_serving::<AdapterServiceServer<ServiceHandle>>().await;
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let undescribed = |error| Error::internal("reflection could not be set up").caused_by(error);
        let reflection = described().build_v1().map_err(undescribed)?;
        // Several clients still ask for the older version.
        let reflection_alpha = described().build_v1alpha().map_err(undescribed)?;
        let this = Arc::clone(&self.service);
        let service = AdapterServiceServer::new(ServiceHandle(Arc::clone(&self.service)))
            .max_decoding_message_size(self.service.config.limits.message_bytes_max);
        let router = tonic::transport::Server::builder()
            .max_concurrent_streams(100)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(20)))
            .add_service(health)
            .add_service(reflection)
            .add_service(reflection_alpha)
            .add_service(service);
        let end = async move {
            tokio::select! {
                () = shutdown => (),
                () = this.job_over(), if this.config.single_job => (),
            }
        };
        self.listener
            .serve(router, end)
            .await
            .map_err(|error| Error::internal("the adapter's server failed").caused_by(error))
    }
}

struct Service {
    adapter: Arc<dyn Adapter>,
    config: ServeConfig,
    jobs: Arc<Semaphore>,
    /// A job's thread has ended.
    thread_over: Arc<Notify>,
    /// A job's client has its answer, or has gone away.
    answer_over: Arc<Notify>,
}

/// How long a thread that nobody waits for any more may take to tidy up before the server ends without it.
const TIDY_MAX: Duration = Duration::from_secs(5);

impl Service {
    /// Waits until the client has its answer and the thread has ended, or hangs.
    async fn job_over(&self) {
        self.answer_over.notified().await;
        // A thread that hangs in a library is left to the end of the process.
        let _ = tokio::time::timeout(TIDY_MAX, self.thread_over.notified()).await;
    }

    /// Takes a place among the jobs that run, until the returned value is dropped.
    fn begin_job(&self) -> Result<JobEnd> {
        let permit = Arc::clone(&self.jobs).try_acquire_owned().map_err(|_| {
            Error::limit_reached(format!("the adapter runs at most {} jobs at a time", self.config.limits.jobs_max))
        })?;
        Ok(JobEnd::new(permit, Arc::clone(&self.thread_over)))
    }
}

/// The confinement beside the libraries, for people and for a hub that warns its operator.
fn said(confined: &Confined) -> impl Iterator<Item = (String, String)> {
    [("confined by", &confined.enforced), ("not confined by", &confined.missing)]
        .into_iter()
        .filter(|(_, layers)| !layers.is_empty())
        .map(|(how, layers)| (how.to_owned(), layers.join("; ")))
}

#[derive(Clone)]
struct ServiceHandle(Arc<Service>);

#[tonic::async_trait]
impl AdapterService for ServiceHandle {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<v1::ReadResponse, Status>> + Send>>;

    async fn describe(&self, _: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let description = self.0.adapter.describe();
        let formats = description
            .formats
            .into_iter()
            .map(|f| v1::Format { name: f.name, media_types: f.media_types, extensions: f.extensions })
            .collect();
        Ok(Response::new(v1::DescribeResponse {
            name: description.name,
            version: description.version,
            libraries: description.libraries.into_iter().chain(said(&self.0.config.confined)).collect(),
            formats,
            rules_version: description.rules_version,
        }))
    }

    async fn inspect(
        &self,
        request: Request<Streaming<v1::AssetRequest>>,
    ) -> Result<Response<v1::InspectResponse>, Status> {
        let job = self.0.begin_job().map_err(|e| to_status(&e))?;
        let answer = AnswerEnd(Arc::clone(&self.0.answer_over));
        let deadline = Instant::now() + self.0.config.limits.wall_max;
        let asset = receive_asset(request.into_inner(), &self.0.config, deadline).await;
        let asset = asset.map_err(|error| to_status(&or_out_of_resources(error)))?;
        let adapter = Arc::clone(&self.0.adapter);
        let inspected = run_inspect(adapter, asset, deadline, job).await;
        drop(answer);
        inspected.map(Response::new).map_err(|e| to_status(&e))
    }

    async fn read(&self, request: Request<Streaming<v1::AssetRequest>>) -> Result<Response<Self::ReadStream>, Status> {
        let job = self.0.begin_job().map_err(|e| to_status(&e))?;
        let answer = AnswerEnd(Arc::clone(&self.0.answer_over));
        let deadline = Instant::now() + self.0.config.limits.wall_max;
        let asset = receive_asset(request.into_inner(), &self.0.config, deadline).await;
        let asset = asset.map_err(|error| to_status(&or_out_of_resources(error)))?;
        let adapter = Arc::clone(&self.0.adapter);
        Ok(Response::new(Box::pin(run_read(adapter, asset, self.0.config.limits, deadline, job, answer))))
    }
}
