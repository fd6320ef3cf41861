//! Where things lie in the store.

use ukimet_model::{DatasetUuid, Sha256};

pub(crate) const FORMAT: &str = "ukimet.json";
pub(crate) const LOG: &str = "log";
pub(crate) const CHECKPOINTS: &str = "log/checkpoint";
pub(crate) const DATA: &str = "data";
pub(crate) const RAW: &str = "raw";
pub(crate) const RECEIPTS: &str = "receipts";
pub(crate) const PROJECTION: &str = "projection";
pub(crate) const SCRATCH: &str = "scratch";
pub(crate) const LOCK: &str = "lock";

/// The directories that every store has.
pub(crate) const DIRECTORIES: [&str; 6] = [LOG, CHECKPOINTS, DATA, RAW, RECEIPTS, SCRATCH];

pub(crate) fn log_entry(sequence: u64) -> String {
    format!("{LOG}/{sequence:020}.json")
}

/// The sequence in a log entry's file name; `None` for any other name.
pub(crate) fn log_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// A checkpoint is named by its content, so that a changed byte shows.
pub(crate) fn checkpoint(sequence: u64, content: &Sha256) -> String {
    format!("{CHECKPOINTS}/{sequence:020}.{content}.ndjson.zst")
}

/// Sequence and content hash in a checkpoint's file name.
pub(crate) fn checkpoint_name(name: &str) -> Option<(u64, Sha256)> {
    let (digits, rest) = name.split_once('.')?;
    Some((digits.parse().ok()?, rest.strip_suffix(".ndjson.zst")?.parse().ok()?))
}

pub(crate) fn parquet(dataset: &DatasetUuid, hash: &Sha256) -> String {
    format!("{DATA}/{dataset}/{hash}.parquet")
}

pub(crate) fn rtree(dataset: &DatasetUuid, hash: &Sha256) -> String {
    format!("{DATA}/{dataset}/{hash}.rtree")
}

pub(crate) fn keys(dataset: &DatasetUuid, hash: &Sha256) -> String {
    format!("{DATA}/{dataset}/{hash}.keys")
}

pub(crate) fn deletes(dataset: &DatasetUuid, hash: &Sha256) -> String {
    format!("{DATA}/{dataset}/{hash}.deletes")
}

pub(crate) fn changes(dataset: &DatasetUuid, hash: &Sha256) -> String {
    format!("{DATA}/{dataset}/{hash}.changes")
}

pub(crate) fn asset(dataset: &DatasetUuid, hash: &Sha256) -> String {
    format!("{DATA}/{dataset}/{hash}.tif")
}

/// Whether a name in a dataset's folder, or a path below it, is of a projection that other programs read.
pub(crate) fn is_beside(name: &str) -> bool {
    name.starts_with('_')
}

pub(crate) fn raw(hash: &Sha256) -> String {
    format!("{RAW}/{hash}")
}

pub(crate) fn receipt(hash: &Sha256) -> String {
    format!("{RECEIPTS}/{hash}.arrow")
}
