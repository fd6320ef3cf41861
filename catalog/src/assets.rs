//! Files that are made of rows and belong to a version: taken in parts, durable before the commit that names them.

use crate::claims::{Claims, ObjectClaim};
use crate::objects::{FinishedObject, Object, ObjectWriter, Objects};
use crate::paths;
use bytes::Bytes;
use std::io::Write;
use ukimet_model::error::quoted;
use ukimet_model::{DatasetUuid, DerivedAsset, Error, Result, Sha256};

/// The files of one layer on its way.
pub(crate) struct LayerAssets {
    objects: Objects,
    bytes_max: u64,
    open: Option<OpenAsset>,
    finished: Vec<(DerivedAsset, FinishedObject)>,
}

struct OpenAsset {
    name: String,
    media_type: String,
    row: u64,
    writer: ObjectWriter,
    size_bytes: u64,
}

fn none_is_open() -> Error {
    Error::internal("bytes of a file came before the file")
}

impl LayerAssets {
    /// Files of at most `bytes_max` each.
    pub(crate) fn new(objects: &Objects, bytes_max: u64) -> Self {
        Self { objects: objects.clone(), bytes_max, open: None, finished: Vec::new() }
    }

    pub(crate) fn begin(&mut self, name: String, media_type: String, row: u64) -> Result<()> {
        if let Some(open) = &self.open {
            return Err(Error::internal(format!("the file {} has no end", quoted(&open.name))));
        }
        let writer = self.objects.writer()?;
        self.open = Some(OpenAsset { name, media_type, row, writer, size_bytes: 0 });
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(none_is_open)?;
        open.size_bytes += bytes.len() as u64;
        if open.size_bytes > self.bytes_max {
            let message = format!("a file made of a row has at most {} bytes, more came", self.bytes_max);
            return Err(Error::limit_reached(message));
        }
        open.writer.write_all(bytes).map_err(|e| self.objects.write_error("writing", "a file made of a row", e))
    }

    pub(crate) fn end(&mut self, sha256: Sha256, size_bytes: u64) -> Result<()> {
        let OpenAsset { name, media_type, row, writer, .. } = self.open.take().ok_or_else(none_is_open)?;
        let file = writer.finish()?;
        if (file.sha256, file.size_bytes) != (sha256, size_bytes) {
            return Err(Error::data_loss(format!(
                "the file {} was declared with {size_bytes} bytes and sha256 {}, {} came with {}",
                quoted(&name),
                sha256.short(),
                file.size_bytes,
                file.sha256.short()
            )));
        }
        self.finished.push((DerivedAsset { name, media_type, row, sha256, size_bytes }, file));
        Ok(())
    }

    /// Gives the files their keys, durably.
    ///
    /// # Errors
    ///
    /// `Internal` if a file has no end.
    pub(crate) fn publish(
        self,
        claims: &Claims,
        dataset: &DatasetUuid,
    ) -> Result<(Vec<DerivedAsset>, Vec<ObjectClaim>)> {
        if let Some(open) = &self.open {
            return Err(Error::internal(format!("the file {} has no end", quoted(&open.name))));
        }
        let (mut assets, mut held) = (Vec::new(), Vec::new());
        for (asset, file) in self.finished {
            let claim = claims.claim(paths::asset(dataset, &asset.sha256))?;
            file.publish(&claim.key)?;
            assets.push(asset);
            held.push(claim);
        }
        Ok((assets, held))
    }
}

/// A file of a version whose bytes are known to be whole. Cheap to clone; blocks on reads.
#[derive(Clone)]
pub struct AssetBytes {
    object: Object,
}

impl AssetBytes {
    pub(crate) fn new(object: Object) -> Self {
        Self { object }
    }

    /// How many bytes it has.
    pub fn size_bytes(&self) -> u64 {
        self.object.size_bytes()
    }

    /// A part of it, which must lie inside.
    ///
    /// # Errors
    ///
    /// `Internal` naming the object if it cannot be read.
    pub fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.object.read(offset, length)
    }
}
