//! An adapter as the hub sees it: an address and the three calls.

use crate::failure::{Failure, Verdict};
use crate::generate::File;
use crate::random::Seeded;
use crate::reading::Reading;
use bytes::Bytes;
use futures::StreamExt;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;
use ukimet_proto::v1::asset_request::Message;
use ukimet_proto::v1::{AssetOptions, AssetRequest, DescribeRequest, DescribeResponse, InspectResponse};

const MESSAGE_BYTES_MAX: usize = 64 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// An adapter under test.
#[derive(Clone, Debug)]
pub struct Adapter {
    channel: Channel,
    seed: u64,
}

impl Adapter {
    /// Connects to `http://host:port` or `unix:PATH`.
    pub async fn connect(address: &str, seed: u64) -> Verdict<Self> {
        let channel = Endpoint::from_shared(address.to_owned())?.connect().await?;
        Ok(Self { channel, seed })
    }

    /// The random numbers of one requirement.
    pub fn random(&self, name: &str) -> Seeded {
        Seeded::new(self.seed, name)
    }

    fn client(&self) -> AdapterServiceClient<Channel> {
        AdapterServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// What the adapter says about itself.
    pub async fn describe(&self) -> Result<DescribeResponse, Status> {
        Ok(self.client().describe(DescribeRequest {}).await?.into_inner())
    }

    /// Holds if the adapter reads files with this ending; else the requirement does not apply.
    pub async fn reads(&self, extension: &str) -> Verdict {
        let formats = self.describe().await?.formats;
        if formats.iter().any(|format| format.extensions.iter().any(|e| e == extension)) {
            return Ok(());
        }
        Err(Failure::NotApplicable(format!("the adapter does not say that it reads .{extension}")))
    }

    /// The layers of a file.
    pub async fn inspect(&self, requests: Vec<AssetRequest>) -> Result<InspectResponse, Status> {
        Ok(self.client().inspect(tokio_stream::iter(requests)).await?.into_inner())
    }

    /// Everything the adapter reads from these messages.
    pub async fn read(&self, requests: Vec<AssetRequest>) -> Result<Reading, ReadFailure> {
        let mut stream = self.client().read(tokio_stream::iter(requests)).await?.into_inner();
        let mut reading = Reading::default();
        while let Some(response) = stream.message().await? {
            reading.take(response)?;
        }
        Ok(reading)
    }

    /// Reads some messages, then drops the call. A status is an answer like another.
    pub async fn read_some(&self, requests: Vec<AssetRequest>, messages: usize) -> Verdict {
        let Ok(response) = self.client().read(tokio_stream::iter(requests)).await else { return Ok(()) };
        let mut stream = response.into_inner();
        for _ in 0..messages {
            if !matches!(stream.message().await, Ok(Some(_))) {
                break;
            }
        }
        Ok(())
    }

    /// Sends everything but the finish, leaves the stream open, and lets the deadline end the call.
    pub async fn read_endless(&self, mut requests: Vec<AssetRequest>, deadline: Duration) -> Result<(), Status> {
        requests.pop();
        let open = tokio_stream::iter(requests).chain(futures::stream::pending());
        let mut request = tonic::Request::new(open);
        request.set_timeout(deadline);
        let call = async {
            let mut stream = self.client().read(request).await?.into_inner();
            while stream.message().await?.is_some() {}
            Ok(())
        };
        // The client's own patience, should neither side know the deadline.
        tokio::time::timeout(deadline * 10, call)
            .await
            .unwrap_or_else(|_| Err(Status::unknown("the deadline passed and the call goes on")))
    }

    /// Everything the adapter reads from a file about which nothing is declared.
    pub async fn read_file(&self, file: &File) -> Verdict<Reading> {
        let reading = self.read(asset(options(file), &file.bytes, CHUNK_BYTES)).await?;
        reading.is_complete()?;
        Ok(reading)
    }

    /// Holds if reading fails with one of these codes and a message that contains `part`, and the adapter still answers.
    pub async fn refuses(&self, requests: Vec<AssetRequest>, codes: &[Code], part: &str) -> Verdict {
        let found = match self.read(requests).await {
            Err(ReadFailure::Refused(status)) => status,
            Err(ReadFailure::Malformed(failure)) => return Err(failure),
            Ok(reading) => {
                return Err(Failure::Broken(format!("expected {codes:?}, found {} rows", reading.rows())));
            }
        };
        if !codes.contains(&found.code()) || !found.message().to_lowercase().contains(&part.to_lowercase()) {
            return Err(Failure::Broken(format!(
                "expected {codes:?} with {part:?} in the message, found {:?}: {}",
                found.code(),
                found.message()
            )));
        }
        self.describe().await.map_err(|status| Failure::from(status).context("Describe after a refusal"))?;
        Ok(())
    }
}

/// Why a reading did not come to its end.
#[derive(Debug)]
pub enum ReadFailure {
    /// The adapter ended the call with a status.
    Refused(Status),
    /// What it sent breaks the contract.
    Malformed(Failure),
}

impl From<Status> for ReadFailure {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl From<Failure> for ReadFailure {
    fn from(failure: Failure) -> Self {
        Self::Malformed(failure)
    }
}

impl From<ReadFailure> for Failure {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::Refused(status) => status.into(),
            ReadFailure::Malformed(failure) => failure,
        }
    }
}

/// What is known about a file: its name.
pub fn options(file: &File) -> AssetOptions {
    AssetOptions { file_name: file.name.clone(), ..AssetOptions::default() }
}

/// The messages of an asset: options, bytes in chunks, finish.
pub fn asset(options: AssetOptions, bytes: &Bytes, chunk_bytes: usize) -> Vec<AssetRequest> {
    let mut requests = vec![request(Message::Options(options))];
    requests.extend(data(bytes, chunk_bytes));
    requests.push(request(Message::Finish(bytes.len() as u64)));
    requests
}

/// The messages of a file about which nothing is declared.
pub fn asset_of(file: &File) -> Vec<AssetRequest> {
    asset(options(file), &file.bytes, CHUNK_BYTES)
}

/// The bytes in chunks.
pub fn data(bytes: &Bytes, chunk_bytes: usize) -> Vec<AssetRequest> {
    let starts = (0..bytes.len()).step_by(chunk_bytes);
    starts.map(|at| request(Message::Data(bytes.slice(at..(at + chunk_bytes).min(bytes.len()))))).collect()
}

/// One message.
pub fn request(message: Message) -> AssetRequest {
    AssetRequest { message: Some(message) }
}
