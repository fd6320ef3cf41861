//! The hub's own client: what the command line speaks to a hub with.

use crate::hashing::Hasher;
use arrow_array::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightClient, FlightDescriptor};
use arrow_schema::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use ukimet_model::{Error, ErrorKind, PushOutcome, Result, Sha256};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::catalog_service_client::CatalogServiceClient;
use ukimet_proto::v1::ingest_service_client::IngestServiceClient;
use ukimet_proto::v1::push_request::Message as Request;
use ukimet_proto::v1::push_response::Message as Response;
use ukimet_proto::v1::version_service_client::VersionServiceClient;

/// Where a hub listens unless told otherwise.
pub const DEFAULT_HUB: &str = "http://127.0.0.1:8815";
/// Bytes of one chunk of a push.
const CHUNK_BYTES: usize = 1 << 20;
/// Largest message taken from a hub, bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// How often a push that was cut is taken up again, and how long to wait before the first time.
const ATTEMPTS_MAX: u32 = 5;
const WAIT_FIRST: Duration = Duration::from_millis(200);

/// A connection to a hub.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
}

/// A file to push: the header as it will be sent, and where the bytes are.
pub struct PushFile {
    /// The header; size and hash are filled in.
    pub header: v1::PushHeader,
    /// The bytes.
    pub path: PathBuf,
}

/// What is heard while a push goes on.
#[derive(Clone, Copy, Debug)]
pub enum PushEvent {
    /// Bytes sent so far, of how many.
    Sent(u64, u64),
    /// Rows read so far.
    Rows(u64),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// `Unavailable` if no hub answers there.
    pub async fn connect(url: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|e| {
            Error::invalid_request(format!("a hub's URL is http://HOST:PORT, found {url}")).caused_by(e)
        })?;
        let named = endpoint.user_agent(concat!("ukimet/", env!("CARGO_PKG_VERSION")));
        let endpoint = named.map_err(|e| Error::internal("naming this program").caused_by(e))?;
        let channel = endpoint
            .connect_timeout(Duration::from_secs(10))
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(32 << 20)
            .connect()
            .await
            .map_err(|e| {
                let message = format!("no hub answers at {url}; start one with `ukimet serve`, or name it with --hub");
                Error::unavailable(message).caused_by(e)
            })?;
        Ok(Self { channel })
    }

    /// The catalog service.
    pub fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The service that changes versions without a push.
    pub fn versions(&self) -> VersionServiceClient<Channel> {
        VersionServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// The ingest service, for what is no push.
    pub fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Pushes a file; a push that is cut is taken up again where it was.
    ///
    /// # Errors
    ///
    /// What the hub says, `Unavailable` if it cannot be reached any more.
    pub async fn push(&self, file: &PushFile, mut tell: impl FnMut(PushEvent)) -> Result<(PushOutcome, bool)> {
        let (sha256, size_bytes) = hash_file(&file.path)?;
        let header = v1::PushHeader { size_bytes: Some(size_bytes), ..file.header.clone() };
        let mut wait = WAIT_FIRST;
        for attempt in 1.. {
            match self.push_once(&header, &file.path, sha256, size_bytes, &mut tell).await {
                Err(error) if error.kind() == ErrorKind::Unavailable && attempt < ATTEMPTS_MAX => {
                    tracing::debug!(%error, attempt, "taking the push up again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                ended => return ended,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn push_once(
        &self,
        header: &v1::PushHeader,
        path: &Path,
        sha256: Sha256,
        size_bytes: u64,
        tell: &mut impl FnMut(PushEvent),
    ) -> Result<(PushOutcome, bool)> {
        let (requests, stream) = mpsc::channel(4);
        let send = |message| v1::PushRequest { message: Some(message) };
        requests.send(send(Request::Header(header.clone()))).await.expect("the receiver is here");
        let mut client = self.ingest();
        let responses = client.push(ReceiverStream::new(stream)).await;
        let mut responses = responses.map_err(|status| from_status(&status))?.into_inner();
        let mut requests = Some(requests);
        while let Some(response) = responses.message().await.map_err(|status| from_status(&status))? {
            match response.message {
                Some(Response::Resume(resume)) => {
                    if let Some(requests) = requests.take() {
                        let finish = v1::PushFinish { sha256: sha256.0.to_vec().into(), size_bytes };
                        send_file(path, resume.offset, finish, requests)?;
                    }
                }
                Some(Response::Durable(durable)) => tell(PushEvent::Sent(durable.offset, size_bytes)),
                Some(Response::Progress(progress)) => tell(PushEvent::Rows(progress.rows)),
                Some(Response::Outcome(outcome)) => {
                    let replayed = outcome.replayed;
                    return Ok((outcome.try_into()?, replayed));
                }
                None => return Err(Error::internal("the hub sent an empty message")),
            }
        }
        Err(Error::unavailable("the hub ended the push without an outcome"))
    }

    /// Streams batches of what a descriptor means, endpoint after endpoint; calls `begin` with the schema first.
    ///
    /// # Errors
    ///
    /// What the hub says, and what `begin` and `take` say.
    pub async fn pull(
        &self,
        command: Vec<u8>,
        begin: impl FnOnce(SchemaRef, Option<u64>) -> Result<()>,
        mut take: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let inner = FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = FlightClient::new_from_inner(inner);
        let info = client.get_flight_info(FlightDescriptor::new_cmd(command)).await.map_err(flight_error)?;
        let rows = u64::try_from(info.total_records).ok();
        let endpoints = info.endpoint.clone();
        let schema = info.try_decode_schema().map_err(|e| Error::invalid_data("reading a schema").caused_by(e))?;
        begin(schema.into(), rows)?;
        let mut received = 0;
        for ticket in endpoints.into_iter().filter_map(|endpoint| endpoint.ticket) {
            let mut batches = client.do_get(ticket).await.map_err(flight_error)?.map_err(flight_error).boxed();
            while let Some(batch) = batches.try_next().await? {
                received += batch.num_rows() as u64;
                take(batch)?;
            }
        }
        match rows {
            Some(rows) if rows != received => {
                Err(Error::data_loss(format!("the hub announced {rows} rows, {received} came")))
            }
            _ => Ok(()),
        }
    }
}

impl Client {
    /// What the hub answers to an action of its Flight service.
    ///
    /// # Errors
    ///
    /// What the hub says; `InvalidData` if it answers nothing.
    pub async fn act(&self, action: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let inner = FlightServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let action = Action::new(action, body);
        let mut answers = FlightClient::new_from_inner(inner).do_action(action).await.map_err(flight_error)?;
        let answer = answers.try_next().await.map_err(flight_error)?;
        answer.map(|body| body.to_vec()).ok_or_else(|| Error::invalid_data("the hub answered nothing to an action"))
    }
}

fn flight_error(error: arrow_flight::error::FlightError) -> Error {
    match error {
        arrow_flight::error::FlightError::Tonic(status) => from_status(&status),
        other => Error::invalid_data("reading a Flight stream").caused_by(other),
    }
}

/// Sends the bytes from an offset on, then the finish, from a thread of its own. A hub that stops listening ends it.
fn send_file(path: &Path, offset: u64, finish: v1::PushFinish, requests: mpsc::Sender<v1::PushRequest>) -> Result<()> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(offset)).map_err(|e| unreadable(path, &e))?;
    std::thread::spawn(move || {
        let mut offset = offset;
        loop {
            let mut data = vec![0; CHUNK_BYTES];
            let message = match file.read(&mut data) {
                Ok(0) => Request::Finish(finish.clone()),
                Ok(n) => {
                    data.truncate(n);
                    Request::Chunk(v1::PushChunk { offset, data: data.into() })
                }
                // Without a finish the hub commits nothing.
                Err(_) => return,
            };
            let last = matches!(message, Request::Finish(_));
            if let Request::Chunk(chunk) = &message {
                offset += chunk.data.len() as u64;
            }
            if requests.blocking_send(v1::PushRequest { message: Some(message) }).is_err() || last {
                return;
            }
        }
    });
    Ok(())
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid_request(format!("{} cannot be read: {error}", path.display()))
}

fn hash_file(path: &Path) -> Result<(Sha256, u64)> {
    let mut file = open(path)?;
    let mut hasher = Hasher::default();
    let mut size = 0;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut buffer).map_err(|e| unreadable(path, &e))? {
            0 => return Ok((hasher.finish(), size)),
            n => {
                hasher.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
}
