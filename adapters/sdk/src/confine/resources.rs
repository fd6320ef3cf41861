//! Limits of the operating system on what a process may use: they hold whatever a library does.

use rlimit::Resource;
use std::time::Duration;
use ukimet_model::{Error, Result};

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
        Ok(())
    }
}
