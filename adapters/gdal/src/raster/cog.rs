//! The file that is kept of a raster: a Cloud Optimized `GeoTIFF`, the same bytes for the same source.

use super::losses::found_in_copy;
use super::statistics::{BandStatistics, compare};
use super::{RasterCrs, RasterSource};
use crate::gdal::{BandHead, Copying, OpenOptions, PixelWindow, RasterHead};
use crate::limits::ReadLimits;
use gdal::raster::GdalDataType;
use sha2::{Digest, Sha256 as Hasher};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use ukimet_model::{Diagnostic, Error, Result, Sha256};

/// How every file is written: no loss, tiles that programs expect, nothing taken over from the source's own overviews.
pub(super) const OPTIONS: &[&str] =
    &["COMPRESS=DEFLATE", "LEVEL=6", "BLOCKSIZE=512", "OVERVIEWS=IGNORE_EXISTING", "BIGTIFF=IF_SAFER", "NUM_THREADS=1"];

/// A raster as it is kept.
#[derive(Clone, Debug)]
pub(super) struct MadeRaster {
    pub(super) path: PathBuf,
    pub(super) sha256: Sha256,
    pub(super) size_bytes: u64,
    pub(super) overviews: usize,
    pub(super) statistics: Vec<BandStatistics>,
    pub(super) findings: Vec<Diagnostic>,
}

/// Writes the file, reads it back and compares it with the source.
///
/// # Errors
///
/// `DataLoss` if pixels of the source cannot be read, `LimitReached` for a file that is too large, `Internal` if the file
/// has other pixels than the source.
pub(super) fn make(
    source: &RasterSource,
    head: &RasterHead,
    crs: &RasterCrs,
    path: PathBuf,
    limits: &ReadLimits,
) -> Result<MadeRaster> {
    let crs_wkt = crs.is_declared.then(|| crs.wkt.clone());
    write(source, head, crs_wkt, None, &path)?;
    let (sha256, size_bytes) = hash(&path)?;
    if size_bytes > limits.raster_bytes_max {
        let limit = limits.raster_bytes_max;
        return Err(Error::limit_reached(format!(
            "a raster is kept in at most {limit} bytes, this one needs {size_bytes}"
        )));
    }
    let copy = open(&path)?;
    let copied = copy.head()?;
    let statistics = compare(source, &copy, head)?;
    let findings = found_in_copy(head, &copied, crs, copy.spatial_ref().as_ref(), &statistics);
    let overviews = copied.bands.first().map_or(0, |band| band.overviews);
    Ok(MadeRaster { path, sha256, size_bytes, overviews, statistics, findings })
}

/// Writes a raster, or a window of it, as Cloud Optimized `GeoTIFF`.
pub(super) fn write(
    source: &RasterSource,
    head: &RasterHead,
    crs_wkt: Option<String>,
    window: Option<PixelWindow>,
    path: &Path,
) -> Result<()> {
    let mut options: Vec<String> = OPTIONS.iter().map(|&option| option.to_owned()).collect();
    options.push(format!("OVERVIEW_RESAMPLING={}", resampling(&head.bands)));
    // Values of fewer bits than their type have cannot be predicted from their neighbors.
    let is_plain = head.bands.iter().all(|band| band.bits.is_none());
    options.push(format!("PREDICTOR={}", if is_plain { "YES" } else { "NO" }));
    source.write_cog(path, &Copying { options, crs_wkt, window })?;
    Ok(())
}

/// How overviews are made: averages of what is measured or photographed, else values that stand in the raster. An
/// average of classes would be a class that is not there.
fn resampling(bands: &[BandHead]) -> &'static str {
    let is_classes = |band: &BandHead| band.colors > 0 || band.categories > 0;
    let is_measured = |band: &BandHead| matches!(band.data_type, GdalDataType::Float32 | GdalDataType::Float64);
    let is_picture = |band: &BandHead| ["Red", "Green", "Blue", "Alpha"].contains(&band.color.as_str());
    let is_averaged = |band: &BandHead| !is_classes(band) && (is_measured(band) || is_picture(band));
    if bands.iter().all(is_averaged) { "AVERAGE" } else { "NEAREST" }
}

/// Opens a file that was written here, or one that is kept.
pub(super) fn open(path: &Path) -> Result<RasterSource> {
    let folder = path.parent().unwrap_or(path);
    let siblings = [path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()];
    let how = OpenOptions { driver: "GTiff", options: &[], siblings: &siblings };
    RasterSource::open(path, folder, &how).map(|(source, _)| source)
}

fn hash(path: &Path) -> Result<(Sha256, u64)> {
    let unreadable = |error| Error::unavailable("the copy of a raster could not be read").caused_by(error);
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut hasher, mut size_bytes, mut part) = (Hasher::new(), 0, vec![0; 1 << 20]);
    loop {
        match file.read(&mut part).map_err(unreadable)? {
            0 => return Ok((Sha256(hasher.finalize().into()), size_bytes)),
            count => {
                hasher.update(&part[..count]);
                size_bytes += count as u64;
            }
        }
    }
}
