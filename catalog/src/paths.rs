//! Where things lie in the store.

use ukimet_model::{DatasetUuid, Sha256};

pub(crate) const FORMAT: &str = "ukimet.json";
pub(crate) const LOG: &str = "log";
pub(crate) const CHECKPOINTS: &str = "log/checkpoint";
pub(crate) const DATA: &str = "data";
pub(crate) const RAW: &str = "raw";
pub(crate) const RECEIPTS: &str = "receipts";
pub(crate) const BACKUP: &str = "backup";
/// What nodes that collect garbage tell the others.
pub(crate) const COLLECTING: &str = "collecting";
/// Which nodes there are on a shared store, and what each has confirmed.
pub(crate) const NODES: &str = "nodes";
/// Where a bucket is tried out.
pub(crate) const TRIAL: &str = "trial";
pub(crate) const PROJECTION: &str = "projection";
pub(crate) const SCRATCH: &str = "scratch";
pub(crate) const LOCK: &str = "lock";
/// The name of a node, in its directory.
pub(crate) const NODE: &str = "node";
/// Copies of a bucket's objects on the disk of a node.
pub(crate) const CACHE: &str = "cache";

/// Whether a path is of the store itself, and not of what one process keeps beside it.
pub(crate) fn is_of_store(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    matches!(first, "" | FORMAT | LOG | DATA | RAW | RECEIPTS | BACKUP | COLLECTING | NODES | TRIAL)
}

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

/// Whether an object may be large and nothing depends on who made it: whoever does makes the same.
pub(crate) fn is_same_from_everyone(key: &str) -> bool {
    [DATA, RAW, RECEIPTS, CHECKPOINTS]
        .iter()
        .any(|folder| key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether a key is named by what the object holds, so that nobody can put something else there.
pub(crate) fn is_named_by_content(key: &str) -> bool {
    let mut parts = key.split('/');
    match parts.next() {
        Some(RAW | RECEIPTS) => true,
        Some(DATA) => parts.nth(1).is_some_and(|name| !is_beside(name)),
        _ => false,
    }
}

pub(crate) fn raw(hash: &Sha256) -> String {
    format!("{RAW}/{hash}")
}

pub(crate) fn receipt(hash: &Sha256) -> String {
    format!("{RECEIPTS}/{hash}.arrow")
}
