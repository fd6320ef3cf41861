//! Downloads: the rows that a request means as a file, whole or a range of its bytes.
//!
//! The bytes of a file follow from what is asked and from the files that hold the version's rows, so its entity tag is known
//! before a row is read, and a range is served by writing the file again and leaving out what is before. Nothing is kept
//! between two requests but lengths.

mod coding;
mod lengths;
mod queue;
mod sending;
mod stage;

use crate::export::{Bound, Export, ExportRequest};
use crate::files::{FileFormat, FileOptions, FileSubject, Scratch, WRITER_VERSION};
use crate::kept::KeptStreams;
use crate::metrics::Metrics;
use crate::staging::Room;
use crate::usage::Usage;
use clap::Args;
pub use coding::Coding;
use lengths::Lengths;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ukimet_model::{Dataset, Error, Result, Version};

/// How much a download may cost.
#[derive(Args, Clone, Copy, Debug)]
pub struct DownloadLimits {
    /// Largest file that is made before it is sent (.fgb, .gpkg, .shp.zip, .xlsx), with what is needed to make it.
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = crate::config::parse_bytes)]
    pub download_bytes_max: u64,

    /// Files of these formats that are made or sent at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub download_files_max: usize,

    /// Downloads that may run at the same time; each that is sent while it is written has a thread of its own.
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub downloads_max: usize,

    /// A download of which the client takes nothing this long is broken off.
    #[arg(long, value_name = "TIME", default_value = "2min", value_parser = crate::config::parse_time)]
    pub download_idle_max: Duration,
}

/// The way out over HTTP.
#[derive(Clone)]
pub struct Downloads {
    export: Export,
    metrics: Arc<Metrics>,
    usage: Usage,
    kept: KeptStreams,
    /// Where files are made that are sent when they are complete.
    scratch: PathBuf,
    room: Room,
    limits: DownloadLimits,
    files: Arc<Semaphore>,
    running: Arc<Semaphore>,
    lengths: Arc<Lengths>,
}

/// What is asked for, beside the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The format.
    pub format: FileFormat,
    /// What the reader chose of it.
    pub options: FileOptions,
    /// How the bytes are compressed on their way.
    pub coding: Coding,
}

/// A file as it would be sent.
#[derive(Clone)]
pub struct Representation {
    /// The rows: the request, bound to a version.
    pub request: ExportRequest,
    /// The form.
    pub form: Form,
    /// The dataset.
    pub dataset: Dataset,
    /// The version.
    pub version: Version,
    /// The strong entity tag, quoted: the same for the same bytes only.
    pub tag: String,
    /// Whether it has all rows of the version.
    pub is_whole: bool,
}

/// Where downloads find what they need.
pub struct DownloadParts {
    /// The read path.
    pub export: Export,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who reads which columns.
    pub usage: Usage,
    /// What went out before.
    pub kept: KeptStreams,
    /// A folder that is emptied when the hub starts.
    pub scratch: PathBuf,
    /// Whether the disk has room.
    pub room: Room,
}

impl Downloads {
    /// The way out, with limits.
    pub fn new(parts: DownloadParts, limits: DownloadLimits) -> Self {
        let DownloadParts { export, metrics, usage, kept, scratch, room } = parts;
        let files = Arc::new(Semaphore::new(limits.download_files_max.max(1)));
        let running = Arc::new(Semaphore::new(limits.downloads_max.max(1)));
        Self { export, metrics, usage, kept, scratch, room, limits, files, running, lengths: Arc::default() }
    }

    /// Who reads which columns.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Room for one more download.
    fn permit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.running).try_acquire_owned().map_err(|_| {
            Error::limit_reached("as many downloads are running as downloads-max allows, try again shortly")
        })
    }

    /// What a request would be answered with. Blocks on the catalog's state, and reads no rows.
    ///
    /// # Errors
    ///
    /// As [`Export::bind`]; `LimitReached` for more rows than the format takes, if that is known by now.
    pub fn represent(&self, request: ExportRequest, form: Form) -> Result<Representation> {
        Ok(self.bind(request, form)?.1)
    }

    fn bind(&self, request: ExportRequest, form: Form) -> Result<(Bound, Representation)> {
        let bound = self.export.bind(request)?;
        let (tag, is_whole) = (tag(&bound, form), bound.is_whole());
        let (request, dataset, version) = (bound.request.clone(), bound.dataset.clone(), bound.version.clone());
        Ok((bound, Representation { request, form, dataset, version, tag, is_whole }))
    }

    /// Binds the rows of a representation again.
    ///
    /// # Errors
    ///
    /// `Unavailable` if they lie in other files since: then the bytes are others too.
    fn bind_again(&self, representation: &Representation) -> Result<Bound> {
        let (bound, again) = self.bind(representation.request.clone(), representation.form)?;
        if again.tag == representation.tag {
            return Ok(bound);
        }
        Err(Error::unavailable("the files of the version were written anew meanwhile, ask again"))
    }

    fn subject(&self, bound: &Bound, form: Form) -> FileSubject {
        FileSubject {
            name: bound.dataset.id.name().to_owned(),
            schema: Arc::clone(&bound.schema),
            published_s: Some(bound.version.committed.as_second()),
            scratch: Scratch::new(self.scratch.clone(), self.limits.download_bytes_max),
            options: form.options,
        }
    }
}

/// What the bytes of a file follow from: the rows in the order of the files that hold them, the question, the form and
/// those who write it.
fn tag(bound: &Bound, form: Form) -> String {
    let Form { format, options, coding } = form;
    let of = json!({
        "writer": [WRITER_VERSION, env!("CARGO_PKG_VERSION"), rusqlite::version()],
        "rows": bound.identity(),
        "format": [format.name(), options.is_raw, options.has_bom, coding.name()],
    });
    format!("\"{}\"", hex::encode(Sha256::digest(of.to_string().as_bytes())))
}
