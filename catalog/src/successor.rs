//! What a dataset's next version is made of: segments of the version before, with the rows that go marked, and new ones.

use crate::catalog::Shared;
use crate::changes::{ChangeGatherer, ChangeList, ListWriter, compare};
use crate::claims::ObjectClaim;
use crate::deletes::write_deletes;
use crate::diff::{Describing, describe};
use crate::erasure::Erasure;
use crate::extent::{Extent, extent_after, extent_of, live_rows};
use crate::key::{key_positions, key_text};
use crate::keys::{KeyReader, RootHasher, write_keys};
use crate::layer::{LayerRows, schema_of};
use crate::paths;
use crate::renewed::{RenewingColumn, renewing_column};
use crate::rows::{LiveRow, LiveRows, Place, RowStream};
use crate::search::read_rows;
use arrow_schema::{Schema, SchemaRef};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, HashSet};
use ukimet_model::batch::geometry_index;
use ukimet_model::{
    ChangeCounts, ChangesRef, DatasetUuid, Error, Key, PushMode, Result, SegmentRef, Sha256, ValidTime, Version,
};

/// A layer's rows, written.
pub(crate) struct Successor {
    pub(crate) uuid: DatasetUuid,
    pub(crate) schema: SchemaRef,
    pub(crate) key: Option<Key>,
    pub(crate) mode: PushMode,
    /// Segments of the version before that stay, with the rows that stay; for a full new state only.
    pub(crate) kept: Vec<SegmentRef>,
    /// Segments of the new rows.
    pub(crate) new: Vec<SegmentRef>,
    /// Of the new rows.
    pub(crate) extent: Extent,
    /// Of the rows that stay; for a full new state only.
    pub(crate) kept_extent: Extent,
    /// Keys and rows that were not written, because the version before has them.
    pub(crate) same: Vec<(u128, u128)>,
    /// Keys of rows that go.
    pub(crate) deleted_keys: Vec<u128>,
    /// The columns that say when a row was so in the world.
    pub(crate) valid_time: Option<ValidTime>,
    /// The key that was found once and does not fit the rows any more.
    pub(crate) lost_key: Option<Key>,
}

/// The rows of a dataset after a layer, compared with those before.
pub(crate) struct State {
    pub(crate) segments: Vec<SegmentRef>,
    pub(crate) root_hash: Sha256,
    pub(crate) rows: u64,
    pub(crate) counts: ChangeCounts,
    /// Keys of rows that were to go and are not there.
    pub(crate) marks_without_row: u64,
    /// The list of changes, where the version before has the same columns and key.
    pub(crate) changes: Option<ChangesRef>,
    pub(crate) extent: Extent,
    /// Rows that are new and have a key that perhaps was erased.
    pub(crate) perhaps_erased: u64,
    /// The column that alone made very many rows new.
    pub(crate) renewing: Option<RenewingColumn>,
    pub(crate) claims: Vec<ObjectClaim>,
}

/// Whether a version has these columns and this key, so that its rows and their hashes mean the same.
pub(crate) fn fits(version: &Version, schema: &Schema, key: Option<&Key>) -> bool {
    let types = |schema: &Schema| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    is_same_key(version.key.as_ref(), key)
        && schema_of(&version.fields).is_ok_and(|found| types(&found) == types(schema))
}

/// Whether rows are told to be the same by the same columns.
pub(crate) fn is_same_key(a: Option<&Key>, b: Option<&Key>) -> bool {
    a.map(|key| &key.columns) == b.map(|key| &key.columns)
}

fn has_segment(segments: &[SegmentRef], segment: &SegmentRef) -> bool {
    segments.iter().any(|other| other.parquet == segment.parquet)
}

/// The extent of those rows of a version that are left in these segments.
fn extent_of_rest(
    shared: &Shared,
    dataset: &DatasetUuid,
    schema: &Schema,
    version: &Version,
    rest: &[SegmentRef],
) -> Result<Extent> {
    let Some(geometry) = geometry_index(schema) else { return Ok(Extent::default()) };
    let before = Extent { bounds: version.bbox, types: version.geometry_types.clone() };
    extent_after(&shared.segments, dataset, geometry, (&before, &version.segments), rest)
}

/// Rows by segment.
type RowsBySegment = BTreeMap<u32, RoaringBitmap>;

pub(crate) fn by_segment(places: impl IntoIterator<Item = Place>) -> RowsBySegment {
    let mut rows = RowsBySegment::new();
    for place in places {
        rows.entry(place.segment).or_default().insert(place.position);
    }
    rows
}

/// Segments without some more of their rows; those of which nothing is left are left out.
pub(crate) fn without(
    shared: &Shared,
    dataset: &DatasetUuid,
    segments: &[SegmentRef],
    gone: &RowsBySegment,
) -> Result<(Vec<SegmentRef>, Vec<ObjectClaim>)> {
    let (mut left, mut claims) = (Vec::with_capacity(segments.len()), Vec::new());
    for (segment, number) in segments.iter().zip(0..) {
        let Some(gone) = gone.get(&number) else {
            left.push(segment.clone());
            continue;
        };
        let before = shared.segments.deletes(dataset, segment)?;
        let rows = before.map_or_else(|| gone.clone(), |before| &*before | gone);
        if rows.len() < segment.rows {
            let (deletes, claim) = write_deletes(&shared.objects, &shared.claims, dataset, &rows)?;
            left.push(SegmentRef { deletes: Some(deletes), ..segment.clone() });
            claims.push(claim);
        }
    }
    Ok((left, claims))
}

impl Successor {
    /// Writes the rows of a layer durably, for a push of this name.
    pub(crate) fn write(shared: &Shared, layer: LayerRows, push: &str) -> Result<(Self, Vec<ObjectClaim>)> {
        let LayerRows { uuid, schema, plan, matched, deleted_keys, extent, unwritten } = layer;
        let (mut kept, mut claims) = match plan.base.as_ref().filter(|_| plan.mode == PushMode::Replace) {
            Some(base) => without(shared, &uuid, &base.segments, &by_segment(matched.gone))?,
            None => (Vec::new(), Vec::new()),
        };
        let kept_extent = match &plan.base {
            Some(base) => extent_of_rest(shared, &uuid, &schema, base, &kept)?,
            None => Extent::default(),
        };
        let is_beside = plan.mode != PushMode::Replace && plan.base.is_some() && deleted_keys.is_empty();
        let mut new = Vec::new();
        if !unwritten.is_empty() || (kept.is_empty() && !is_beside) {
            let into = (&shared.objects, &shared.claims, &shared.options);
            let written = unwritten.write(&uuid, &plan.key_positions, push, into)?;
            new = written.segments;
            claims.extend(written.claims);
        }
        // The key of a first version was found in all its rows.
        let is_kept = plan.mode == PushMode::Replace && plan.base.is_some();
        let is_found = is_kept && plan.key.as_ref().is_some_and(|key| !key.is_declared);
        let is_lost = matched.lost_key || (is_found && has_repeated_key(shared, &uuid, &new)?);
        if is_lost {
            for segments in [&mut kept, &mut new] {
                let (rewritten, more) = without_key(shared, &uuid, segments)?;
                *segments = rewritten;
                claims.extend(more);
            }
        }
        let (key, lost_key) = if is_lost { (None, plan.key) } else { (plan.key, None) };
        let (mode, same, valid_time) = (plan.mode, matched.same, plan.valid_time);
        let successor =
            Self { uuid, schema, key, mode, kept, new, extent, kept_extent, same, deleted_keys, valid_time, lost_key };
        Ok((successor, claims))
    }

    /// What the dataset is after the layer, if `base` is its newest version and `erasures` came before.
    ///
    /// # Errors
    ///
    /// `InvalidData` naming keys that two new rows have; `Conflict` if what the layer relies on is there no more.
    pub(crate) fn state(&self, shared: &Shared, base: Option<&Version>, erasures: &[Erasure]) -> Result<State> {
        let (mut segments, mut claims, marks_without_row) = match (self.mode, base) {
            (PushMode::Replace, _) | (_, None) => (self.kept.clone(), Vec::new(), self.deleted_keys.len() as u64),
            (PushMode::Upsert | PushMode::Append, Some(base)) => self.base_without(shared, base)?,
        };
        let (new, more) = self.new_without_known(shared, base)?;
        claims.extend(more);
        segments.extend(new);
        if segments.iter().any(|segment| segment.live_rows() > 0) {
            segments.retain(|segment| segment.live_rows() > 0);
        } else if let Some(empty) = self.new.first() {
            // A segment without rows holds the schema of a version without any.
            segments = vec![empty.clone()];
        }
        claims.extend(self.claim(shared, &segments)?);
        Ok(State { marks_without_row, ..self.compared(shared, base, segments, erasures, claims)? })
    }

    /// Holds the objects that the state names, so that none goes before the commit.
    fn claim(&self, shared: &Shared, segments: &[SegmentRef]) -> Result<Vec<ObjectClaim>> {
        let keys = segments.iter().flat_map(|segment| segment_objects(&self.uuid, segment));
        keys.map(|key| shared.claims.claim(key)).collect()
    }

    /// The segments of the newest version without the rows that this layer replaces or deletes, and how many it deletes
    /// that are not there.
    fn base_without(&self, shared: &Shared, base: &Version) -> Result<(Vec<SegmentRef>, Vec<ObjectClaim>, u64)> {
        if !fits(base, &self.schema, self.key.as_ref()) {
            return Err(Error::conflict("columns or key of the dataset changed while the push was read, push again"));
        }
        if self.key.is_none() {
            return Ok((base.segments.clone(), Vec::new(), 0));
        }
        let live = LiveRows::load(&shared.segments, &self.uuid, &base.segments)?;
        for (key, row) in &self.same {
            if !live.find(*key).any(|i| live.rows()[i].row == *row) {
                return Err(Error::conflict("rows that the push relies on changed while it was read, push again"));
            }
        }
        let mut gone = Vec::new();
        let mut new = RowStream::open(&shared.segments, &self.uuid, &self.new)?;
        let mut keys = HashSet::new();
        while let Some(row) = new.next()? {
            if !self.deleted_keys.is_empty() {
                keys.insert(row.key);
            }
            let before = live.find(row.key).filter(|i| live.rows()[*i].row != row.row);
            let before: Vec<_> = before.map(|i| live.rows()[i].place).collect();
            if self.mode == PushMode::Append && !before.is_empty() {
                return Err(Error::conflict("a row with a key of the push was added while it was read"));
            }
            gone.extend(before);
        }
        let mut marks_without_row = 0;
        for key in &self.deleted_keys {
            if keys.contains(key) || self.same.binary_search_by_key(key, |(key, _)| *key).is_ok() {
                return Err(Error::invalid_data("a row is both changed and marked as deleted in one push"));
            }
            let rows = live.find(*key);
            marks_without_row += u64::from(rows.is_empty());
            gone.extend(rows.map(|i| live.rows()[i].place));
        }
        let (segments, claims) = without(shared, &self.uuid, &base.segments, &by_segment(gone))?;
        Ok((segments, claims, marks_without_row))
    }

    /// The new segments without the rows that a version has, which came between, has by now.
    fn new_without_known(
        &self,
        shared: &Shared,
        base: Option<&Version>,
    ) -> Result<(Vec<SegmentRef>, Vec<ObjectClaim>)> {
        let Some(base) = base.filter(|_| self.mode != PushMode::Replace && self.key.is_some()) else {
            return Ok((self.new.clone(), Vec::new()));
        };
        let mut known = Vec::new();
        let stream = |segments| RowStream::open(&shared.segments, &self.uuid, segments);
        let mut before = stream(&base.segments)?;
        let mut new = stream(&self.new)?;
        let mut old = before.next()?;
        while let Some(row) = new.next()? {
            while old.is_some_and(|old| old.key < row.key) {
                old = before.next()?;
            }
            if old.is_some_and(|old| (old.key, old.row) == (row.key, row.row)) {
                known.push(row.place);
            }
        }
        without(shared, &self.uuid, &self.new, &by_segment(known))
    }

    fn compared(
        &self,
        shared: &Shared,
        base: Option<&Version>,
        segments: Vec<SegmentRef>,
        erasures: &[Erasure],
        mut claims: Vec<ObjectClaim>,
    ) -> Result<State> {
        let fits = base.is_some_and(|base| fits(base, &self.schema, self.key.as_ref()));
        let stream = |segments: &[SegmentRef]| RowStream::open(&shared.segments, &self.uuid, segments);
        let before = match base {
            Some(base) if is_same_key(base.key.as_ref(), self.key.as_ref()) => Some(stream(&base.segments)?),
            // The rows that were found by a key are compared as a whole, as those that have none.
            Some(base) if self.key.is_none() => {
                Some(LiveRows::load(&shared.segments, &self.uuid, &base.segments)?.into_whole_rows())
            }
            _ => None,
        };
        let is_compared = before.is_some();
        let hashes = |segments: &[SegmentRef]| segments.iter().map(|segment| segment.parquet).collect::<Vec<_>>();
        let (old, new) = (base.map_or_else(Vec::new, |base| hashes(&base.segments)), hashes(&segments));
        let mut gatherer = ChangeGatherer::new(&old, &new);
        let mut root = RootHasher::new(&self.schema);
        let (mut rows, mut last, mut repeated) = (0, None, Vec::new());
        let each = |row: &LiveRow| {
            if last.replace(row.key) == Some(row.key) && self.key.is_some() {
                repeated.push(row.place);
            }
            rows += 1;
            root.add(row.key, row.row);
            Ok(())
        };
        let mut perhaps_erased = 0;
        compare(before, stream(&segments)?, each, |change| {
            let is_new = change.before.is_none();
            perhaps_erased += u64::from(is_new && erasures.iter().any(|erasure| erasure.perhaps_erased(change.key)));
            gatherer.add(change);
        })?;
        if !repeated.is_empty() {
            return Err(self.repeated_keys(shared, &segments, &repeated)?);
        }
        let mut counts = gatherer.counts;
        if let Some(base) = base.filter(|_| !is_compared) {
            counts.removed = base.rows;
        }
        let (mut changes, mut renewing) = (None, None);
        if fits && counts != ChangeCounts::default() {
            let before = base.map_or(&[][..], |base| &base.segments);
            let (written, claim, column) = self.write_changes(shared, (before, &segments), gatherer)?;
            claims.push(claim);
            (changes, renewing) = (Some(written), column);
        }
        let extent = self.extent_of(shared, base, &segments)?;
        let root_hash = root.finish();
        let marks_without_row = 0;
        Ok(State {
            segments,
            root_hash,
            rows,
            counts,
            marks_without_row,
            changes,
            extent,
            perhaps_erased,
            renewing,
            claims,
        })
    }

    /// Writes the list of changes, and with few what they are; of very many tells whether one column alone made them.
    fn write_changes(
        &self,
        shared: &Shared,
        (before, after): (&[SegmentRef], &[SegmentRef]),
        gatherer: ChangeGatherer<'_>,
    ) -> Result<(ChangesRef, ObjectClaim, Option<RenewingColumn>)> {
        let (counts, mut list) = (gatherer.counts, gatherer.finish());
        list.sort();
        let mut writer = ListWriter::begin(&shared.objects)?;
        let (cache, dataset, schema) = (&shared.segments, &self.uuid, &self.schema);
        let limits = &shared.options.described_changes;
        let renewing = if limits.describes(counts, before.iter().map(SegmentRef::live_rows).sum()) {
            let is_strewn = limits.is_strewn(&list, shared.options.page_rows);
            let values = is_strewn.then(|| writer.values(&self.schema)).transpose()?;
            describe(&Describing { cache, dataset, schema, before, after }, &mut list, values)?;
            None
        } else {
            renewing_column(cache, dataset, schema, (before, after), &list)?
        };
        let (changes, claim) = publish_changes(shared, &self.uuid, writer, &list)?;
        Ok((changes, claim, renewing))
    }

    fn extent_of(&self, shared: &Shared, base: Option<&Version>, segments: &[SegmentRef]) -> Result<Extent> {
        let (mut extent, base) = match (self.mode, base) {
            (PushMode::Replace, _) | (_, None) => (self.kept_extent.clone(), None),
            (PushMode::Upsert | PushMode::Append, Some(base)) => {
                (extent_of_rest(shared, &self.uuid, &self.schema, base, segments)?, Some(base))
            }
        };
        let is_old = |segment: &SegmentRef| base.is_some_and(|base| has_segment(&base.segments, segment));
        let own: Vec<_> = segments.iter().filter(|segment| has_segment(&self.new, segment)).collect();
        let Some(geometry) = geometry_index(&self.schema) else { return Ok(extent) };
        if own.iter().all(|segment| segment.deletes.is_none() && !is_old(segment)) {
            extent.add_all(&self.extent);
            return Ok(extent);
        }
        // Some of the new rows came by another push meanwhile.
        for segment in own.into_iter().filter(|segment| !is_old(segment)) {
            let rows = live_rows(&shared.segments, &self.uuid, segment)?;
            extent.add_all(&extent_of(&shared.segments, &self.uuid, geometry, segment, &rows)?);
        }
        Ok(extent)
    }

    fn repeated_keys(&self, shared: &Shared, segments: &[SegmentRef], places: &[Place]) -> Result<Error> {
        const SHOWN_MAX: usize = 5;
        let positions = key_positions(self.key.as_ref(), &self.schema)?;
        let mut shown = Vec::new();
        for (segment, rows) in by_segment(places.iter().copied().take(SHOWN_MAX)) {
            let segment = &segments[segment as usize];
            let open = shared.segments.segment(&self.uuid, segment)?;
            for batch in read_rows(&open, &positions, &rows, segment.rows)? {
                let batch = batch?;
                let all: Vec<usize> = (0..batch.num_columns()).collect();
                for row in 0..batch.num_rows() {
                    shown.push(key_text(&batch, &all, row)?);
                }
            }
        }
        let columns = self.key.as_ref().map_or_else(String::new, |key| key.columns.join(", "));
        Ok(Error::invalid_data(format!(
            "key {columns} names one row each, but {} rows repeat a key, e.g. {}",
            places.len(),
            shown.join("; ")
        )))
    }
}

/// Writes a list durably.
pub(crate) fn publish_changes(
    shared: &Shared,
    dataset: &DatasetUuid,
    writer: ListWriter,
    list: &ChangeList,
) -> Result<(ChangesRef, ObjectClaim)> {
    let mut counts = ChangeCounts::default();
    list.changes.iter().for_each(|change| change.count_in(&mut counts));
    let finished = writer.finish(list)?;
    let sha256 = finished.sha256;
    let claim = shared.claims.claim(paths::changes(dataset, &sha256))?;
    finished.publish(&claim.key)?;
    Ok((ChangesRef { sha256, counts }, claim))
}

/// The objects that a segment of a version consists of.
pub(crate) fn segment_objects(dataset: &DatasetUuid, segment: &SegmentRef) -> Vec<String> {
    let mut keys = vec![paths::parquet(dataset, &segment.parquet), paths::keys(dataset, &segment.keys)];
    keys.extend(segment.rtree.map(|rtree| paths::rtree(dataset, &rtree)));
    keys.extend(segment.deletes.map(|deletes| paths::deletes(dataset, &deletes.sha256)));
    keys
}

/// Whether two rows of some segments have one key.
fn has_repeated_key(shared: &Shared, dataset: &DatasetUuid, segments: &[SegmentRef]) -> Result<bool> {
    let (mut rows, mut last) = (RowStream::open(&shared.segments, dataset, segments)?, None);
    while let Some(row) = rows.next()? {
        if last.replace(row.key) == Some(row.key) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Segments whose key files have every whole row as its key: what is left when a key is given up.
pub(crate) fn without_key(
    shared: &Shared,
    dataset: &DatasetUuid,
    segments: &[SegmentRef],
) -> Result<(Vec<SegmentRef>, Vec<ObjectClaim>)> {
    let (mut rewritten, mut claims) = (Vec::with_capacity(segments.len()), Vec::new());
    for segment in segments {
        let object = shared.segments.open(&paths::keys(dataset, &segment.keys), &segment.keys)?;
        let (mut reader, mut records) = (KeyReader::open(&object)?, Vec::with_capacity(segment.rows as usize));
        while let Some(mut record) = reader.next()? {
            record.key = record.row;
            records.push(record);
        }
        let mut writer = shared.objects.writer()?;
        write_keys(&mut writer, records).map_err(|e| shared.objects.write_error("writing", "a key file", e))?;
        let finished = writer.finish()?;
        let keys = finished.sha256;
        let claim = shared.claims.claim(paths::keys(dataset, &keys))?;
        finished.publish(&claim.key)?;
        claims.push(claim);
        rewritten.push(SegmentRef { keys, ..segment.clone() });
    }
    Ok((rewritten, claims))
}
