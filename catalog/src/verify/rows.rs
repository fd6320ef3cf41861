//! The rows of every version, read and hashed again; key files and R-trees compared with them.

use super::objects::size_of;
use super::truth::Truth;
use super::{Finding, Run};
use crate::erase::boxes_without;
use crate::erasure::Erasures;
use crate::extent::live_rows;
use crate::key::key_positions;
use crate::keys::{KeyRecord, RootHasher, read_keys};
use crate::layer::schema_of;
use crate::named::Named;
use crate::objects::Objects;
use crate::paths;
use crate::rowhash::{key_hashes, row_hashes};
use crate::rtree::{Candidate, OuterBox, outer_box};
use crate::search::Scan;
use crate::segment::shapes;
use crate::segments::SegmentCache;
use crate::state::{Record, each_record};
use arrow_array::{RecordBatch, new_null_array};
use roaring::RoaringBitmap;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use ukimet_model::{BoundingBox, Dataset, DatasetUuid, Error, Result, RowQuery, SegmentRef, Version};

/// Rows of a segment at most, evenly spread, that are searched for in its R-tree.
const SEARCHED_ROWS: usize = 1000;

/// A segment's rows, those that the version has no more among them.
#[derive(Default)]
struct Rows {
    /// Keys and row hashes.
    hashes: Vec<(u128, u128)>,
    boxes: Vec<Option<OuterBox>>,
}

/// A version whose rows are to be read.
pub(super) struct RowsToCheck {
    pub(super) dataset: Dataset,
    pub(super) version: Box<Version>,
    size_bytes: u64,
    /// Rows of its files that erasures left blank.
    blank: Vec<u64>,
}

impl Run<'_> {
    /// All versions, added to what there is to do.
    pub(super) fn rows_to_check(&mut self, truth: &Truth) -> Result<Vec<RowsToCheck>> {
        let (mut work, mut datasets, mut removed) = (Vec::new(), HashMap::new(), HashSet::new());
        let (mut erasures, mut layouts) = (Erasures::default(), HashMap::new());
        // Keys are in order: datasets, erasures, removals and layouts come before versions.
        each_record(&truth.state, &mut |_, record| {
            match record {
                Record::Dataset { dataset, .. } => drop(datasets.insert(dataset.id.clone(), dataset)),
                Record::Removal { dataset, removal } => drop(removed.insert((dataset, removal.version))),
                Record::Erasure { dataset, erasure } => erasures.add(&dataset, &erasure),
                // The newest comes last.
                Record::Layout { dataset, layout } => drop(layouts.insert((dataset, layout.version), layout)),
                Record::Version { dataset, version } if !removed.contains(&(dataset.clone(), version.number)) => {
                    let layout = layouts.remove(&(dataset.clone(), version.number));
                    let mut version = match layout {
                        Some(layout) => Box::new(layout.lay_out(*version)),
                        None => version,
                    };
                    erasures.apply(&dataset, &mut version);
                    let dataset = datasets.get(&dataset).cloned();
                    work.extend(dataset.map(|dataset| RowsToCheck { dataset, version, size_bytes: 0, blank: vec![] }));
                }
                Record::Version { .. }
                | Record::Push(_)
                | Record::Tag { .. }
                | Record::Note { .. }
                | Record::Operation(_) => (),
            }
            Ok(())
        })?;
        let blank_rows = erasures.blank_rows();
        for RowsToCheck { dataset, version, size_bytes, blank } in &mut work {
            *blank = version.segments.iter().map(|s| blank_rows.get(&s.parquet).copied().unwrap_or(0)).collect();
            let sizes =
                version.segments.iter().map(|s| size_of(self.store, &paths::parquet(&dataset.uuid, &s.parquet)));
            *size_bytes = sizes.sum();
            self.state.bytes_total += *size_bytes;
        }
        self.state.objects_total += work.len() as u64;
        Ok(work)
    }

    pub(super) fn check_rows(&mut self, work: &[RowsToCheck], named: &Named) -> Result<()> {
        let damaged: HashSet<String> = self.report.findings.iter().map(|finding| finding.object.clone()).collect();
        let cache = Arc::new(SegmentCache::new(self.store.clone(), 0));
        for rows in work {
            if !segment_keys(&rows.dataset.uuid, &rows.version).iter().any(|key| damaged.contains(key)) {
                self.check_version(&cache, rows, named)?;
            }
            self.advance(rows.size_bytes);
        }
        Ok(())
    }

    fn check_version(&mut self, cache: &Arc<SegmentCache>, rows: &RowsToCheck, named: &Named) -> Result<()> {
        let RowsToCheck { dataset, version, size_bytes, .. } = rows;
        let what = format!("rows of {}@{}", dataset.id, version.number);
        if self.journal.is_whole(&what, *size_bytes) {
            return Ok(());
        }
        let checked = check_version(cache, self.store, rows).map_err(|(object, e)| (object, e.to_string()));
        self.check_answered()?;
        self.journal.note(&what, *size_bytes, checked.clone().map_err(|(_, reason)| reason))?;
        if let Err((object, reason)) = checked {
            let dependents = named.get(&object).into_iter().flatten().map(ToString::to_string).collect();
            let reason = format!("{}@{}: {reason}", dataset.id, version.number);
            self.report.findings.push(Finding { object, reason, dependents });
        }
        Ok(())
    }
}

pub(super) fn segment_keys(dataset: &DatasetUuid, version: &Version) -> Vec<String> {
    let keys = |segment: &SegmentRef| {
        let tree = segment.rtree.map(|hash| paths::rtree(dataset, &hash));
        let deletes = segment.deletes.map(|deletes| paths::deletes(dataset, &deletes.sha256));
        [Some(paths::parquet(dataset, &segment.parquet)), Some(paths::keys(dataset, &segment.keys)), tree, deletes]
    };
    version.segments.iter().flat_map(keys).flatten().collect()
}

/// Reads a version's rows and hashes them again. An error comes with the object that it is about.
fn check_version(
    cache: &Arc<SegmentCache>,
    store: &Objects,
    RowsToCheck { dataset, version, blank, .. }: &RowsToCheck,
) -> Result<(), (String, Error)> {
    let mut all = Vec::with_capacity(version.rows as usize);
    let first = version.segments.first().map(|segment| paths::parquet(&dataset.uuid, &segment.parquet));
    let whole = first.unwrap_or_else(|| paths::log_entry(version.snapshot.0));
    for (number, segment) in version.segments.iter().enumerate() {
        let parquet = paths::parquet(&dataset.uuid, &segment.parquet);
        let rows = read_rows(cache, dataset, version, number).map_err(|e| (parquet.clone(), e))?;
        if rows.hashes.len() as u64 != segment.rows {
            let message = format!("expected {} rows in a segment, found {}", segment.rows, rows.hashes.len());
            return Err((parquet, Error::internal(message)));
        }
        let keys = paths::keys(&dataset.uuid, &segment.keys);
        let without = check_keys(store, &keys, &rows.hashes, blank[number]).map_err(|e| (keys.clone(), e))?;
        let tree = segment.rtree.map_or(parquet, |hash| paths::rtree(&dataset.uuid, &hash));
        check_tree(cache, dataset, segment, &rows.boxes, &without).map_err(|e| (tree, e))?;
        let deletes = segment.deletes.map_or_else(|| whole.clone(), |d| paths::deletes(&dataset.uuid, &d.sha256));
        let live = live_rows(cache, &dataset.uuid, segment).map_err(|e| (deletes.clone(), e))?;
        if live.len() != segment.live_rows() {
            let message = format!("expected {} rows that are left, found {}", segment.live_rows(), live.len());
            return Err((deletes, Error::internal(message)));
        }
        check_blank(version, &rows.hashes, &without, &live).map_err(|e| (keys, e))?;
        all.extend(live.iter().filter_map(|row| rows.hashes.get(row as usize)));
    }
    check_root(version, all).map_err(|e| (whole, e))
}

fn read_rows(cache: &Arc<SegmentCache>, dataset: &Dataset, version: &Version, number: usize) -> Result<Rows> {
    let key = key_positions(version.key.as_ref(), schema_of(&version.fields)?.as_ref())?;
    let mut version = version.clone();
    version.segments[number].deletes = None;
    // Blank rows have no value in any column.
    version.fields.iter_mut().for_each(|field| field.nullable = true);
    let mut rows = Rows::default();
    for batch in Scan::try_new(Arc::clone(cache), dataset, &version, &RowQuery::default(), number..number + 1)? {
        let batch = batch?;
        let hashes = row_hashes(&batch)?;
        rows.hashes.extend(key_hashes(&batch, &key, &hashes)?.iter().copied().zip(hashes.iter().copied()));
        let shapes = shapes(&batch, &[])?;
        rows.boxes.extend(shapes.iter().map(|shape| shape.as_ref().and_then(|shape| shape.bounds).map(outer_box)));
    }
    Ok(rows)
}

fn check_root(version: &Version, mut hashes: Vec<(u128, u128)>) -> Result<()> {
    let rows = hashes.len() as u64;
    if rows != version.rows {
        return Err(Error::internal(format!("expected {} rows, found {rows}", version.rows)));
    }
    hashes.sort_unstable();
    let mut root = RootHasher::new(schema_of(&version.fields)?.as_ref());
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

/// Compares a key file with its rows, of which `blank` may have no key; answers which these are.
fn check_keys(store: &Objects, key: &str, rows: &[(u128, u128)], blank: u64) -> Result<RoaringBitmap> {
    let records = read_keys(&store.open(key)?)?;
    let fits = |record: &KeyRecord| rows.get(record.position as usize) == Some(&(record.key, record.row));
    let mut without = RoaringBitmap::new();
    without.insert_range(0..rows.len() as u32);
    for record in &records {
        without.remove(record.position);
    }
    let is_whole = records.len() as u64 + without.len() == rows.len() as u64 && records.iter().all(fits);
    if is_whole && records.is_sorted() && without.len() == blank {
        return Ok(without);
    }
    Err(Error::internal("the key file does not fit the rows of its segment"))
}

/// Checks that erased rows have no value and are not the version's.
fn check_blank(version: &Version, rows: &[(u128, u128)], blank: &RoaringBitmap, live: &RoaringBitmap) -> Result<()> {
    if blank.is_empty() {
        return Ok(());
    }
    let schema = schema_of(&version.fields)?;
    let nulls = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    let nulls = RecordBatch::try_new(schema, nulls).map(|row| row_hashes(&row));
    let nulls = nulls.map_err(|e| Error::internal("making a row without values").caused_by(e))??;
    let is_blank = |row: u32| rows.get(row as usize).is_some_and(|(_, hash)| nulls.first() == Some(hash));
    match blank.iter().find(|row| !is_blank(*row) || live.contains(*row)) {
        Some(row) => Err(Error::internal(format!("row {} has no key, as erased rows, but is there", row + 1))),
        None => Ok(()),
    }
}

/// Compares a segment's R-tree with the boxes of its geometries.
fn check_tree(
    cache: &SegmentCache,
    dataset: &Dataset,
    segment: &SegmentRef,
    boxes: &[Option<OuterBox>],
    blank: &RoaringBitmap,
) -> Result<()> {
    let filled = if blank.is_empty() { boxes.to_vec() } else { filled(segment, boxes, blank) };
    let with_place = filled.iter().flatten().count() as u64;
    if with_place != segment.rows_with_place {
        let message = format!("expected {} rows with a place, found {with_place}", segment.rows_with_place);
        return Err(Error::internal(message));
    }
    let Some(tree) = cache.tree(&dataset.uuid, segment)? else {
        return if with_place == 0 { Ok(()) } else { Err(Error::internal("there are places but no R-tree")) };
    };
    // Rows with a place come first in a segment.
    let places = filled.iter().flatten().zip(0_u32..);
    if !tree.items()?.into_iter().eq(places.map(|(place, row)| (row, *place))) {
        return Err(Error::internal("the R-tree does not have the boxes of its segment's geometries"));
    }
    let step = boxes.len().div_ceil(SEARCHED_ROWS).max(1);
    for (row, place) in boxes.iter().enumerate().step_by(step) {
        let Some(place) = place else { continue };
        let window = BoundingBox::from(place.map(f64::from));
        let is_there = |candidate: &Candidate| candidate.row as usize == row && candidate.is_inside;
        if !tree.candidates(&window)?.iter().any(is_there) {
            return Err(Error::internal(format!("a search in the R-tree does not find row {}", row + 1)));
        }
    }
    Ok(())
}

/// The boxes as the tree of a file with blank rows has them.
fn filled(segment: &SegmentRef, boxes: &[Option<OuterBox>], blank: &RoaringBitmap) -> Vec<Option<OuterBox>> {
    let with_place = boxes.iter().zip(0_u32..).take(segment.rows_with_place as usize);
    let items: Vec<_> = with_place.map(|(place, row)| (row, place.unwrap_or_default())).collect();
    boxes_without(&items, blank).into_iter().map(Some).collect()
}
