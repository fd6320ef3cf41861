//! Limits of the operating system on what a process may use: they hold whatever a library does.

use rlimit::Resource;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::time::Duration;
use ukimet_model::{Error, ErrorKind, Result};

/// Between the signal that a library may catch and the one that nobody can, in seconds of processor time.
const CPU_GRACE_SECONDS: u64 = 2;

/// What a process may use. A lower limit that it inherits stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Address space in bytes. An allocation above it fails.
    pub memory_bytes: u64,
    /// Processor time of all threads, in whole seconds; `None` for any. Above it the process ends with `SIGXCPU`.
    pub cpu_max: Option<Duration>,
    /// Bytes of a file that it writes. Above it the process ends with `SIGXFSZ`.
    pub file_bytes: u64,
    /// Open files, connections included. Opening one more fails.
    pub open_files: u64,
}

impl ResourceLimits {
    /// Sets the limits for this process, and none of its memory is ever kept in a file.
    ///
    /// # Errors
    ///
    /// `Unavailable` naming the limit that the system refuses.
    pub fn set(&self) -> Result<()> {
        let cpu_seconds = self.cpu_max.map_or(u64::MAX, |cpu_max| cpu_max.as_secs().max(1));
        let limits = [
            (Resource::AS, self.memory_bytes, self.memory_bytes),
            (Resource::FSIZE, self.file_bytes, self.file_bytes),
            (Resource::NOFILE, self.open_files, self.open_files),
            (Resource::CORE, 0, 0),
            // Where both are equal the kernel sends the signal that tells nobody why.
            (Resource::CPU, cpu_seconds, cpu_seconds.saturating_add(CPU_GRACE_SECONDS)),
        ];
        for (resource, soft, hard) in limits {
            let inherited = resource.get_hard().unwrap_or(u64::MAX);
            let hard = hard.min(inherited);
            resource.set(soft.min(hard), hard).map_err(|error| {
                Error::unavailable(format!("the limit {resource:?} could not be set")).caused_by(error)
            })?;
        }
        if let Ok(status) = File::open("/proc/self/status") {
            // The limits of a process are set once; a second time they are as before or lower.
            let _ = MEMORY.set(Memory { status, limit_bytes: self.memory_bytes });
        }
        Ok(())
    }
}

/// The memory limit, and where the kernel tells what of it was used: open before files are closed to the process.
struct Memory {
    status: File,
    limit_bytes: u64,
}

static MEMORY: OnceLock<Memory> = OnceLock::new();

/// From this share of the limit on (one in so many), an error is one of memory: libraries take more at once than they
/// have, and when they do not get it they speak of the file.
const SHARE: u64 = 4;

/// What libraries say where they do speak of memory.
const MEMORY_WORDS: [&str; 4] = ["cannot allocate", "out of memory", "bad_alloc", "memory allocation"];

/// The error of a reader that ran out of files or may have run out of memory: `LimitReached` with what was used and the
/// reader's own words.
pub(crate) fn or_out_of_resources(error: Error) -> Error {
    if error.to_string().contains("Too many open files") {
        let open_files = Resource::NOFILE.get_soft().unwrap_or_default();
        return Error::limit_reached(format!(
            "a job has at most {open_files} files open (adapter-open-files-max), and needed more"
        ))
        .caused_by(error);
    }
    let Some(memory) = MEMORY.get() else { return error };
    let mut status = [0; 4_096];
    let Ok(count) = memory.status.read_at(&mut status, 0) else { return error };
    let used_bytes = peak_bytes(&String::from_utf8_lossy(&status[..count])).unwrap_or_default();
    with_memory(error, used_bytes, memory.limit_bytes)
}

fn with_memory(error: Error, used_bytes: u64, limit_bytes: u64) -> Error {
    let is_of_file = matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::DataLoss | ErrorKind::Internal);
    let text = error.to_string().to_lowercase();
    let says_so = MEMORY_WORDS.iter().any(|words| text.contains(words));
    if !is_of_file || !says_so && used_bytes < limit_bytes / SHARE {
        return error;
    }
    let mib = |bytes: u64| bytes >> 20;
    let (used, limit) = (mib(used_bytes), mib(limit_bytes));
    Error::limit_reached(format!(
        "the reader gave up after it had used {used} MiB; it may map {limit} MiB (adapter-memory-max), and said"
    ))
    .caused_by(error)
}

/// The most memory that the process ever had at once, of the kernel's words about it.
fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_after_much_memory_is_one_of_memory() {
        assert_eq!(peak_bytes("Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(peak_bytes("Name:\ta\n"), None);
        let cut = || Error::data_loss("the file ends early");
        assert_eq!(with_memory(cut(), 10 << 20, 100 << 20).kind(), ErrorKind::DataLoss);
        let error = with_memory(cut(), 40 << 20, 100 << 20);
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert!(error.message().contains("40 MiB") && error.to_string().contains("the file ends early"), "{error}");
        let said = Error::invalid_data("the driver said: Cannot allocate 72000101 bytes");
        assert_eq!(with_memory(said, 0, 100 << 20).kind(), ErrorKind::LimitReached);
        let asked = Error::new(ErrorKind::NotFound, "no such layer");
        assert_eq!(with_memory(asked, 40 << 20, 100 << 20).kind(), ErrorKind::NotFound);
    }
}
