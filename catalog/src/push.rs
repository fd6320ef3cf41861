//! What a push brings to the catalog and what stays of it.

use crate::paths;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use ukimet_model::{Asset, DatasetMetadata, Declarations, MappingChange, PushId, PushOutcome, Sha256, TableRef};

/// A push as the hub announces it.
#[derive(Clone, Debug)]
pub struct PushIntent {
    /// The client's name for the push, unique within the agency.
    pub push_id: PushId,
    /// The agency that pushes.
    pub agency: String,
    /// Who pushes, for the log.
    pub principal: String,
    /// Hash over header and bytes: a repeated push has the same one, another push under the same id has not.
    pub digest: Sha256,
    /// The bytes as they were sent.
    pub asset: Asset,
    /// Where those bytes lie. They are copied, compressed, into the store.
    pub raw: PathBuf,
    /// Texts about the datasets; kinds of text that are empty stay as they were.
    pub metadata: DatasetMetadata,
    /// The newest version that the publisher knows of, 0 for none yet; `None` if it does not matter.
    pub expected_version: Option<u64>,
    /// What was declared, the mapping in force included.
    pub declared: Declarations,
    /// Whether that mapping becomes the dataset's.
    pub mapping: MappingChange,
}

/// A push that was committed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushRecord {
    /// The client's name for it.
    pub push_id: PushId,
    /// The agency that pushed.
    pub agency: String,
    /// Hash over header and bytes.
    pub digest: Sha256,
    /// The bytes it brought; they lie under `raw/`.
    pub asset: Asset,
    /// The answer it got.
    pub outcome: PushOutcome,
    /// What was declared; nothing for pushes from before this was kept.
    #[serde(default)]
    pub declared: Declarations,
}

impl PushRecord {
    /// The tables that are kept with the push.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &TableRef> {
        self.outcome.layers.iter().flat_map(|layer| layer.verdicts.iter().chain(&layer.quarantine))
    }

    /// The objects that the push names: its bytes, its tables, and its receipts, which its versions name, too.
    pub(crate) fn objects(&self) -> impl Iterator<Item = String> {
        let tables = self.tables().map(|table| paths::receipt(&table.sha256));
        let receipts = self.outcome.layers.iter().filter_map(|layer| layer.receipt.as_ref()).map(paths::receipt);
        std::iter::once(paths::raw(&self.asset.sha256)).chain(tables).chain(receipts)
    }
}
