//! The rows of some segments in fresh ones, and how those fit a version that came meanwhile.

use crate::catalog::Shared;
use crate::claims::ObjectClaim;
use crate::extent::live_rows;
use crate::key::key_positions;
use crate::keys::{KeyReader, RootHasher};
use crate::layer::{UnwrittenRows, WrittenRows, schema_of, sort_keys};
use crate::paths;
use crate::rowhash::row_hashes;
use crate::rows::RowStream;
use crate::search::Scan;
use crate::segment::shapes;
use crate::sort::Sorter;
use crate::successor::{by_segment, fits, without};
use roaring::RoaringBitmap;
use std::collections::HashMap;
use std::sync::Arc;
use ukimet_model::{Dataset, Result, RowQuery, SegmentRef, Sha256, Version};

/// Segments and what they were written anew from.
pub(super) struct Rewritten {
    /// The version that the rows were read from.
    from: Version,
    old: Vec<SegmentRef>,
    new: WrittenRows,
}

impl Rewritten {
    pub(super) fn claims(&self) -> impl Iterator<Item = &ObjectClaim> {
        self.new.claims.iter()
    }

    /// Bytes of the fresh files.
    pub(super) fn size_bytes(&self) -> u64 {
        self.new.segments.iter().map(|segment| segment.size_bytes).sum()
    }
}

/// Writes the live rows of some segments of a version into fresh ones, durably.
pub(super) fn rewrite(
    shared: &Shared,
    dataset: &Dataset,
    version: &Version,
    old: Vec<SegmentRef>,
) -> Result<Rewritten> {
    let schema = schema_of(&version.fields)?;
    let mut sorter = Sorter::new(&shared.objects, Arc::clone(&schema), shared.options.sort_run_bytes);
    let part = Version { segments: old.clone(), ..version.clone() };
    let mut first = 0;
    for rows in Scan::try_new(Arc::clone(&shared.segments), dataset, &part, &RowQuery::default(), 0..old.len())? {
        let rows = rows?;
        let next = first + rows.num_rows() as u64;
        let keys = sort_keys(&shapes(&rows, &[])?, &row_hashes(&rows)?, &(first..next).collect::<Vec<_>>());
        sorter.push(rows, &keys)?;
        first = next;
    }
    let key = key_positions(version.key.as_ref(), &schema)?;
    let laid_out = version.layout.unwrap_or(version.snapshot);
    let into = (&shared.objects, &shared.claims, &shared.options);
    let occasion = format!("compaction of what commit {laid_out} left");
    let new = UnwrittenRows::new(sorter, schema).write(&dataset.uuid, &key, &occasion, into)?;
    Ok(Rewritten { from: version.clone(), old, new })
}

/// The segments of a version with the fresh ones in the place of the old ones, without the rows that went since; `None`
/// if the version has not what they were written from.
pub(super) fn rebased(
    shared: &Shared,
    dataset: &Dataset,
    rewritten: &Rewritten,
    version: &Version,
) -> Result<Option<(Vec<SegmentRef>, Vec<ObjectClaim>)>> {
    let from = &rewritten.from;
    if !fits(version, schema_of(&from.fields)?.as_ref(), from.key.as_ref()) {
        return Ok(None);
    }
    let is_old = |segment: &SegmentRef| rewritten.old.iter().any(|old| old.parquet == segment.parquet);
    let Some(at) = version.segments.iter().position(is_old) else { return Ok(None) };
    let Some(gone) = rows_gone(shared, dataset, &rewritten.old, &version.segments)? else { return Ok(None) };
    let (fresh, claims) = without_rows(shared, dataset, &rewritten.new.segments, gone)?;
    let mut segments: Vec<_> = version.segments.iter().filter(|segment| !is_old(segment)).cloned().collect();
    // All before the first old one stay.
    segments.splice(at..at, fresh);
    Ok(Some((segments, claims)))
}

/// How often a row of this key and content went.
type Gone = HashMap<(u128, u128), u32>;

/// The rows of some segments that are gone from them now; `None` if others came back.
fn rows_gone(shared: &Shared, dataset: &Dataset, old: &[SegmentRef], now: &[SegmentRef]) -> Result<Option<Gone>> {
    let (cache, uuid) = (&shared.segments, &dataset.uuid);
    let mut gone = Gone::new();
    for segment in old {
        let before = live_rows(cache, uuid, segment)?;
        let after = match now.iter().find(|other| other.parquet == segment.parquet) {
            Some(other) if other.keys != segment.keys => return Ok(None),
            Some(other) => live_rows(cache, uuid, other)?,
            None => RoaringBitmap::new(),
        };
        if !after.is_subset(&before) {
            return Ok(None);
        }
        let rows = before - after;
        if rows.is_empty() {
            continue;
        }
        let mut keys = KeyReader::open(&cache.open(&paths::keys(uuid, &segment.keys), &segment.keys)?)?;
        while let Some(record) = keys.next()? {
            if rows.contains(record.position) {
                *gone.entry((record.key, record.row)).or_default() += 1;
            }
        }
    }
    Ok(Some(gone))
}

/// Segments without rows that went.
fn without_rows(
    shared: &Shared,
    dataset: &Dataset,
    segments: &[SegmentRef],
    mut gone: Gone,
) -> Result<(Vec<SegmentRef>, Vec<ObjectClaim>)> {
    let mut places = Vec::new();
    if !gone.is_empty() {
        let mut rows = RowStream::open(&shared.segments, &dataset.uuid, segments)?;
        while let Some(row) = rows.next()? {
            if let Some(left) = gone.get_mut(&(row.key, row.row)).filter(|left| **left > 0) {
                *left -= 1;
                places.push(row.place);
            }
        }
    }
    without(shared, &dataset.uuid, segments, &by_segment(places))
}

/// Root hash and number of rows of what some segments hold, if they are a version's.
pub(super) fn root_of(
    shared: &Shared,
    dataset: &Dataset,
    version: &Version,
    segments: &[SegmentRef],
) -> Result<(Sha256, u64)> {
    let mut root = RootHasher::new(schema_of(&version.fields)?.as_ref());
    let (mut stream, mut rows) = (RowStream::open(&shared.segments, &dataset.uuid, segments)?, 0);
    while let Some(row) = stream.next()? {
        root.add(row.key, row.row);
        rows += 1;
    }
    Ok((root.finish(), rows))
}
