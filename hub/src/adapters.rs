//! Adapters as the hub knows them: only by the wire.
//!
//! The bundled adapter is a program that is started for each file, with one end of a Unix socket pair as
//! its standard input, so that no one else can reach it and a crash, a hang or a kill ends one push only.
//! Other adapters are reached by address.

mod bundled;
mod choice;
mod process;
mod remote;
mod stream;

use crate::certificates::Certificates;
use crate::config::Config;
use crate::hashing::Hasher;
use bundled::{Bundled, beside_this_program};
use choice::{Chosen, Said};
use remote::{Remote, bytes_requests, described};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
pub use stream::ReadStream;
use stream::Source;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::Channel;
use ukimet_model::{BoundingBox, Declarations, Error, LayerSelection, Result, Sha256, SystemClock};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;

/// A file to read and what is known about it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Where the bytes are on this machine.
    pub path: PathBuf,
    /// The file's name at the sender.
    pub file_name: String,
    /// What is declared, the mapping in force among it.
    pub declared: Declarations,
    /// The tables that the mapping looks values up in, and the registers that codes are compared with.
    pub references: Vec<v1::ReferenceTable>,
    /// The schema that the rows have to fit, as an Arrow IPC message; `None` if types are told from the values.
    pub expected_schema: Option<bytes::Bytes>,
    /// The part of a raster that is wanted instead of rows.
    pub window: Option<BoundingBox>,
    /// The version of the rules that the adapter must apply; `None` for the adapter that serves pushes.
    pub rules: Option<String>,
}

/// Every adapter of this hub.
#[derive(Clone)]
pub struct Adapters {
    bundled: Arc<Bundled>,
    /// What the bundled one said of itself.
    bundled_said: Said,
    /// Those that serve pushes before the bundled one.
    remote: Arc<Vec<Remote>>,
    /// Those that serve no pushes.
    beside: Arc<Vec<Remote>>,
    jobs: Arc<Semaphore>,
    time_max: Duration,
    certified: Option<Arc<Certified>>,
}

/// The certificates that adapters need, and the bundled adapter's program as it was at the start.
struct Certified {
    certificates: Certificates,
    program_sha256: Sha256,
}

/// Largest message between hub and adapter, bytes: a row may have 64 MiB, and its message a little more.
const MESSAGE_BYTES_MAX: usize = 80 << 20;

impl Adapters {
    /// Finds the bundled adapter, asks it and the configured ones what they read.
    ///
    /// The bundled one works in `scratch`, which is absolute, and may read the one file that it is started for.
    ///
    /// # Errors
    ///
    /// `Unavailable` naming the adapter that does not answer, `InvalidRequest` naming the one that lacks a certificate; one
    /// beside those that serve pushes is left out instead.
    pub async fn open(config: &Config, scratch: &Path) -> Result<Self> {
        let program = config.adapter_program.clone().map_or_else(beside_this_program, Ok)?;
        let certified = Certified::open(config, &program)?.map(Arc::new);
        let remote = connected(&config.adapters).await?;
        let mut adapters = Self {
            bundled: Arc::new(Bundled::new(program, config, scratch)),
            bundled_said: Said::default(),
            remote: Arc::new(remote),
            beside: Arc::default(),
            jobs: Arc::new(Semaphore::new(config.adapter_jobs_max.max(1))),
            time_max: config.adapter_time_max,
            certified,
        };
        let described = adapters.describe().await?;
        adapters.check_bundled(&described)?;
        adapters.bundled_said = Said::of(&described);
        for remote in adapters.remote.iter() {
            adapters.check_remote(remote, false).await?;
        }
        adapters.beside = Arc::new(adapters.those_beside(&config.adapters_beside).await);
        tracing::info!(adapter = described.name, version = described.version, libraries = ?described.libraries, "adapter answers");
        if let Some(missing) = described.libraries.get("not confined by") {
            tracing::warn!(adapter = described.name, missing, "the adapter is not confined in full");
        }
        Ok(adapters)
    }

    /// What the bundled adapter says about itself.
    pub async fn describe(&self) -> Result<v1::DescribeResponse> {
        let mut process = self.bundled.start(None).await?;
        match process.client().describe(v1::DescribeRequest {}).await {
            Ok(described) => Ok(described.into_inner()),
            Err(status) => Err(process.explain(&status).await),
        }
    }

    /// Begins to read a file with the adapter that fits; waits while too many are being read.
    ///
    /// # Errors
    ///
    /// `Conflict` if rules are asked for that no adapter applies to such a file; what the adapter says.
    pub async fn read(&self, reading: &Reading) -> Result<ReadStream> {
        let job = Arc::new(self.job().await);
        match self.choose(reading)? {
            Chosen::Remote(remote) => self.read_remote(remote, reading, job).await,
            Chosen::Bundled => self.read_bundled(reading, job).await,
        }
    }

    fn check_bundled(&self, described: &v1::DescribeResponse) -> Result<()> {
        let Some(certified) = &self.certified else { return Ok(()) };
        certified.certificates.check(described, Some(certified.program_sha256))
    }

    /// The adapters beside those that serve pushes. One that does not answer or lacks a certificate is left out, since no
    /// push needs it.
    async fn those_beside(&self, urls: &[String]) -> Vec<Remote> {
        let mut found = Vec::with_capacity(urls.len());
        for url in urls {
            match self.connected_beside(url).await {
                Ok(remote) => found.push(remote),
                Err(error) => tracing::warn!(%error, url, "an adapter beside is left out until the hub starts again"),
            }
        }
        found
    }

    async fn connected_beside(&self, url: &str) -> Result<Remote> {
        let remote = Remote::connect(url).await?;
        self.check_remote(&remote, false).await?;
        Ok(remote)
    }

    /// Asks again who is there, where it was chosen for its rules or needs a certificate: behind an address another
    /// adapter may stand than before.
    async fn check_remote(&self, remote: &Remote, is_chosen_for_rules: bool) -> Result<()> {
        if self.certified.is_none() && !is_chosen_for_rules {
            return Ok(());
        }
        let described = described(&remote.channel).await;
        let described =
            described.map_err(|status| from_status(&status).context(format_args!("adapter {}", remote.url)))?;
        if is_chosen_for_rules {
            remote.check_rules(&described)?;
        }
        let Some(certified) = &self.certified else { return Ok(()) };
        certified.certificates.check(&described, None).map_err(|e| e.context(format_args!("adapter {}", remote.url)))
    }

    /// Begins to cut a window out of a kept raster, which the bundled adapter wrote.
    pub async fn read_window(&self, reading: &Reading) -> Result<ReadStream> {
        self.read_bundled(reading, Arc::new(self.job().await)).await
    }

    async fn read_remote(
        &self,
        remote: &Remote,
        reading: &Reading,
        job: Arc<OwnedSemaphorePermit>,
    ) -> Result<ReadStream> {
        let mut stream = ReadStream::new(Source::Remote(remote.url.clone()), job, self.time_max);
        self.check_remote(remote, reading.rules.is_some()).await?;
        let requests = bytes_requests(reading).await?;
        stream.begin(client(remote.channel.clone()), requests).await?;
        Ok(stream)
    }

    /// Reads in the place among the running jobs that another reading has, which has ended: with the bundled adapter, or
    /// if rules are asked for, as [`Adapters::read`].
    pub(crate) async fn read_beside(&self, reading: &Reading, job: Arc<OwnedSemaphorePermit>) -> Result<ReadStream> {
        if reading.rules.is_some()
            && let Chosen::Remote(remote) = self.choose(reading)?
        {
            return self.read_remote(remote, reading, job).await;
        }
        self.read_bundled(reading, job).await
    }

    async fn read_bundled(&self, reading: &Reading, job: Arc<OwnedSemaphorePermit>) -> Result<ReadStream> {
        let process = self.bundled.start(Some(&reading.path)).await?;
        let client = process.client();
        let mut stream = ReadStream::new(Source::Process(Box::new(process)), job, self.time_max);
        stream.begin(client, tokio_stream::once(options(reading, true))).await?;
        Ok(stream)
    }

    /// Waits while too many files are being read.
    async fn job(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.jobs).acquire_owned().await.expect("the semaphore is never closed")
    }
}

impl Certified {
    fn open(config: &Config, program: &Path) -> Result<Option<Self>> {
        let (Some(folder), Some(authority)) = (&config.adapter_certificates, &config.adapter_authority) else {
            return Ok(None);
        };
        let certificates = Certificates::open(folder, authority, Arc::new(SystemClock))?;
        let bytes = std::fs::read(program)
            .map_err(|e| Error::unavailable(format!("adapter {} cannot be read", program.display())).caused_by(e))?;
        let mut hasher = Hasher::default();
        hasher.update(&bytes);
        Ok(Some(Self { certificates, program_sha256: hasher.finish() }))
    }
}

async fn connected(urls: &[String]) -> Result<Vec<Remote>> {
    let mut connected = Vec::with_capacity(urls.len());
    for url in urls {
        connected.push(Remote::connect(url).await?);
    }
    Ok(connected)
}

fn client(channel: Channel) -> AdapterServiceClient<Channel> {
    AdapterServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

fn options(reading: &Reading, grant_path: bool) -> v1::AssetRequest {
    let declared = &reading.declared;
    let options = v1::AssetOptions {
        file_name: reading.file_name.clone(),
        media_type: declared.media_type.clone().unwrap_or_default(),
        path: grant_path.then(|| reading.path.to_string_lossy().into_owned()),
        crs: declared.crs.clone(),
        encoding: declared.encoding.clone(),
        layer: match &declared.layers {
            LayerSelection::Named(name) => Some(name.clone()),
            LayerSelection::Only | LayerSelection::All => None,
        },
        all_layers: declared.layers == LayerSelection::All,
        region: declared.region.clone(),
        time_zone: declared.time_zone.clone(),
        mapping: declared.mapping.clone(),
        references: reading.references.clone(),
        expected_schema: reading.expected_schema.clone(),
        window: reading.window.map(Into::into),
        ..v1::AssetOptions::default()
    };
    v1::AssetRequest { message: Some(v1::asset_request::Message::Options(options)) }
}
