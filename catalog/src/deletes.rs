//! Deletion bitmaps: which rows of a segment a version has no more, in the portable Roaring format.

use crate::claims::{Claims, ObjectClaim};
use crate::objects::{Object, Objects};
use crate::paths;
use roaring::RoaringBitmap;
use ukimet_model::{DatasetUuid, DeletesRef, Error, Result};

/// Writes a bitmap durably.
pub(crate) fn write_deletes(
    objects: &Objects,
    claims: &Claims,
    dataset: &DatasetUuid,
    rows: &RoaringBitmap,
) -> Result<(DeletesRef, ObjectClaim)> {
    let mut bytes = Vec::with_capacity(rows.serialized_size());
    rows.serialize_into(&mut bytes).map_err(|e| Error::internal("writing a deletion bitmap").caused_by(e))?;
    let sha256 = crate::seal::sha256(&bytes);
    let claim = claims.claim(paths::deletes(dataset, &sha256))?;
    objects.put_if_absent(&claim.key, &bytes)?;
    Ok((DeletesRef { sha256, rows: rows.len() }, claim))
}

/// Reads a bitmap whose bytes are known to be whole.
///
/// # Errors
///
/// `Internal` if it is no bitmap.
pub(crate) fn read_deletes(object: &Object) -> Result<RoaringBitmap> {
    let bytes = object.read(0, object.size_bytes() as usize)?;
    RoaringBitmap::deserialize_from(&bytes[..])
        .map_err(|e| Error::internal("a deletion bitmap does not parse").caused_by(e))
}
