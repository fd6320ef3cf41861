//! An adapter at an address: it gets the bytes of a file, since it may stand on another machine.

use super::choice::Said;
use super::{Reading, client, options};
use futures::Stream;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};
use ukimet_proto::v1;

pub(super) struct Remote {
    pub(super) url: String,
    pub(super) channel: Channel,
    /// What it said when the hub started.
    pub(super) said: Said,
}

/// How much of a file goes in one message to an adapter that has no path to it, bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// How long an adapter may take to be reached, and then to say what it is.
const ANSWER_MAX: Duration = Duration::from_secs(10);

impl Remote {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let unreachable = |e: &dyn std::fmt::Display| Error::unavailable(format!("adapter {url} does not answer: {e}"));
        let channel = Endpoint::from_shared(url.to_owned())
            .map_err(|e| unreachable(&e))?
            .connect_timeout(ANSWER_MAX)
            .connect()
            .await
            .map_err(|e| unreachable(&e))?;
        let described = described(&channel).await.map_err(|e| unreachable(&e))?;
        Ok(Self { url: url.to_owned(), channel, said: Said::of(&described) })
    }

    /// # Errors
    ///
    /// `Conflict` if it applies other rules than when the hub started: then what was chosen by them holds no more.
    pub(super) fn check_rules(&self, described: &v1::DescribeResponse) -> Result<()> {
        if described.rules_version == self.said.rules {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "adapter {} applied rules {} when the hub started and applies rules {} now; start the hub again",
            self.url,
            quoted(&self.said.rules),
            quoted(&described.rules_version)
        )))
    }
}

/// What the adapter behind a channel says of itself now.
///
/// # Errors
///
/// What it says, `UNAVAILABLE` if it says nothing in time.
pub(super) async fn described(channel: &Channel) -> Result<v1::DescribeResponse, Status> {
    let mut client = client(channel.clone());
    match tokio::time::timeout(ANSWER_MAX, client.describe(v1::DescribeRequest {})).await {
        Ok(described) => described.map(Response::into_inner),
        Err(_) => Err(Status::unavailable(format!("nothing came for {} s", ANSWER_MAX.as_secs()))),
    }
}

/// Options, then the bytes, then their count.
pub(super) async fn bytes_requests(reading: &Reading) -> Result<impl Stream<Item = v1::AssetRequest> + Send + use<>> {
    let file =
        tokio::fs::File::open(&reading.path).await.map_err(|e| Error::internal("opening a push").caused_by(e))?;
    let size = file.metadata().await.map_err(|e| Error::internal("measuring a push").caused_by(e))?.len();
    let first = options(reading, false);
    Ok(async_stream::stream! {
        yield first;
        let mut file = file;
        let mut sent = 0;
        while sent < size {
            let mut chunk = vec![0; CHUNK_BYTES];
            match file.read(&mut chunk).await {
                // Without the finish message the adapter refuses what it got.
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    chunk.truncate(n);
                    sent += n as u64;
                    yield v1::AssetRequest { message: Some(v1::asset_request::Message::Data(chunk.into())) };
                }
            }
        }
        yield v1::AssetRequest { message: Some(v1::asset_request::Message::Finish(size)) };
    })
}
