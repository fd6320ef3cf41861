//! Reads of the state as of one commit.

use super::{Damage, Read, Record, dataset_key, decode, push_key, version_key};
use crate::push::PushRecord;
use ukimet_model::{Dataset, DatasetId, PushId, Version, VersionNumber};

/// Pairs fetched at once where many are walked.
const PAGE: usize = 256;

/// The state as of one commit, whatever came later.
pub(crate) struct View<'a> {
    pairs: &'a dyn Read,
    sequence: u64,
}

impl<'a> View<'a> {
    pub(crate) fn new(pairs: &'a dyn Read, sequence: u64) -> Self {
        Self { pairs, sequence }
    }

    pub(crate) fn dataset(&self, id: &DatasetId) -> Result<Option<Dataset>, Damage> {
        let pair = self.pairs.last(&dataset_key(id, 0), &dataset_key(id, self.sequence))?;
        pair.map(|(_, value)| decode(&value)).transpose()
    }

    pub(crate) fn version(&self, id: &DatasetId, number: VersionNumber) -> Result<Option<Version>, Damage> {
        let version: Option<Version> =
            self.pairs.get(&version_key(id, number))?.map(|value| decode(&value)).transpose()?;
        Ok(version.filter(|version| version.snapshot.0 <= self.sequence))
    }

    pub(crate) fn newest_version(&self, id: &DatasetId) -> Result<Option<Version>, Damage> {
        let mut to = u64::MAX;
        loop {
            let pair = self.pairs.last(&version_key(id, VersionNumber(0)), &version_key(id, VersionNumber(to)))?;
            let Some((_, value)) = pair else { return Ok(None) };
            let version: Version = decode(&value)?;
            if version.snapshot.0 <= self.sequence {
                return Ok(Some(version));
            }
            to = version.number.0.saturating_sub(1);
        }
    }

    /// Versions from the newest down, those below `before` only, at most `limit`.
    pub(crate) fn versions(
        &self,
        id: &DatasetId,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<Version>, Damage> {
        let newest = self.newest_version(id)?.map_or(0, |version| version.number.0);
        let from = before.map_or(newest, |before| before.0.saturating_sub(1).min(newest));
        let mut versions = Vec::new();
        for number in (1..=from).rev().take(limit) {
            let version = self.version(id, VersionNumber(number))?;
            versions.push(version.ok_or_else(|| Damage(format!("version v{number} of {id} is missing")))?);
        }
        Ok(versions)
    }

    pub(crate) fn push(&self, agency: &str, push_id: &PushId) -> Result<Option<PushRecord>, Damage> {
        let record: Option<PushRecord> =
            self.pairs.get(&push_key(agency, push_id))?.map(|value| decode(&value)).transpose()?;
        Ok(record.filter(|record| record.outcome.snapshot.0 <= self.sequence))
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
