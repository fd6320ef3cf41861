//! A running adapter process, and what its end means for the publisher.

use super::client;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tonic::transport::Channel;
use ukimet_model::error::quoted;
use ukimet_model::{Error, ErrorKind};
use ukimet_proto::status::from_status;
use ukimet_proto::v1::adapter_service_client::AdapterServiceClient;

/// A running adapter process; dropping it kills it.
pub(super) struct Process {
    pub(super) child: Option<Child>,
    pub(super) channel: Channel,
    pub(super) stderr: Stderr,
    pub(super) scratch: Option<tempfile::TempDir>,
}

/// How long an adapter whose connection broke has to be reaped.
const REAP_MAX: Duration = Duration::from_secs(2);

/// How much of what an adapter writes to its standard error is kept, bytes.
const STDERR_BYTES_MAX: usize = 4096;

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

impl Process {
    pub(super) fn client(&self) -> AdapterServiceClient<Channel> {
        client(self.channel.clone())
    }

    /// The adapter's own error, or what became of the process if it could not say.
    pub(super) async fn explain(&mut self, status: &tonic::Status) -> Error {
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

/// The end of what a child wrote to its standard error.
pub(super) struct Stderr {
    kept: Arc<Mutex<Vec<u8>>>,
    reading: tokio::task::JoinHandle<()>,
}

impl Stderr {
    /// Reads on until the child closes it, so that the child never blocks; keeps the last part.
    pub(super) fn of(child: &mut Child) -> Self {
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
}
