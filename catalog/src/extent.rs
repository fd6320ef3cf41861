//! Where the rows of a version lie and what their geometries are, kept exact while rows come and go.

use crate::search::read_rows;
use crate::segment::shapes;
use crate::segments::SegmentCache;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use ukimet_model::wkb::Shape;
use ukimet_model::{BoundingBox, DatasetUuid, Result, SegmentRef};

/// The box around some rows and their geometry types.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extent {
    /// Box around the rows, OGC:CRS84; `None` if none has a place.
    pub(crate) bounds: Option<BoundingBox>,
    /// Rows by geometry type; rows without a geometry are not counted.
    pub(crate) types: BTreeMap<String, u64>,
}

impl Extent {
    pub(crate) fn add(&mut self, shape: &Shape) {
        *self.types.entry(shape.kind.name().to_owned()).or_default() += 1;
        self.bounds = union(self.bounds, shape.bounds.map(BoundingBox::from));
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (kind, rows) in &other.types {
            *self.types.entry(kind.clone()).or_default() += rows;
        }
        self.bounds = union(self.bounds, other.bounds);
    }

    /// Takes rows away; `false` if the box may be smaller without them.
    pub(crate) fn remove(&mut self, gone: &Self) -> bool {
        for (kind, rows) in &gone.types {
            let left = self.types.get(kind).map_or(0, |before| before.saturating_sub(*rows));
            if left == 0 {
                self.types.remove(kind);
            } else {
                self.types.insert(kind.clone(), left);
            }
        }
        let (Some(all), Some(gone)) = (self.bounds, gone.bounds) else { return true };
        gone.west > all.west && gone.south > all.south && gone.east < all.east && gone.north < all.north
    }
}

/// The box around both; rows without a place have none.
pub(crate) fn union(a: Option<BoundingBox>, b: Option<BoundingBox>) -> Option<BoundingBox> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.union(&b)),
        (a, b) => a.or(b),
    }
}

/// The extent of a version that keeps some rows of the one before.
///
/// `geometry` is the position of the geometry column. Reads the rows that go; those that stay only if one of those that
/// go touched the border, or if more go than stay.
pub(crate) fn extent_after(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    geometry: usize,
    before: (&Extent, &[SegmentRef]),
    after: &[SegmentRef],
) -> Result<Extent> {
    let (mut extent, segments) = (before.0.clone(), before.1);
    let live = |segments: &[SegmentRef]| segments.iter().map(SegmentRef::live_rows).sum::<u64>();
    let kept: Vec<_> = after.iter().filter(|segment| segments.iter().any(|s| s.parquet == segment.parquet)).collect();
    let rows_kept: u64 = kept.iter().map(|segment| segment.live_rows()).sum();
    if rows_kept == live(segments) {
        return Ok(extent);
    }
    if live(segments) - rows_kept <= rows_kept {
        let mut gone = Extent::default();
        for segment in segments {
            let rows = rows_gone(cache, dataset, segment, after)?;
            gone.add_all(&extent_of(cache, dataset, geometry, segment, &rows)?);
        }
        if extent.remove(&gone) {
            return Ok(extent);
        }
    }
    extent = Extent::default();
    for segment in kept {
        let rows = live_rows(cache, dataset, segment)?;
        extent.add_all(&extent_of(cache, dataset, geometry, segment, &rows)?);
    }
    Ok(extent)
}

/// The rows of a segment that a version has.
pub(crate) fn live_rows(cache: &SegmentCache, dataset: &DatasetUuid, segment: &SegmentRef) -> Result<RoaringBitmap> {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(0..segment.rows as u32);
    if let Some(deletes) = cache.deletes(dataset, segment)? {
        rows -= &*deletes;
    }
    Ok(rows)
}

fn rows_gone(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    before: &SegmentRef,
    after: &[SegmentRef],
) -> Result<RoaringBitmap> {
    let mut rows = live_rows(cache, dataset, before)?;
    if let Some(after) = after.iter().find(|segment| segment.parquet == before.parquet) {
        rows -= live_rows(cache, dataset, after)?;
    }
    Ok(rows)
}

/// The extent of some rows of a segment.
pub(crate) fn extent_of(
    cache: &SegmentCache,
    dataset: &DatasetUuid,
    geometry: usize,
    segment: &SegmentRef,
    rows: &RoaringBitmap,
) -> Result<Extent> {
    let mut extent = Extent::default();
    if rows.is_empty() {
        return Ok(extent);
    }
    let open = cache.segment(dataset, segment)?;
    for batch in read_rows(&open, &[geometry], rows, segment.rows)? {
        shapes(&batch?, &[])?.iter().flatten().for_each(|shape| extent.add(shape));
    }
    Ok(extent)
}
