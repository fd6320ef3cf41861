//! The bundled adapter: a program that is started for each file, which it may read by path.

use super::process::{Process, Stderr};
use crate::config::Config;
use hyper_util::rt::TokioIo;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tonic::transport::{Channel, Endpoint, Uri};
use ukimet_model::{Error, Result};

/// Switches off what the C library does in another way on another processor: coordinates must be the same to the last
/// bit everywhere. The adapter brings its own sines for the coordinate library in it, but GDAL, which turns arcs into
/// lines, is a shared library and takes those of the system.
const SAME_ON_ANY_PROCESSOR: &str = "glibc.cpu.hwcaps=-FMA,-FMA4";

pub(super) struct Bundled {
    program: PathBuf,
    arguments: Vec<String>,
    scratch: PathBuf,
    cpu_max: Duration,
    cpu_per_mib: Duration,
}

impl Bundled {
    pub(super) fn new(program: PathBuf, config: &Config, scratch: &Path) -> Self {
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
            ("--archives-max", config.archives_max.to_string()),
            ("--examined-bytes", config.examined_bytes_max.to_string()),
            ("--pages-bytes", config.pages_bytes_max.to_string()),
            ("--verdicts-waiting-max", config.verdicts_waiting_max.to_string()),
            ("--raster-bands-max", config.raster_bands_max.to_string()),
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
    pub(super) async fn start(&self, granted: Option<&Path>) -> Result<Process> {
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
            .env("GLIBC_TUNABLES", SAME_ON_ANY_PROCESSOR)
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

pub(super) fn beside_this_program() -> Result<PathBuf> {
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

/// Processor time for a file of this size, in whole seconds, at least one.
fn cpu_seconds(size_bytes: u64, cpu_max: Duration, per_mib: Duration) -> u64 {
    let more_seconds = (u128::from(size_bytes) * u128::from(per_mib.as_secs())).div_ceil(1 << 20);
    let more_seconds = u64::try_from(more_seconds).unwrap_or(u64::MAX);
    cpu_max.as_secs().saturating_add(more_seconds).max(1)
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

#[cfg(test)]
mod tests {
    use super::*;

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
