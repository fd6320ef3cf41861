//! `ukimet.json`: which format the store has and which catalog it is.

use crate::objects::{Objects, Put};
use crate::paths;
use crate::seal::{seal, unseal};
use serde::{Deserialize, Serialize};
use ukimet_model::{DatasetUuid, Error, Result, Sha256};

/// The format that this version reads and writes.
const FORMAT: u64 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    format: u64,
    catalog: DatasetUuid,
}

/// Reads the identity of a store; the hash of it is what the first commit builds on.
///
/// # Errors
///
/// `InvalidRequest` if the format is not ours, `Internal` if the file is damaged.
pub(crate) fn read_identity(objects: &Objects) -> Result<Sha256> {
    let bytes = objects.get(paths::FORMAT)?;
    check_format(&bytes)?;
    let damaged = |e: Error| e.context(format!("object {} is damaged", paths::FORMAT));
    let (json, hash) = unseal(&bytes).map_err(damaged)?;
    let _: Identity = serde_json::from_slice(&json)
        .map_err(|e| Error::internal(format!("object {} is not an identity", paths::FORMAT)).caused_by(e))?;
    Ok(hash)
}

fn check_format(bytes: &[u8]) -> Result<()> {
    let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    match value.as_ref().and_then(|v| v.get("format")).and_then(serde_json::Value::as_u64) {
        Some(format) if format != FORMAT => Err(Error::invalid_request(format!(
            "the store has format {format}, this version reads format {FORMAT}: use the version of ukimet that wrote it"
        ))),
        _ => Ok(()),
    }
}

/// Writes the identity of a new store; the one that is there counts if somebody else was first.
pub(crate) fn write_identity(objects: &Objects, random: u128) -> Result<Sha256> {
    let identity = Identity { format: FORMAT, catalog: DatasetUuid::from_random(random) };
    let json = serde_json::to_vec(&identity).map_err(|e| Error::internal("writing the identity").caused_by(e))?;
    let (sealed, hash) = seal(&json);
    match objects.put_if_absent(paths::FORMAT, &sealed)? {
        Put::Created => Ok(hash),
        Put::Existed => read_identity(objects),
    }
}
