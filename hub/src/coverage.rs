//! The read path of rasters: the kept file by ranges, or a part of it that an adapter cuts.

use crate::adapters::{Adapters, Reading};
use crate::api::body::incident;
use crate::export::Export;
use crate::hashing::Hasher;
use crate::ingest::{COG_MEDIA_TYPE, asset_sha256};
use bytes::Bytes;
use futures::Stream;
use std::fs::File;
use std::io::{Seek, Write};
use std::ops::Range;
use std::path::PathBuf;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;
use ukimet_catalog::{AssetBytes, Snapshot};
use ukimet_model::{
    BoundingBox, Dataset, Declarations, DerivedAsset, Error, ErrorKind, Result, Sha256, SnapshotId, Version,
    VersionSelector,
};
use ukimet_proto::v1::read_response::Message;

/// Bytes that are read and sent at once.
const PART_BYTES: usize = 256 << 10;

/// The read path of rasters.
#[derive(Clone)]
pub struct Coverages {
    /// Where snapshots come from, and how many reads there may be at a time.
    pub export: Export,
    /// Who cuts.
    pub adapters: Adapters,
    /// The folder whose files the bundled adapter may read.
    pub staged: PathBuf,
    /// The name of that folder below the data directory.
    pub staged_name: String,
    /// Where files without a name are made.
    pub scratch: PathBuf,
    /// Bytes of a part that is cut.
    pub bytes_max: u64,
}

/// A raster of a version, bound to its bytes.
pub struct Coverage {
    /// The dataset.
    pub dataset: Dataset,
    /// The version.
    pub version: Version,
    /// The file.
    pub asset: DerivedAsset,
    bytes: AssetBytes,
    snapshot: Snapshot,
    permit: OwnedSemaphorePermit,
}

impl Coverages {
    /// Finds a raster of a version, as of a snapshot or the newest; `number` counts from 1. The first time, its bytes are read and hashed.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown dataset or version, or if it has no such raster; `LimitReached` if too many exports are
    /// running.
    pub async fn find(&self, selector: VersionSelector, as_of: Option<SnapshotId>, number: usize) -> Result<Coverage> {
        let permit = self.export.permit()?;
        let snapshot = self.export.snapshot_as_of(as_of)?;
        blocking(move || {
            let (dataset, version) = snapshot.version(&selector)?;
            let position = number.checked_sub(1);
            let asset = position.and_then(|position| version.assets.get(position)).cloned().ok_or_else(|| {
                let (id, at, count) = (&dataset.id, version.number, version.assets.len());
                Error::not_found(match (count, &version.erased) {
                    (0, Some(erased)) => format!(
                        "the rasters of {id}@{at} went with {} rows that were erased on {}",
                        erased.rows, erased.erased
                    ),
                    (0, None) => format!("{id}@{at} has no raster; its rows are at the other doors"),
                    _ => format!("{id}@{at} has {count} rasters, counted from 1, there is no {number}"),
                })
            })?;
            let bytes = snapshot.asset(&dataset, &asset)?;
            Ok(Coverage { dataset, version, asset, bytes, snapshot, permit })
        })
        .await
    }

    /// Cuts the part of a raster that a box touches, as a file of its own without a name; how many bytes it has.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if the box does not touch the raster or crosses the antimeridian, `LimitReached` for a part that
    /// is too large, what the adapter says.
    pub async fn cut(&self, coverage: Coverage, bbox: BoundingBox) -> Result<(File, u64)> {
        let failed = |e| Error::unavailable("making room for a part of a raster").caused_by(e);
        let folder = tempfile::Builder::new().prefix("window-").tempdir_in(&self.staged).map_err(failed)?;
        let name = folder.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let to = format!("{}/{name}/kept-raster.tif", self.staged_name);
        let coverage = blocking(move || {
            coverage.snapshot.link_asset(&coverage.dataset, &coverage.asset, &to)?;
            Ok(coverage)
        })
        .await?;
        let reading = Reading {
            path: folder.path().join("kept-raster.tif"),
            file_name: "kept-raster.tif".to_owned(),
            declared: Declarations { media_type: Some("image/tiff".to_owned()), ..Declarations::default() },
            window: Some(bbox),
            ..Reading::default()
        };
        let taken = self.take_window(&reading).await;
        drop((folder, coverage));
        // The file was written by us, so what does not fit is the request.
        taken.map_err(|error| match error.kind() {
            ErrorKind::InvalidData => Error::invalid_request(error.message().to_owned()),
            _ => error,
        })
    }

    async fn take_window(&self, reading: &Reading) -> Result<(File, u64)> {
        let failed = |e| Error::unavailable("keeping a part of a raster").caused_by(e);
        let mut file = tempfile::tempfile_in(&self.scratch).map_err(failed)?;
        let mut stream = self.adapters.read_window(reading).await?;
        let (mut hasher, mut size_bytes, mut declared) = (Hasher::default(), 0_u64, None);
        while let Some(message) = stream.next().await? {
            match message {
                Message::AssetBegin(begin) if begin.media_type == COG_MEDIA_TYPE => (),
                Message::AssetData(data) => {
                    size_bytes += data.len() as u64;
                    if size_bytes > self.bytes_max {
                        let message = format!("a part of a raster has at most {} bytes, ask for less", self.bytes_max);
                        return Err(Error::limit_reached(message));
                    }
                    hasher.update(&data);
                    file.write_all(&data).map_err(failed)?;
                }
                Message::AssetEnd(end) => declared = Some((asset_sha256(&end)?, end.size_bytes)),
                Message::Summary(_) => break,
                _ => {
                    return Err(Error::internal(
                        "the adapter was asked for a part of a raster and gave something else",
                    ));
                }
            }
        }
        if declared != Some((hasher.finish(), size_bytes)) {
            return Err(Error::data_loss("the part of the raster did not come whole"));
        }
        file.rewind().map_err(failed)?;
        Ok((file, size_bytes))
    }
}

impl Coverage {
    /// How many bytes the file has.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.size_bytes()
    }

    /// The hash of the file.
    pub fn sha256(&self) -> Sha256 {
        self.asset.sha256
    }

    /// A range of the file, which lies inside, in parts.
    pub fn parts(self, range: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
        async_stream::stream! {
            let _permit = self.permit;
            let mut at = range.start;
            while at < range.end {
                let (bytes, length) = (self.bytes.clone(), PART_BYTES.min((range.end - at) as usize));
                let part = blocking(move || bytes.read(at, length)).await;
                at += length as u64;
                let is_last = part.is_err();
                yield part;
                if is_last {
                    return;
                }
            }
        }
    }
}

/// A file from where it stands, in parts.
pub fn file_parts(file: File) -> impl Stream<Item = Result<Bytes>> + Send {
    let mut file = tokio::fs::File::from_std(file);
    async_stream::stream! {
        loop {
            let mut part = vec![0; PART_BYTES];
            match file.read(&mut part).await {
                Ok(0) => return,
                Ok(count) => {
                    part.truncate(count);
                    yield Ok(part.into());
                }
                Err(error) => {
                    yield Err(Error::unavailable("reading a part of a raster").caused_by(error));
                    return;
                }
            }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| incident(panic.into_panic().as_ref()))?
}
