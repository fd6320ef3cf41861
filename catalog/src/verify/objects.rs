//! The objects that commits name.

use super::VerifyReport;
use super::truth::{Truth, count_object};
use crate::collect::stored;
use crate::extent::live_rows;
use crate::key::key_positions;
use crate::keys::{KeyRecord, RootHasher, read_keys};
use crate::layer::schema_of;
use crate::objects::Objects;
use crate::paths;
use crate::rowhash::{key_hashes, row_hashes};
use crate::search::Scan;
use crate::segments::SegmentCache;
use crate::transaction::RAW_SEAL;
use roaring::RoaringBitmap;
use sha2::{Digest, Sha256 as Hasher};
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::Arc;
use ukimet_model::{Dataset, Error, Result, RowQuery, SegmentRef, Sha256, Version};

/// How an object is checked.
#[derive(Clone, Copy)]
enum Check {
    /// Its bytes have this hash.
    Bytes(Sha256),
    /// Its bytes end with their hash, and what they decompress to has this hash and size.
    Raw(Sha256, u64),
}

pub(super) fn check_objects(
    store: &Objects,
    truth: &Truth,
    deep: bool,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    // Objects first, names second: what a hub at work adds meanwhile is then unreferenced, never missing.
    let stored = stored(store)?;
    let named = named_objects(truth, report);
    let total = named.len() as u64;
    for (done, (key, check)) in (1..).zip(&named) {
        check_object(store, key, *check, report);
        progress(done, total);
    }
    let unreferenced = stored.iter().filter(|key| !named.contains_key(*key)).count();
    report.unreferenced = unreferenced as u64;
    if deep {
        check_rows(store, truth, report);
    }
    Ok(())
}

fn named_objects(truth: &Truth, report: &mut VerifyReport) -> BTreeMap<String, Check> {
    let mut named = BTreeMap::new();
    for (id, version) in &truth.versions {
        named.insert(paths::receipt(&version.receipt), Check::Bytes(version.receipt));
        let Some(dataset) = truth.datasets.get(id) else {
            if report.is_clean() {
                report.find(paths::log_entry(version.snapshot.0), format!("dataset {id} was never created"));
            }
            continue;
        };
        for segment in &version.segments {
            let uuid = &dataset.uuid;
            named.insert(paths::parquet(uuid, &segment.parquet), Check::Bytes(segment.parquet));
            named.insert(paths::keys(uuid, &segment.keys), Check::Bytes(segment.keys));
            named.extend(segment.rtree.map(|rtree| (paths::rtree(uuid, &rtree), Check::Bytes(rtree))));
            let deletes = segment.deletes.map(|deletes| deletes.sha256);
            named.extend(deletes.map(|hash| (paths::deletes(uuid, &hash), Check::Bytes(hash))));
        }
        let changes = version.changes.map(|changes| changes.sha256);
        named.extend(changes.map(|hash| (paths::changes(&dataset.uuid, &hash), Check::Bytes(hash))));
    }
    for (id, version) in &truth.versions {
        let Some(dataset) = truth.datasets.get(id) else { continue };
        let assets = version.assets.iter().map(|asset| (paths::asset(&dataset.uuid, &asset.sha256), asset.sha256));
        named.extend(assets.map(|(key, sha256)| (key, Check::Bytes(sha256))));
    }
    for push in &truth.pushes {
        named.insert(paths::raw(&push.asset.sha256), Check::Raw(push.asset.sha256, push.asset.size_bytes));
        named.extend(push.tables().map(|table| (paths::receipt(&table.sha256), Check::Bytes(table.sha256))));
    }
    named
}

fn check_object(store: &Objects, key: &str, check: Check, report: &mut VerifyReport) {
    count_object(store, key, report);
    let checked = match check {
        Check::Bytes(hash) => store.open(key).and_then(|object| object.check(&hash)),
        Check::Raw(hash, size_bytes) => check_raw(store, key, &hash, size_bytes),
    };
    if let Err(error) = checked {
        report.find(key, error.to_string());
    }
}

fn check_raw(store: &Objects, key: &str, expected: &Sha256, size_bytes: u64) -> Result<()> {
    let damaged = |reason: &str| Error::internal(format!("object {key} is damaged: {reason}"));
    let object = store.open(key)?;
    let body = object.size_bytes().checked_sub(40).ok_or_else(|| damaged("it is too short"))?;
    let seal = object.read(body, 40)?;
    let mut hasher = Hasher::new();
    copy(object.reader(0).take(body), |bytes| hasher.update(bytes)).map_err(|e| damaged(&e.to_string()))?;
    if seal[..8] != RAW_SEAL || seal[8..] != *hasher.finalize() {
        return Err(damaged("its bytes do not have the sha256 at its end"));
    }
    let (mut hasher, mut found) = (Hasher::new(), 0_u64);
    let decoder = zstd::Decoder::new(object.reader(0)).map_err(|e| damaged(&e.to_string()))?;
    copy(decoder, |bytes| {
        hasher.update(bytes);
        found += bytes.len() as u64;
    })
    .map_err(|e| damaged(&e.to_string()))?;
    if Sha256(hasher.finalize().into()) == *expected && found == size_bytes {
        return Ok(());
    }
    Err(damaged("what it decompresses to is not what was pushed"))
}

fn copy(mut from: impl Read, mut to: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to(&buffer[..count]),
        }
    }
}

fn check_rows(store: &Objects, truth: &Truth, report: &mut VerifyReport) {
    let damaged: HashSet<String> = report.findings.iter().map(|finding| finding.object.clone()).collect();
    let cache = Arc::new(SegmentCache::new(store.clone(), 0));
    for (id, version) in &truth.versions {
        let Some(dataset) = truth.datasets.get(id) else { continue };
        let first = version.segments.first().map(|segment| paths::parquet(&dataset.uuid, &segment.parquet));
        let is_damaged = version.segments.iter().any(|segment| {
            damaged.contains(&paths::parquet(&dataset.uuid, &segment.parquet))
                || damaged.contains(&paths::keys(&dataset.uuid, &segment.keys))
        });
        if is_damaged {
            continue;
        }
        if let Err(error) = check_version(&cache, store, dataset, version) {
            let context = format!("{id}@{}: {error}", version.number);
            report.find(first.unwrap_or_else(|| paths::log_entry(version.snapshot.0)), context);
        }
    }
}

/// Reads a version's rows and hashes them again.
fn check_version(cache: &Arc<SegmentCache>, store: &Objects, dataset: &Dataset, version: &Version) -> Result<()> {
    let schema = schema_of(&version.fields)?;
    let key = key_positions(version.key.as_ref(), &schema)?;
    let mut hashes = Vec::with_capacity(version.rows as usize);
    for (number, segment) in version.segments.iter().enumerate() {
        let from = hashes.len();
        let scan = Scan::try_new(Arc::clone(cache), dataset, version, &RowQuery::default(), number..number + 1)?;
        for batch in scan {
            let batch = batch?;
            let rows = row_hashes(&batch)?;
            hashes.extend(key_hashes(&batch, &key, &rows)?.iter().copied().zip(rows.iter().copied()));
        }
        let live = live_rows(cache, &dataset.uuid, segment)?;
        check_keys(store, dataset, segment, &live, &hashes[from..])?;
    }
    let rows = hashes.len() as u64;
    if rows != version.rows {
        return Err(Error::internal(format!("expected {} rows, found {rows}", version.rows)));
    }
    hashes.sort_unstable();
    let mut root = RootHasher::new(&schema);
    for (key, row) in &hashes {
        root.add(*key, *row);
    }
    let found = root.finish();
    if found == version.root_hash {
        return Ok(());
    }
    let (expected, found) = (version.root_hash.short(), found.short());
    Err(Error::internal(format!("expected rows with root hash {expected}, found {found}")))
}

/// `live` are the rows of the segment that the version has, `hashes` their keys and row hashes, in the same order.
fn check_keys(
    store: &Objects,
    dataset: &Dataset,
    segment: &SegmentRef,
    live: &RoaringBitmap,
    hashes: &[(u128, u128)],
) -> Result<()> {
    let records = read_keys(&store.open(&paths::keys(&dataset.uuid, &segment.keys))?)?;
    let fits = |record: &KeyRecord| {
        let place = live.rank(record.position).checked_sub(1).map(|place| place as usize);
        !live.contains(record.position) || place.and_then(|place| hashes.get(place)) == Some(&(record.key, record.row))
    };
    if records.len() as u64 == segment.rows && records.iter().all(fits) && records.is_sorted() {
        return Ok(());
    }
    Err(Error::internal(format!("its key file {} does not fit its rows", segment.keys.short())))
}
