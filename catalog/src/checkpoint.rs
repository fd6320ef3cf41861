//! The whole state as of a commit in one file, so that opening costs the live state and not the history.
//!
//! A checkpoint is zstd-compressed NDJSON, the [`Watermark`] first, then a record a line, and it is named by the
//! hash of its bytes.

use crate::objects::Objects;
use crate::paths;
use crate::seal::sha256;
use crate::state::{Digest, KeyValue, Read, Record, Watermark, each_record, watermark_pair};
use std::io::{BufRead, BufReader, Write};
use ukimet_model::{Error, Result, Sha256};

/// Checkpoints that are kept; the ones before are superseded.
const KEPT: usize = 2;
const ZSTD_LEVEL: i32 = 3;
/// Pairs written to the state at once.
const PAGE: usize = 1024;

/// Writes a checkpoint of a state that is at `watermark`, and removes superseded ones.
pub(crate) fn write(objects: &Objects, state: &dyn Read, watermark: &Watermark) -> Result<()> {
    let failed = |e: std::io::Error| Error::unavailable("writing a checkpoint failed").caused_by(e);
    let line = |value: serde_json::Result<Vec<u8>>| {
        value.map_err(|e| Error::internal("writing a checkpoint as JSON").caused_by(e))
    };
    let mut encoder = zstd::Encoder::new(objects.writer()?, ZSTD_LEVEL).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    let (_, header) = watermark_pair(watermark);
    encoder.write_all(&header).and_then(|()| encoder.write_all(b"\n")).map_err(failed)?;
    let mut outcome = Ok(());
    each_record(state, &mut |_, record| {
        if outcome.is_ok() {
            outcome = line(serde_json::to_vec(&record))
                .and_then(|json| encoder.write_all(&json).and_then(|()| encoder.write_all(b"\n")).map_err(failed));
        }
        Ok(())
    })?;
    outcome?;
    let finished = encoder.finish().map_err(failed)?.finish()?;
    let key = paths::checkpoint(watermark.sequence, &finished.sha256);
    finished.publish(&key)?;
    remove_superseded(objects)
}

fn remove_superseded(objects: &Objects) -> Result<()> {
    let names = list(objects)?;
    for (sequence, hash) in names.iter().rev().skip(KEPT) {
        objects.delete(&paths::checkpoint(*sequence, hash))?;
    }
    Ok(())
}

/// Sequence and content hash of the checkpoints there are, oldest first.
pub(crate) fn list(objects: &Objects) -> Result<Vec<(u64, Sha256)>> {
    let names = objects.list(paths::CHECKPOINTS)?;
    Ok(names.iter().filter_map(|name| paths::checkpoint_name(name)).collect())
}

/// The checkpoints whose bytes do not have the hash in their names, as keys of objects. Reads all of them.
pub(crate) fn damaged(objects: &Objects) -> Result<Vec<String>> {
    let mut damaged = Vec::new();
    for (sequence, hash) in list(objects)? {
        let key = paths::checkpoint(sequence, &hash);
        // A newer one may have superseded it meanwhile.
        let Some(object) = objects.open_if_there(&key)? else { continue };
        if object.sha256()? != hash {
            damaged.push(key);
        }
    }
    Ok(damaged)
}

/// Loads a checkpoint into an empty state.
///
/// # Errors
///
/// `Internal` naming the object if it is damaged; the state then holds a part of it.
pub(crate) fn load(objects: &Objects, sequence: u64, hash: &Sha256, into: &dyn KeyValue) -> Result<Watermark> {
    let mut pairs = Vec::with_capacity(PAGE);
    let watermark = read(objects, sequence, hash, &mut |record| {
        pairs.push(record.to_pair());
        if pairs.len() == PAGE {
            into.write(&pairs)?;
            pairs.clear();
        }
        Ok(())
    })?;
    pairs.push(watermark_pair(&watermark));
    into.write(&pairs)?;
    Ok(watermark)
}

/// Reads a checkpoint, checks hash, number and digest, and calls `visit` with each record.
pub(crate) fn read(
    objects: &Objects,
    sequence: u64,
    hash: &Sha256,
    visit: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<Watermark> {
    let key = paths::checkpoint(sequence, hash);
    let damaged = |reason: String| Error::internal(format!("object {key} is damaged: {reason}"));
    let bytes = objects.get(&key)?;
    if sha256(&bytes) != *hash {
        return Err(damaged("its bytes do not have the sha256 in its name".to_owned()));
    }
    let decoder = zstd::Decoder::with_buffer(bytes.as_ref()).map_err(|e| damaged(e.to_string()))?;
    let mut lines = BufReader::new(decoder).lines();
    let header = lines.next().transpose().map_err(|e| damaged(e.to_string()))?.unwrap_or_default();
    let watermark: Watermark = serde_json::from_str(&header).map_err(|e| damaged(e.to_string()))?;
    let mut digest = Digest::default();
    for line in lines {
        let line = line.map_err(|e| damaged(e.to_string()))?;
        let record: Record = serde_json::from_str(&line).map_err(|e| damaged(e.to_string()))?;
        let (pair_key, value) = record.to_pair();
        digest.add(&pair_key, &value);
        visit(record)?;
    }
    if watermark.sequence != sequence || watermark.digest != digest {
        return Err(damaged("its records do not add up to its first line".to_owned()));
    }
    Ok(watermark)
}
