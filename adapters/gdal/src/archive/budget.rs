//! How much an archive may unpack to.

use crate::limits::ReadLimits;
use ukimet_model::error::quoted;
use ukimet_model::{Error, Result};

/// Below this size a member may unpack at any ratio: small files of zeros are common and harmless.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// What an asset may still unpack to, archives in archives included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    asset_bytes: u64,
    unpacked_bytes: u64,
}

impl Budget {
    /// Nothing of an asset of this size is unpacked yet.
    pub(crate) fn of(asset_bytes: u64) -> Self {
        Self { asset_bytes, unpacked_bytes: 0 }
    }

    /// Takes note of bytes that were unpacked.
    ///
    /// # Errors
    ///
    /// `LimitReached` if they are too many, or too many for the size of the asset.
    pub(crate) fn spend(&mut self, bytes: u64, limits: &ReadLimits) -> Result<()> {
        self.unpacked_bytes += bytes;
        check_ratio("the archive", self.asset_bytes, self.unpacked_bytes, limits)
    }
}

/// Checks how much something unpacks to.
pub(super) fn check_ratio(what: &str, packed_bytes: u64, size_bytes: u64, limits: &ReadLimits) -> Result<()> {
    if size_bytes > limits.unpacked_bytes_max {
        return Err(Error::limit_reached(format!(
            "{} unpacks to at most {} bytes, found more",
            quoted(what),
            limits.unpacked_bytes_max
        )));
    }
    if size_bytes > RATIO_FREE_BYTES && size_bytes / limits.unpack_ratio_max > packed_bytes.max(1) {
        return Err(Error::limit_reached(format!(
            "{} unpacks to at most {} times its size (ratio limit), found {packed_bytes} packed bytes for {size_bytes} or more",
            quoted(what),
            limits.unpack_ratio_max
        )));
    }
    Ok(())
}
