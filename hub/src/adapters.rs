//! Adapters as the hub knows them: only by the wire.
//!
//! The bundled adapter is a program that is started for each file, with one end of a Unix socket pair as
//! its standard input, so that no one else can reach it and a crash, a hang or a kill ends one push only.
//! Other adapters are reached by address.

use crate::certificates::Certificates;
use crate::config::Config;
use crate::hashing::Hasher;
use futures::Stream;
use hyper_util::rt::TokioIo;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Uri};
use ukimet_model::error::quoted;
use ukimet_model::{BoundingBox, Declarations, Error, ErrorKind, LayerSelection, Result, Sha256, SystemClock};
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
}

/// Every adapter of this hub.
#[derive(Clone)]
pub struct Adapters {
    bundled: Arc<Bundled>,
    remote: Arc<Vec<Remote>>,
    jobs: Arc<Semaphore>,
    time_max: Duration,
    certified: Option<Arc<Certified>>,
}

/// The certificates that adapters need, and the bundled adapter's program as it was at the start.
struct Certified {
    certificates: Certificates,
    program_sha256: Sha256,
}

struct Bundled {
    program: PathBuf,
    arguments: Vec<String>,
    scratch: PathBuf,
    cpu_max: Duration,
    cpu_per_mib: Duration,
}

struct Remote {
    url: String,
    channel: Channel,
    media_types: Vec<String>,
    extensions: Vec<String>,
}

/// Largest message between hub and adapter, bytes: a row may have 64 MiB, and its message a little more.
const MESSAGE_BYTES_MAX: usize = 80 << 20;
/// How much of a file goes in one message to an adapter that has no path to it, bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// How much of what an adapter writes to its standard error is kept, bytes.
const STDERR_BYTES_MAX: usize = 4096;

impl Adapters {
    /// Finds the bundled adapter, asks it and the configured ones what they read.
    ///
    /// The bundled one works in `scratch`, which is absolute, and may read the one file that it is started for.
    ///
    /// # Errors
    ///
    /// `Unavailable` naming the adapter that does not answer, `InvalidRequest` naming the one that lacks a certificate.
    pub async fn open(config: &Config, scratch: &Path) -> Result<Self> {
        let program = config.adapter_program.clone().map_or_else(beside_this_program, Ok)?;
        let certified = Certified::open(config, &program)?.map(Arc::new);
        let mut remote = Vec::new();
        for url in &config.adapters {
            remote.push(Remote::connect(url).await?);
        }
        let adapters = Self {
            bundled: Arc::new(Bundled::new(program, config, scratch)),
            remote: Arc::new(remote),
            jobs: Arc::new(Semaphore::new(config.adapter_jobs_max.max(1))),
            time_max: config.adapter_time_max,
            certified,
        };
        let described = adapters.describe().await?;
        adapters.check_bundled(&described)?;
        for remote in adapters.remote.iter() {
            adapters.check_remote(remote).await?;
        }
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
    pub async fn read(&self, reading: &Reading) -> Result<ReadStream> {
        match self.remote.iter().position(|remote| remote.reads(reading)) {
            Some(index) => self.read_remote(&self.remote[index], reading).await,
            None => self.read_bundled(reading).await,
        }
    }

    fn check_bundled(&self, described: &v1::DescribeResponse) -> Result<()> {
        let Some(certified) = &self.certified else { return Ok(()) };
        certified.certificates.check(described, Some(certified.program_sha256))
    }

    /// Asks again who is there: behind an address another adapter may stand than before.
    async fn check_remote(&self, remote: &Remote) -> Result<()> {
        let Some(certified) = &self.certified else { return Ok(()) };
        let described = client(remote.channel.clone()).describe(v1::DescribeRequest {}).await;
        let described =
            described.map_err(|status| from_status(&status).context(format_args!("adapter {}", remote.url)))?;
        certified
            .certificates
            .check(described.get_ref(), None)
            .map_err(|e| e.context(format_args!("adapter {}", remote.url)))
    }

    /// Begins to cut a window out of a kept raster, which the bundled adapter wrote.
    pub async fn read_window(&self, reading: &Reading) -> Result<ReadStream> {
        self.read_bundled(reading).await
    }

    async fn read_remote(&self, remote: &Remote, reading: &Reading) -> Result<ReadStream> {
        let mut stream = ReadStream::new(Source::Remote(remote.url.clone()), self.job().await, self.time_max);
        self.check_remote(remote).await?;
        let requests = bytes_requests(reading).await?;
        stream.begin(client(remote.channel.clone()), requests).await?;
        Ok(stream)
    }

    async fn read_bundled(&self, reading: &Reading) -> Result<ReadStream> {
        let job = self.job().await;
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

fn beside_this_program() -> Result<PathBuf> {
    let this = std::env::current_exe().map_err(|e| Error::internal("finding this program").caused_by(e))?;
    let program = this.with_file_name("ukimet-adapter-gdal");
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::unavailable(format!(
        "the bundled adapter was expected at {}; build it (cargo build --workspace) or name it with --adapter-program",
        program.display()
    )))
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
        mapping: declared.mapping.clone(),
        references: reading.references.clone(),
        expected_schema: reading.expected_schema.clone(),
        window: reading.window.map(Into::into),
        ..v1::AssetOptions::default()
    };
    v1::AssetRequest { message: Some(v1::asset_request::Message::Options(options)) }
}

/// Options, then the bytes, then their count.
async fn bytes_requests(reading: &Reading) -> Result<impl Stream<Item = v1::AssetRequest> + Send + use<>> {
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

impl Remote {
    async fn connect(url: &str) -> Result<Self> {
        let unreachable = |e: &dyn std::fmt::Display| Error::unavailable(format!("adapter {url} does not answer: {e}"));
        let channel = Endpoint::from_shared(url.to_owned())
            .map_err(|e| unreachable(&e))?
            .connect_timeout(Duration::from_secs(10))
            .connect()
            .await
            .map_err(|e| unreachable(&e))?;
        let described = client(channel.clone()).describe(v1::DescribeRequest {}).await.map_err(|e| unreachable(&e))?;
        let formats = described.into_inner().formats;
        Ok(Self {
            url: url.to_owned(),
            channel,
            media_types: formats.iter().flat_map(|f| f.media_types.clone()).collect(),
            extensions: formats.into_iter().flat_map(|f| f.extensions).collect(),
        })
    }

    fn reads(&self, reading: &Reading) -> bool {
        let extension = Path::new(&reading.file_name).extension().map(|e| e.to_string_lossy().to_lowercase());
        match &reading.declared.media_type {
            Some(media_type) => self.media_types.contains(media_type),
            None => extension.is_some_and(|extension| self.extensions.contains(&extension)),
        }
    }
}

impl Bundled {
    fn new(program: PathBuf, config: &Config, scratch: &Path) -> Self {
        let file_max = config.adapter_file_max.unwrap_or(config.push_bytes_max.max(config.unpacked_bytes_max));
        let arguments = [
            ("--confine", config.adapter_confine.clone()),
            ("--memory-bytes", config.adapter_memory_max.to_string()),
            ("--wall-seconds", config.adapter_time_max.as_secs().to_string()),
            ("--file-bytes", file_max.to_string()),
            ("--open-files", config.adapter_open_files_max.to_string()),
            ("--asset-bytes", config.push_bytes_max.to_string()),
            ("--unpacked-bytes", config.unpacked_bytes_max.to_string()),
            ("--rows-max", config.rows_max.to_string()),
            ("--raster-values-max", config.raster_values_max.to_string()),
            ("--raster-bytes", config.raster_bytes_max.to_string()),
            ("--nesting-max", config.nesting_max.to_string()),
            ("--misplaced-share-max", config.misplaced_share_max.to_string()),
            ("--repair-area-change-max", config.repair_area_change_max.to_string()),
        ];
        // The adapter works in a folder of its own.
        let grids = config.grids.as_ref().and_then(|dir| std::path::absolute(dir).ok());
        let grids = grids.map(|dir| ("--grids", dir.display().to_string()));
        let arguments = arguments.into_iter().chain(grids).flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        let (cpu_max, cpu_per_mib) = (config.adapter_cpu_max, config.adapter_cpu_per_mib);
        Self { program, arguments, scratch: scratch.to_owned(), cpu_max, cpu_per_mib }
    }

    /// Flags that depend on the file: it alone may be read, and a small file may not take long.
    fn grant(&self, file: &Path) -> std::io::Result<[std::ffi::OsString; 4]> {
        let cpu_seconds = cpu_seconds(file.metadata()?.len(), self.cpu_max, self.cpu_per_mib);
        Ok(["--grant".into(), file.into(), "--cpu-seconds".into(), cpu_seconds.to_string().into()])
    }

    /// Starts a process that may read this file by path; without one it only describes itself.
    async fn start(&self, granted: Option<&Path>) -> Result<Process> {
        let failed = |e: std::io::Error| {
            Error::unavailable(format!("adapter {} did not start", self.program.display())).caused_by(e)
        };
        let granted = granted.map(|file| self.grant(file)).transpose().map_err(failed)?;
        let scratch = tempfile::Builder::new().prefix("adapter-").tempdir_in(&self.scratch).map_err(failed)?;
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut child = Command::new(&self.program)
            .args(["--listen", "stdin", "--scratch"])
            .arg(scratch.path())
            .args(&self.arguments)
            .args(granted.into_iter().flatten())
            .env_clear()
            .current_dir(scratch.path())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stderr = Stderr::of(&mut child);
        let channel = connect_over(tokio::net::UnixStream::from_std(ours).map_err(failed)?).await.map_err(|e| {
            Error::unavailable(format!("adapter {} does not answer", self.program.display())).caused_by(e)
        })?;
        Ok(Process { child: Some(child), channel, stderr, scratch: Some(scratch) })
    }
}

/// Processor time for a file of this size, in whole seconds, at least one.
fn cpu_seconds(size_bytes: u64, cpu_max: Duration, per_mib: Duration) -> u64 {
    let more_seconds = (u128::from(size_bytes) * u128::from(per_mib.as_secs())).div_ceil(1 << 20);
    let more_seconds = u64::try_from(more_seconds).unwrap_or(u64::MAX);
    cpu_max.as_secs().saturating_add(more_seconds).max(1)
}

/// The end of what a child wrote to its standard error.
struct Stderr {
    kept: Arc<Mutex<Vec<u8>>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Stderr {
    /// Reads on until the child closes it, so that the child never blocks; keeps the last part.
    fn of(child: &mut Child) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let pipe = child.stderr.take();
        let reading = tokio::spawn({
            let kept = Arc::clone(&kept);
            async move {
                let Some(mut pipe) = pipe else { return };
                let mut buffer = vec![0; STDERR_BYTES_MAX];
                while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(&buffer[..n]);
                    let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
                    kept.drain(..excess);
                }
            }
        });
        Self { kept, reading }
    }

    /// The text, once the child has ended.
    async fn text(&mut self) -> String {
        // A grandchild may hold the pipe open; what has come by then is enough.
        let _ = tokio::time::timeout(REAP_MAX, &mut self.reading).await;
        String::from_utf8_lossy(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// A channel over one connection that exists already; there is no second one to fall back to.
async fn connect_over(stream: tokio::net::UnixStream) -> Result<Channel, tonic::transport::Error> {
    let mut once = Some(stream);
    Endpoint::from_static("http://adapter.invalid")
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(16 << 20)
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let stream = once.take().ok_or_else(|| std::io::Error::other("the adapter's connection is gone"));
            async move { stream.map(TokioIo::new) }
        }))
        .await
}

/// A running adapter process; dropping it kills it.
struct Process {
    child: Option<Child>,
    channel: Channel,
    stderr: Stderr,
    scratch: Option<tempfile::TempDir>,
}

impl Drop for Process {
    /// Kills the child and removes its scratch folder once it is gone, so that it makes no new files in it.
    fn drop(&mut self) {
        let (child, scratch) = (self.child.take(), self.scratch.take());
        if let (Some(mut child), Ok(runtime)) = (child, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = child.kill().await {
                    tracing::warn!(%error, "an adapter was not killed");
                }
                drop(scratch);
            });
        }
    }
}

/// How long an adapter whose connection broke has to be reaped.
const REAP_MAX: Duration = Duration::from_secs(2);

impl Process {
    fn client(&self) -> AdapterServiceClient<Channel> {
        client(self.channel.clone())
    }

    /// The adapter's own error, or what became of the process if it could not say.
    async fn explain(&mut self, status: &tonic::Status) -> Error {
        let broken = matches!(status.code(), tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled);
        if !broken {
            return from_status(status);
        }
        let Some(child) = &mut self.child else { return from_status(status) };
        match tokio::time::timeout(REAP_MAX, child.wait()).await {
            Ok(Ok(exit)) => explain_exit(exit, &self.stderr.text().await),
            _ => from_status(status),
        }
    }
}

/// What the end of an adapter process means for the publisher.
fn explain_exit(exit: ExitStatus, stderr: &str) -> Error {
    let last = stderr.lines().last().map_or_else(String::new, |line| match exit.signal() {
        Some(_) => format!(": {}", quoted(line)),
        None => format!(": {}", last_words(line)),
    });
    let out_of_memory = ["memory allocation", "bad_alloc", "out of memory"].iter().any(|text| stderr.contains(text));
    let (kind, what) = match exit.signal() {
        _ if out_of_memory => (ErrorKind::LimitReached, "needed more memory than adapter-memory-max".to_owned()),
        Some(libc::SIGKILL) => {
            (ErrorKind::Conflict, "was killed (signal 9) while it read the file; push again".to_owned())
        }
        Some(libc::SIGXCPU) => {
            (ErrorKind::TimedOut, "used up its processor time (adapter-cpu-max, adapter-cpu-per-mib)".to_owned())
        }
        Some(libc::SIGXFSZ) => (ErrorKind::LimitReached, "wrote a file above adapter-file-max".to_owned()),
        Some(libc::SIGSYS) => (ErrorKind::InvalidData, "tried what no adapter may do (signal 31)".to_owned()),
        Some(signal) => (ErrorKind::InvalidData, format!("crashed on the file (signal {signal})")),
        None => (ErrorKind::Internal, format!("ended with exit code {}", exit.code().unwrap_or_default())),
    };
    Error::new(kind, format!("adapter gdal {what}{last}"))
}

/// What an adapter says that ended by itself, such as why it does not take its settings; longer than what is quoted.
fn last_words(line: &str) -> String {
    const CHARACTERS_MAX: usize = 512;
    line.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect()
}

enum Source {
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
    fn new(source: Source, job: OwnedSemaphorePermit, time_max: Duration) -> Self {
        let deadline = Instant::now() + time_max;
        Self { source, responses: None, deadline, time_max, job: Arc::new(job) }
    }

    /// The place among the running jobs, for work that may outlive the reading.
    pub fn job(&self) -> Arc<OwnedSemaphorePermit> {
        Arc::clone(&self.job)
    }

    async fn begin(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_adapter_is_explained_by_its_signal() {
        let explained = |raw: i32, stderr: &str| {
            let error = explain_exit(ExitStatus::from_raw(raw), stderr);
            (error.kind(), error.message().to_owned())
        };
        assert_eq!(explained(libc::SIGKILL, "").0, ErrorKind::Conflict);
        assert_eq!(explained(libc::SIGXCPU, "").0, ErrorKind::TimedOut);
        assert_eq!(explained(libc::SIGXFSZ, "").0, ErrorKind::LimitReached);
        assert_eq!(explained(libc::SIGSYS, "").0, ErrorKind::InvalidData);
        let (kind, message) = explained(libc::SIGSEGV, "stack overflow\n");
        assert_eq!(kind, ErrorKind::InvalidData);
        assert_eq!(message, "adapter gdal crashed on the file (signal 11): \"stack overflow\"");
        assert_eq!(explained(libc::SIGABRT, "memory allocation of 9 bytes failed").0, ErrorKind::LimitReached);
        let long = format!("the grid {} is broken", "x".repeat(100));
        assert_eq!(
            explained(1 << 8, &long),
            (ErrorKind::Internal, format!("adapter gdal ended with exit code 1: {long}"))
        );
    }

    #[test]
    fn a_small_file_may_not_take_long_and_a_large_one_longer() {
        let (base, per_mib) = (Duration::from_mins(1), Duration::from_secs(10));
        assert_eq!(cpu_seconds(0, base, per_mib), 60);
        assert_eq!(cpu_seconds(12_288, base, per_mib), 61);
        assert_eq!(cpu_seconds(3 << 20, base, per_mib), 90);
        assert_eq!(cpu_seconds(u64::MAX, base, Duration::MAX), u64::MAX);
        assert_eq!(cpu_seconds(0, Duration::ZERO, Duration::ZERO), 1);
    }
}
