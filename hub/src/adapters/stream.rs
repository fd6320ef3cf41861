//! What an adapter answers, message after message, within its time.

use super::process::Process;
use futures::Stream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::transport::Channel;
use ukimet_model::{Error, Result};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;

pub(super) enum Source {
    Process(Box<Process>),
    Remote(String),
}

/// What an adapter reads, message after message; dropping it ends the adapter's work.
pub struct ReadStream {
    source: Source,
    responses: Option<tonic::Streaming<v1::ReadResponse>>,
    deadline: Instant,
    time_max: Duration,
    job: Arc<OwnedSemaphorePermit>,
}

impl ReadStream {
    pub(super) fn new(source: Source, job: Arc<OwnedSemaphorePermit>, time_max: Duration) -> Self {
        let deadline = Instant::now() + time_max;
        Self { source, responses: None, deadline, time_max, job }
    }

    /// The place among the running jobs, for work that may outlive the reading.
    pub fn job(&self) -> Arc<OwnedSemaphorePermit> {
        Arc::clone(&self.job)
    }

    pub(super) async fn begin(
        &mut self,
        mut client: AdapterServiceClient<Channel>,
        requests: impl Stream<Item = v1::AssetRequest> + Send + 'static,
    ) -> Result<()> {
        match tokio::time::timeout_at(self.deadline, client.read(requests)).await {
            Ok(Ok(response)) => self.responses = Some(response.into_inner()),
            Ok(Err(status)) => return Err(self.explain(&status).await),
            Err(_) => return Err(self.too_slow()),
        }
        Ok(())
    }

    /// The next message; `None` after the last.
    ///
    /// # Errors
    ///
    /// The adapter's own error, or what became of it.
    pub async fn next(&mut self) -> Result<Option<v1::read_response::Message>> {
        let Some(responses) = &mut self.responses else { return Ok(None) };
        match tokio::time::timeout_at(self.deadline, responses.message()).await {
            Err(_) => Err(self.too_slow()),
            Ok(Err(status)) => Err(self.explain(&status).await),
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some(response))) => match response.message {
                Some(message) => Ok(Some(message)),
                None => Err(Error::internal("the adapter sent an empty message")),
            },
        }
    }

    fn too_slow(&self) -> Error {
        Error::timed_out(format!("the adapter took longer than {} s for this file", self.time_max.as_secs()))
    }

    async fn explain(&mut self, status: &tonic::Status) -> Error {
        match &mut self.source {
            Source::Process(process) => process.explain(status).await,
            Source::Remote(url) => from_status(status).context(format_args!("adapter {url}")),
        }
    }
}
