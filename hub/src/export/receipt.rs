//! Receipts of exports: the rows are read once more and hashed, and what was found is signed with the hub's key.

use super::digest::RowsDigest;
use super::{Export, ExportRequest, TextForm};
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;
use ukimet_model::{Clock, Error, Result};
use ukimet_proto::export_receipt::{ExportReceipt, SignedReceipt};
use ukimet_proto::signing::{make_key, public_key, read_key};

/// Makes receipts.
#[derive(Clone)]
pub struct Receipts {
    export: Export,
    secret: [u8; 32],
    clock: Arc<dyn Clock>,
}

impl Receipts {
    /// Signs with the key of a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it holds no key, or cannot be made.
    pub fn open(export: Export, key: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let read = if key.exists() { Ok(()) } else { make_key(key).map(drop) };
        let secret = read.and_then(|()| read_key(key)).map_err(|e| e.context("the key that signs receipts"))?;
        Ok(Self { export, secret, clock })
    }

    /// The hub's public key, 64 hex digits.
    pub fn public_key(&self) -> String {
        public_key(&self.secret)
    }

    /// The receipt of what a request asks for. Stops reading when it is dropped.
    ///
    /// # Errors
    ///
    /// As [`Export::bind`] and [`Export::read`], and what reading fails with.
    pub async fn issue(&self, request: ExportRequest) -> Result<SignedReceipt> {
        // The hashes are over values, however they travel.
        let request = ExportRequest { text: TextForm::Plain, message_bytes: None, ..request };
        let export = self.export.clone();
        let is_pinned = request.segments.is_some() || request.layout.is_some();
        let bound = aside(move || export.bind(request)).await?;
        if is_pinned {
            bound.check_ticket()?;
        }
        let (dataset, dataset_uuid) = (bound.dataset.id.clone(), bound.dataset.uuid.clone());
        let (version, version_hash) = (bound.version.number, bound.version.root_hash);
        // As a ticket it means the same rows, or none.
        let request = ExportRequest { erased_in: bound.erased_in(), ..bound.request.clone() };
        let request = String::from_utf8(request.to_json()).map_err(|e| Error::internal("JSON").caused_by(e))?;
        let schema = Arc::clone(&bound.schema);
        let mut digest = RowsDigest::new(&schema);
        let mut batches = self.export.read(bound)?;
        while let Some(batch) = batches.recv().await {
            let batch = batch?;
            digest = aside(move || digest.add(&batch).map(|()| digest)).await?;
        }
        let (rows, columns) = digest.finish(&schema);
        let issued = self.clock.now();
        let receipt = ExportReceipt { dataset, dataset_uuid, version, version_hash, request, rows, columns, issued };
        Ok(receipt.sign(&self.secret))
    }
}

/// Runs what blocks on a thread that may.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|e| Error::internal("making a receipt").caused_by(e))?
}
