//! Sample files of an adapter's own format, and what its author says is in them.

use crate::adapter::{Adapter, ReadFailure, asset};
use crate::failure::{Failure, Verdict};
use crate::generate::File;
use crate::reading::Reading;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tonic::Status;
use ukimet_model::{Error, Result};
use ukimet_proto::v1::{AssetOptions, AssetRequest};

/// The manifest's name in the folder of the samples.
pub const MANIFEST: &str = "samples.toml";

/// Bytes of one sample at most: requirements read it many times.
const SAMPLE_BYTES_MAX: u64 = 64 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// What a manifest says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    sample: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    media_type: Option<String>,
    crs: Option<String>,
    encoding: Option<String>,
    #[serde(default)]
    open_ended: bool,
    layer: Vec<Expected>,
}

/// What a layer of a sample holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its name.
    pub name: String,
    /// Rows that come out.
    pub rows: u64,
    /// Rows that are refused.
    #[serde(default)]
    pub refused: u64,
    /// Published names of its columns in order, the geometry among them.
    pub columns: Vec<String>,
    /// The CRS that its report names; absent for a table without places.
    pub crs: Option<String>,
}

/// A sample file.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its name and bytes.
    pub file: File,
    /// Where it is on this machine, absolute.
    pub path: PathBuf,
    /// What is declared about it; every layer is asked for.
    pub options: AssetOptions,
    /// Whether its format has no end of its own, as lines of text: a cut file is a shorter one and nobody can tell.
    pub is_open_ended: bool,
    /// What it holds.
    pub layers: Vec<Expected>,
}

impl Sample {
    /// Its messages with these options in place of its own.
    pub fn with(&self, change: impl FnOnce(&mut AssetOptions)) -> Vec<AssetRequest> {
        let mut options = self.options.clone();
        change(&mut options);
        asset(options, &self.file.bytes, CHUNK_BYTES)
    }

    /// Its messages.
    pub fn requests(&self) -> Vec<AssetRequest> {
        self.with(|_| ())
    }

    /// The same sample with other bytes.
    #[must_use]
    pub fn of_bytes(&self, bytes: impl Into<bytes::Bytes>) -> Self {
        Self { file: File::new(&self.file.name, bytes), ..self.clone() }
    }
}

/// An adapter and samples of what it reads.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// The adapter.
    pub adapter: Adapter,
    /// The samples, at least one.
    pub samples: Vec<Sample>,
    /// Whether the adapter was told that it may read files below the folder of the samples.
    pub is_granted: bool,
}

/// How an adapter answered to a file.
#[derive(Debug)]
pub enum Answer {
    /// With rows, complete and as the contract says.
    Read(Box<Reading>),
    /// With a status.
    Refused(Status),
}

impl Sampled {
    /// Everything the adapter reads from a sample that must be readable.
    pub async fn read(&self, sample: &Sample) -> Verdict<Reading> {
        match self.answer(sample.requests()).await? {
            Answer::Read(reading) => Ok(*reading),
            Answer::Refused(status) => Err(Failure::from(status).context(&sample.file.name)),
        }
    }

    /// What the adapter makes of these messages. A broken contract is a failure, a status is an answer.
    pub async fn answer(&self, requests: Vec<AssetRequest>) -> Verdict<Answer> {
        answer(&self.adapter, requests).await
    }
}

/// As [`Sampled::answer`].
pub async fn answer(adapter: &Adapter, requests: Vec<AssetRequest>) -> Verdict<Answer> {
    match adapter.read(requests).await {
        Ok(reading) => {
            reading.is_complete()?;
            reading.verdicts_agree()?;
            Ok(Answer::Read(Box::new(reading)))
        }
        Err(ReadFailure::Refused(status)) => Ok(Answer::Refused(status)),
        Err(ReadFailure::Malformed(failure)) => Err(failure),
    }
}

/// Reads the manifest of a folder and the samples that it names.
///
/// # Errors
///
/// `InvalidRequest` naming what is wrong with the manifest or the file that is missing.
pub fn load(folder: &Path) -> Result<Vec<Sample>> {
    let folder = folder.canonicalize().map_err(|e| unusable(folder, e))?;
    let path = folder.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|e| unusable(&path, e))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|e| unusable(&path, e))?;
    if manifest.sample.is_empty() {
        return Err(Error::invalid_request(format!("{} names at least one sample, found none", path.display())));
    }
    manifest.sample.into_iter().map(|entry| sample(&folder, entry)).collect()
}

fn sample(folder: &Path, entry: Entry) -> Result<Sample> {
    let path = folder.join(&entry.file);
    let size_bytes = std::fs::metadata(&path).map_err(|e| unusable(&path, e))?.len();
    if size_bytes == 0 || size_bytes > SAMPLE_BYTES_MAX || entry.layer.is_empty() {
        return Err(Error::invalid_request(format!(
            "a sample has 1 to {SAMPLE_BYTES_MAX} bytes and a layer, found {} with {size_bytes} bytes and {} layers",
            path.display(),
            entry.layer.len()
        )));
    }
    let bytes = std::fs::read(&path).map_err(|e| unusable(&path, e))?;
    let options = AssetOptions {
        file_name: entry.file.clone(),
        media_type: entry.media_type.unwrap_or_default(),
        crs: entry.crs,
        encoding: entry.encoding,
        all_layers: true,
        ..AssetOptions::default()
    };
    Ok(Sample {
        file: File::new(&entry.file, bytes),
        path,
        options,
        is_open_ended: entry.open_ended,
        layers: entry.layer,
    })
}

fn unusable(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid_request(format!("{} cannot be used: {error}", path.display()))
}
