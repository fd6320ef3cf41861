//! Reads of the state as of one commit.

use super::{
    Damage, Pair, Read, Record, dataset_key, decode, erasure_key, key, layout_key, operation_key, push_key,
    removal_key, tag_key, version_key,
};
use crate::erasure::{Erasure, apply_all};
use crate::layout::Layout;
use crate::operation::OperationRecord;
use crate::push::PushRecord;
use jiff::Timestamp;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use ukimet_model::{
    Dataset, DatasetId, Note, OperationId, PushId, Removal, SnapshotId, Tag, TagName, Version, VersionNumber,
};

/// Pairs fetched at once where many are walked.
const PAGE: usize = 256;

/// The state as of one commit, whatever came later.
pub(crate) struct View<'a> {
    pairs: &'a dyn Read,
    sequence: u64,
    /// The commit up to which it is known what was removed: what is gone is gone, whenever one looks from.
    known: u64,
    /// The erasures of the dataset that was looked at last.
    erasures: RefCell<Option<(DatasetId, Rc<[Erasure]>)>>,
    /// The commit as of which rows are looked for in files: files go once others took their place.
    laid_out: u64,
}

impl<'a> View<'a> {
    pub(crate) fn new(pairs: &'a dyn Read, sequence: u64) -> Self {
        Self { pairs, sequence, known: sequence, erasures: RefCell::default(), laid_out: sequence }
    }

    /// The same view of one who knows which versions were removed, and which files took the place of others, up to a
    /// later commit.
    pub(crate) fn knowing(self, known: u64) -> Self {
        Self { known, laid_out: known, ..self }
    }

    /// The same view, with the rows in the files that they lay in as of a commit.
    pub(crate) fn laid_out_as_of(self, laid_out: u64) -> Self {
        Self { laid_out, ..self }
    }

    /// The commit that is looked from.
    pub(crate) fn snapshot(&self) -> SnapshotId {
        SnapshotId(self.sequence)
    }

    pub(crate) fn dataset(&self, id: &DatasetId) -> Result<Option<Dataset>, Damage> {
        let pair = self.pairs.last(&dataset_key(id, 0), &dataset_key(id, self.sequence))?;
        pair.map(|(_, value)| decode(&value)).transpose()
    }

    pub(crate) fn version(&self, id: &DatasetId, number: VersionNumber) -> Result<Option<Version>, Damage> {
        let version: Option<Version> =
            self.pairs.get(&version_key(id, number))?.map(|value| decode(&value)).transpose()?;
        let there = version.filter(|version| version.snapshot.0 <= self.sequence);
        there.map(|version| self.seen(id, version)).transpose()
    }

    /// A version with its rows where they lie, without those that were erased: what is erased is erased, whenever one
    /// looks from, and so are the files that others had taken the place of by then.
    fn seen(&self, id: &DatasetId, version: Version) -> Result<Version, Damage> {
        let laid_out = self.laid_out.max(self.last_erasure(id)?);
        let (from, to) = (layout_key(id, version.number, 0), layout_key(id, version.number, laid_out));
        let layout: Option<Layout> = self.pairs.last(&from, &to)?.map(|(_, value)| decode(&value)).transpose()?;
        let mut version = match layout {
            Some(layout) => layout.lay_out(version),
            None => version,
        };
        apply_all(&self.erasures(id)?, &mut version);
        Ok(version)
    }

    /// All erasures of a dataset, whatever commit is looked from, the oldest first.
    pub(crate) fn erasures(&self, id: &DatasetId) -> Result<Rc<[Erasure]>, Damage> {
        if let Some((_, erasures)) = self.erasures.borrow().as_ref().filter(|(looked, _)| looked == id) {
            return Ok(Rc::clone(erasures));
        }
        let last = self.pairs.last(&erasure_key(id, 0), &erasure_key(id, u64::MAX))?;
        let erasures: Vec<Erasure> = if last.is_some() { self.walk("e/", id.as_str(), &[])? } else { Vec::new() };
        let erasures: Rc<[Erasure]> = erasures.into();
        *self.erasures.borrow_mut() = Some((id.clone(), Rc::clone(&erasures)));
        Ok(erasures)
    }

    /// The commit of the last erasure of a dataset; 0 if there was none.
    pub(crate) fn last_erasure(&self, id: &DatasetId) -> Result<u64, Damage> {
        Ok(self.erasures(id)?.last().map_or(0, |erasure| erasure.snapshot.0))
    }

    /// Erasures since a push of rows of its agency, whatever commit is looked from, the oldest first.
    pub(crate) fn erasures_since(&self, record: &PushRecord) -> Result<Vec<Erasure>, Damage> {
        let from = [b"e/", record.agency.as_bytes(), b"/"].concat();
        let to = [from.as_slice(), &[0xff]].concat();
        let mut erasures: Vec<Erasure> = self.values(from, &to)?;
        erasures.retain(|erasure| erasure.snapshot > record.outcome.snapshot);
        erasures.sort_by_key(|erasure| erasure.snapshot);
        Ok(erasures)
    }

    /// The last erasure of any dataset that took an object.
    pub(crate) fn erasure_of(&self, object: &str) -> Result<Option<Erasure>, Damage> {
        let (mut from, mut found) = (b"e/".to_vec(), None);
        loop {
            let page: Vec<Pair> = self.pairs.page(&from, b"e0", PAGE)?;
            for (_, value) in &page {
                let erasure: Erasure = decode(value)?;
                found = if erasure.objects.iter().any(|gone| gone == object) { Some(erasure) } else { found };
            }
            let Some((last, _)) = page.last() else { return Ok(found) };
            from = [last.as_slice(), &[0]].concat();
        }
    }

    pub(crate) fn newest_version(&self, id: &DatasetId) -> Result<Option<Version>, Damage> {
        let mut to = u64::MAX;
        loop {
            let pair = self.pairs.last(&version_key(id, VersionNumber(0)), &version_key(id, VersionNumber(to)))?;
            let Some((_, value)) = pair else { return Ok(None) };
            let version: Version = decode(&value)?;
            if version.snapshot.0 <= self.sequence {
                return self.seen(id, version).map(Some);
            }
            to = version.number.0.saturating_sub(1);
        }
    }

    /// The number of the newest version that was committed at or before a time: commits never go back in time.
    pub(crate) fn version_at(&self, id: &DatasetId, time: Timestamp) -> Result<Option<VersionNumber>, Damage> {
        let (mut before, mut after) = (0, self.newest_version(id)?.map_or(0, |version| version.number.0) + 1);
        while before + 1 < after {
            let middle = before.midpoint(after);
            if self.version_there(id, VersionNumber(middle))?.committed <= time {
                before = middle;
            } else {
                after = middle;
            }
        }
        Ok((before > 0).then_some(VersionNumber(before)))
    }

    fn version_there(&self, id: &DatasetId, number: VersionNumber) -> Result<Version, Damage> {
        let version = self.version(id, number)?;
        version.ok_or_else(|| Damage(format!("version {number} of {id} is missing")))
    }

    /// Versions that were not removed, from the newest down, those below `before` only, at most `limit`.
    pub(crate) fn versions(
        &self,
        id: &DatasetId,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, Damage> {
        let newest = self.newest_version(id)?.map_or(0, |version| version.number.0);
        let from = before.map_or(newest, |before| before.0.saturating_sub(1).min(newest));
        let mut versions = Vec::new();
        for number in (1..=from).rev().map(VersionNumber) {
            if versions.len() == limit {
                break;
            }
            if self.removal(id, number)?.is_none() {
                versions.push(self.version_there(id, number)?);
            }
        }
        Ok(versions)
    }

    /// How a version was removed; `None` if it is there or never was.
    pub(crate) fn removal(&self, id: &DatasetId, number: VersionNumber) -> Result<Option<Removal>, Damage> {
        let removal: Option<Removal> =
            self.pairs.get(&removal_key(id, number))?.map(|value| decode(&value)).transpose()?;
        Ok(removal.filter(|removal| removal.snapshot.0 <= self.known))
    }

    /// The versions of a dataset that were removed, the oldest first.
    pub(crate) fn removals(&self, id: &DatasetId) -> Result<Vec<Removal>, Damage> {
        let mut removals: Vec<Removal> = self.walk("g/", id.as_str(), &[])?;
        removals.retain(|removal| removal.snapshot.0 <= self.known);
        Ok(removals)
    }

    /// A tag; `None` if no version has it.
    pub(crate) fn tag(&self, id: &DatasetId, name: &TagName) -> Result<Option<Tag>, Damage> {
        let pair = self.pairs.last(&tag_key(id, name, 0), &tag_key(id, name, self.sequence))?;
        let tag: Option<Tag> = pair.map(|(_, value)| decode(&value)).transpose()?;
        Ok(tag.filter(|tag| tag.version.is_some()))
    }

    /// Everything that the tags of a dataset were ever set to: by tag, the oldest first.
    pub(crate) fn tag_history(&self, id: &DatasetId) -> Result<Vec<Tag>, Damage> {
        let mut tags: Vec<Tag> = self.walk("t/", id.as_str(), &[])?;
        tags.retain(|tag| tag.snapshot.0 <= self.sequence);
        Ok(tags)
    }

    /// The tags that versions of a dataset have, by name.
    pub(crate) fn tags(&self, id: &DatasetId) -> Result<Vec<Tag>, Damage> {
        let latest: BTreeMap<TagName, Tag> =
            self.tag_history(id)?.into_iter().map(|tag| (tag.name.clone(), tag)).collect();
        Ok(latest.into_values().filter(|tag| tag.version.is_some()).collect())
    }

    /// The notes on a version, the oldest first.
    pub(crate) fn notes(&self, id: &DatasetId, number: VersionNumber) -> Result<Vec<Note>, Damage> {
        let mut notes: Vec<Note> = self.walk("n/", id.as_str(), &number.0.to_be_bytes())?;
        notes.retain(|note| note.snapshot.0 <= self.sequence);
        Ok(notes)
    }

    /// All values of a kind whose keys go on with `rest` after the dataset, and then with bytes below `ff`.
    fn walk<T: serde::de::DeserializeOwned>(&self, kind: &str, id: &str, rest: &[u8]) -> Result<Vec<T>, Damage> {
        let from = key(kind, id, rest);
        let to = [from.as_slice(), &[0xff; 32]].concat();
        self.values(from, &to)
    }

    /// All values whose keys are from one up to another.
    fn values<T: serde::de::DeserializeOwned>(&self, mut from: Vec<u8>, to: &[u8]) -> Result<Vec<T>, Damage> {
        let mut values = Vec::new();
        loop {
            let page: Vec<Pair> = self.pairs.page(&from, to, PAGE)?;
            for (_, value) in &page {
                values.push(decode(value)?);
            }
            let Some((last, _)) = page.last() else { return Ok(values) };
            from = [last.as_slice(), &[0]].concat();
        }
    }

    pub(crate) fn operation(&self, agency: &str, id: &OperationId) -> Result<Option<OperationRecord>, Damage> {
        let record: Option<OperationRecord> =
            self.pairs.get(&operation_key(agency, id))?.map(|value| decode(&value)).transpose()?;
        Ok(record.filter(|record| record.outcome.snapshot.0 <= self.sequence))
    }

    pub(crate) fn push(&self, agency: &str, push_id: &PushId) -> Result<Option<PushRecord>, Damage> {
        let record: Option<PushRecord> =
            self.pairs.get(&push_key(agency, push_id))?.map(|value| decode(&value)).transpose()?;
        Ok(record.filter(|record| record.outcome.snapshot.0 <= self.sequence))
    }

    /// The pushes of an agency, by id.
    pub(crate) fn pushes(&self, agency: &str) -> Result<Vec<PushRecord>, Damage> {
        let mut records: Vec<PushRecord> = self.walk("p/", agency, &[])?;
        records.retain(|record| record.outcome.snapshot.0 <= self.sequence);
        Ok(records)
    }

    /// Calls `visit` with every dataset, by id.
    pub(crate) fn each_dataset(&self, visit: &mut dyn FnMut(Dataset)) -> Result<(), Damage> {
        let mut from = b"d/".to_vec();
        loop {
            let Some((key, value)) = self.pairs.page(&from, b"d0", 1)?.pop() else { return Ok(()) };
            let first: Dataset = decode(&value)?;
            if let Some(dataset) = self.dataset(&first.id)? {
                visit(dataset);
            }
            from = [&key[..key.len() - 8], &[0xff; 9]].concat();
        }
    }
}

/// Calls `visit` with every record of a state, whatever its commit.
pub(crate) fn each_record(
    pairs: &dyn Read,
    visit: &mut dyn FnMut(&super::Pair, Record) -> Result<(), Damage>,
) -> Result<(), Damage> {
    each_pair(pairs, &mut |pair| visit(pair, Record::from_pair(pair)?))
}

/// As [`each_record`], without a look at what the pairs say: much cheaper.
pub(crate) fn each_pair(
    pairs: &dyn Read,
    visit: &mut dyn FnMut(&super::Pair) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let mut from = vec![0];
    loop {
        let page = pairs.page(&from, &[0xff], PAGE)?;
        page.iter().filter(|pair| pair.0 != super::WATERMARK_KEY).try_for_each(&mut *visit)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = [last.as_slice(), &[0]].concat();
    }
}
