//! What takes the place of files that hold erased rows, and what versions are then.

use super::blank::{BlankFiles, BlankKeys, damaged, write_blank, write_blank_keys};
use super::find::{FileRows, Found};
use crate::catalog::Shared;
use crate::changes::{Change, ChangeList, ListWriter};
use crate::claims::ObjectClaim;
use crate::deletes::write_deletes;
use crate::diff::copy_values;
use crate::erasure::{SegmentSubstitute, VersionFacts, is_same};
use crate::extent::{Extent, extent_of, live_rows};
use crate::keys::{RootHasher, read_keys};
use crate::layer::schema_of;
use crate::objects::Object;
use crate::paths;
use crate::rows::{Place, RowStream};
use crate::successor::publish_changes;
use roaring::RoaringBitmap;
use std::collections::HashMap;
use ukimet_model::batch::geometry_index;
use ukimet_model::{ChangesRef, Dataset, Result, SegmentRef, Sha256, Version};

/// Writes substitutes.
pub(super) struct Rewriter<'a> {
    shared: &'a Shared,
    found: &'a Found,
    files: HashMap<Sha256, BlankFiles>,
    keys: HashMap<Sha256, BlankKeys>,
    pub(super) segments: Vec<SegmentSubstitute>,
    pub(super) claims: Vec<ObjectClaim>,
    /// Facts of versions by their segments before: many versions have the same.
    known: Vec<(Vec<SegmentRef>, RowFacts)>,
}

/// What the rows of a version are like.
#[derive(Clone)]
struct RowFacts {
    erased: u64,
    rows: u64,
    root_hash: Sha256,
    extent: Extent,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(shared: &'a Shared, found: &'a Found) -> Self {
        Self {
            shared,
            found,
            files: HashMap::new(),
            keys: HashMap::new(),
            segments: Vec::new(),
            claims: Vec::new(),
            known: Vec::new(),
        }
    }

    fn dataset(&self) -> &'a Dataset {
        &self.found.dataset
    }

    /// Rows of a file that are erased now; `None` if it stays.
    fn file(&self, parquet: &Sha256) -> Option<&'a FileRows> {
        self.found.files.get(parquet).filter(|file| !file.rows.is_empty())
    }

    /// Writes what takes the place of every file and of every bitmap that goes with it.
    pub(super) fn substitute_all(&mut self) -> Result<()> {
        for version in &self.found.versions {
            for segment in &version.segments {
                let is_done = self.segments.iter().any(|done| is_same(&done.from, segment));
                if let Some(file) = self.file(&segment.parquet).filter(|_| !is_done) {
                    let substitute = self.substitute(segment, file)?;
                    self.segments.push(substitute);
                }
            }
        }
        Ok(())
    }

    fn substitute(&mut self, segment: &SegmentRef, file: &FileRows) -> Result<SegmentSubstitute> {
        let (shared, uuid) = (self.shared, &self.dataset().uuid);
        let mut blank = file.rows.clone();
        blank |= self.blank_before(segment)?;
        let files = if let Some(files) = self.files.get(&segment.parquet) {
            *files
        } else {
            let (files, claims) = write_blank(shared, uuid, &file.schema, segment, &blank)?;
            self.claims.extend(claims);
            *self.files.entry(segment.parquet).or_insert(files)
        };
        let keys = self.keys_without(segment, file)?;
        let before = shared.segments.deletes(uuid, segment)?;
        let rows = before.map_or_else(|| blank.clone(), |before| &*before | &blank);
        let (deletes, claim) = write_deletes(&shared.objects, &shared.claims, uuid, &rows)?;
        self.claims.push(claim);
        let to = SegmentRef {
            parquet: files.parquet,
            rtree: files.rtree,
            keys: keys.keys,
            rows: segment.rows,
            rows_with_place: files.rtree.map_or(0, |_| segment.rows_with_place),
            size_bytes: files.size_bytes + keys.size_bytes,
            deletes: Some(deletes),
        };
        Ok(SegmentSubstitute { from: segment.clone(), to, blank: blank.len() })
    }

    /// Rows that an earlier erasure left blank: the key file does not have them.
    fn blank_before(&self, segment: &SegmentRef) -> Result<RoaringBitmap> {
        let key = paths::keys(&self.dataset().uuid, &segment.keys);
        let mut rows = RoaringBitmap::new();
        rows.insert_range(0..segment.rows as u32);
        for record in read_keys(&self.shared.segments.open(&key, &segment.keys)?)? {
            rows.remove(record.position);
        }
        Ok(rows)
    }

    fn keys_without(&mut self, segment: &SegmentRef, file: &FileRows) -> Result<BlankKeys> {
        if let Some(keys) = self.keys.get(&segment.keys) {
            return Ok(*keys);
        }
        let uuid = &self.dataset().uuid;
        let (keys, claims) = write_blank_keys(self.shared, uuid, &segment.keys, &file.rows)?;
        self.claims.extend(claims);
        self.keys.insert(segment.keys, keys);
        Ok(keys)
    }

    /// What a version is with the substitutes; its receipt and files made of rows as they were.
    pub(super) fn facts(&mut self, version: &Version) -> Result<VersionFacts> {
        let known = self.known.iter().find(|(segments, _)| *segments == version.segments);
        let facts = if let Some((_, facts)) = known {
            facts.clone()
        } else {
            let facts = self.row_facts(version)?;
            self.known.push((version.segments.clone(), facts.clone()));
            facts
        };
        Ok(VersionFacts {
            number: version.number,
            erased: facts.erased,
            rows: facts.rows,
            root_hash: facts.root_hash,
            bbox: facts.extent.bounds,
            geometry_types: facts.extent.types,
            changes: self.changes(version)?,
            receipt: version.receipt,
            receipt_before: version.receipt,
            keeps_assets: facts.erased == 0,
        })
    }

    fn row_facts(&self, version: &Version) -> Result<RowFacts> {
        let to = |segment: &SegmentRef| {
            let substitute = self.segments.iter().find(|substitute| is_same(&substitute.from, segment));
            substitute.map_or_else(|| segment.clone(), |substitute| substitute.to.clone())
        };
        let segments: Vec<_> = version.segments.iter().map(to).collect();
        let rows: u64 = segments.iter().map(SegmentRef::live_rows).sum();
        let extent = Extent { bounds: version.bbox, types: version.geometry_types.clone() };
        if rows == version.rows {
            return Ok(RowFacts { erased: 0, rows, root_hash: version.root_hash, extent });
        }
        let schema = schema_of(&version.fields)?;
        let mut root = RootHasher::new(&schema);
        let mut stream = RowStream::open(&self.shared.segments, &self.dataset().uuid, &segments)?;
        while let Some(row) = stream.next()? {
            root.add(row.key, row.row);
        }
        let extent = match geometry_index(&schema) {
            Some(geometry) => self.extent_without(version, &segments, geometry, extent)?,
            None => extent,
        };
        Ok(RowFacts { erased: version.rows - rows, rows, root_hash: root.finish(), extent })
    }

    /// Reads the rows that go; those that stay only if one of those that go touched the border.
    fn extent_without(
        &self,
        version: &Version,
        segments: &[SegmentRef],
        geometry: usize,
        mut extent: Extent,
    ) -> Result<Extent> {
        let (cache, uuid) = (&self.shared.segments, &self.dataset().uuid);
        let mut gone = Extent::default();
        for (before, after) in version.segments.iter().zip(segments).filter(|(before, after)| before != after) {
            let rows = live_rows(cache, uuid, before)? - live_rows(cache, uuid, after)?;
            gone.add_all(&extent_of(cache, uuid, geometry, before, &rows)?);
        }
        if extent.remove(&gone) {
            return Ok(extent);
        }
        let mut left = Extent::default();
        for segment in segments {
            left.add_all(&extent_of(cache, uuid, geometry, segment, &live_rows(cache, uuid, segment)?)?);
        }
        Ok(left)
    }

    /// A version's change list without the rows. One that counts in files that are no more known, and may have such a
    /// row, goes: differences are then told by comparing. Values of rows in such files go anyway, because nobody looked
    /// whether they are erased.
    fn changes(&mut self, version: &Version) -> Result<Option<ChangesRef>> {
        let Some(changes) = version.changes else { return Ok(None) };
        let key = paths::changes(&self.dataset().uuid, &changes.sha256);
        let (mut list, values) = ChangeList::read(&self.shared.segments.open(&key, &changes.sha256)?)?;
        let is_known = list.segments.iter().all(|segment| self.found.files.contains_key(segment));
        if !is_known && list.changes.iter().any(|change| self.found.hashes.contains(&change.key)) {
            return Ok(None);
        }
        let has_erased = list.segments.iter().any(|segment| self.file(segment).is_some());
        if !has_erased && (is_known || values.is_none()) {
            return Ok(Some(changes));
        }
        let segments = std::mem::take(&mut list.segments);
        let kept = list.changes.iter().filter_map(|change| self.change_left(change, &segments));
        list.changes = kept.collect();
        list.sort();
        for segment in segments {
            let files = self.file(&segment).map(|_| self.files.get(&segment).ok_or_else(|| damaged("a change list")));
            list.segments.push(files.transpose()?.map_or(segment, |files| files.parquet));
        }
        self.write_changes(list, values.as_ref()).map(Some)
    }

    /// What is left of a change; `None` if neither side is. The values before stay if they are still those that differ.
    fn change_left(&self, change: &Change, segments: &[Sha256]) -> Option<Change> {
        let left = |place: &Place| {
            let file = self.file(&segments[place.segment as usize]);
            file.is_none_or(|file| !file.rows.contains(place.position))
        };
        let is_known = |place: &Place| self.found.files.contains_key(&segments[place.segment as usize]);
        let (before, after) = (change.before.filter(left), change.after.filter(left));
        if before.is_none() && after.is_none() {
            return None;
        }
        let is_whole = (before, after) == (change.before, change.after);
        let values = change.values.filter(|_| is_whole && before.as_ref().is_some_and(is_known));
        Some(Change { key: change.key, before, after, columns: change.columns.filter(|_| is_whole), values })
    }

    /// Writes a list anew, and of its values those that some change still has.
    fn write_changes(&mut self, mut list: ChangeList, values: Option<&Object>) -> Result<ChangesRef> {
        let mut writer = ListWriter::begin(&self.shared.objects)?;
        let left: Vec<u32> = list.changes.iter().filter_map(|change| change.values.map(|row| row.position)).collect();
        if let Some(values) = values.filter(|_| !left.is_empty()) {
            copy_values(values, &left, &mut writer)?;
        }
        let rows = list.changes.iter_mut().filter_map(|change| change.values.as_mut());
        rows.zip(0..).for_each(|(values, row)| values.position = row);
        let (changes, claim) = publish_changes(self.shared, &self.dataset().uuid, writer, &list)?;
        self.claims.push(claim);
        Ok(changes)
    }
}
