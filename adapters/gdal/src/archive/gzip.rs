//! One file packed by gzip.

use super::budget::{Budget, check_ratio};
use super::not_unpacked;
use crate::limits::ReadLimits;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use ukimet_model::{Error, Result};

/// Unpacks a gzip file; its checksums must be right.
///
/// # Errors
///
/// `DataLoss` if it is cut or changed, `LimitReached`.
pub(crate) fn unpack_gzip(from: &Path, to: &Path, limits: &ReadLimits, budget: &mut Budget) -> Result<()> {
    let gone = |error: std::io::Error| Error::unavailable("the asset could not be read").caused_by(error);
    let packed = File::open(from).map_err(gone)?;
    let packed_bytes = packed.metadata().map_err(gone)?.len();
    let mut file = File::create_new(to).map_err(not_unpacked)?;
    copy(BufReader::new(packed), packed_bytes, limits, budget, &mut |bytes| file.write_all(bytes).map_err(not_unpacked))
}

/// Unpacks gzip in memory.
///
/// # Errors
///
/// As [`unpack_gzip`].
pub(crate) fn unpacked(packed: &[u8], limits: &ReadLimits, budget: &mut Budget) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    copy(packed, packed.len() as u64, limits, budget, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

fn copy(
    packed: impl BufRead,
    packed_bytes: u64,
    limits: &ReadLimits,
    budget: &mut Budget,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = MultiGzDecoder::new(packed);
    let mut buffer = vec![0; 1 << 16];
    let mut size_bytes = 0;
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(|error| Error::data_loss("the gzip file is cut or changed").caused_by(error))?;
        if count == 0 {
            return Ok(());
        }
        size_bytes += count as u64;
        check_ratio("the gzip file", packed_bytes, size_bytes, limits)?;
        budget.spend(count as u64, limits)?;
        take(&buffer[..count])?;
    }
}
