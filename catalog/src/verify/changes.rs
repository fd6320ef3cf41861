//! The changes that are stored with versions, with the values that were there before, compared with the rows of both.

use super::objects::size_of;
use super::rows::{RowsToCheck, segment_keys};
use super::{Finding, Run, is_there};
use crate::changes::ChangeList;
use crate::diff::check_list;
use crate::layer::schema_of;
use crate::named::Named;
use crate::paths;
use crate::segments::SegmentCache;
use crate::successor::fits;
use std::collections::HashSet;
use std::sync::Arc;
use ukimet_model::{ChangesRef, Dataset, Result, Version};

/// Versions that follow each other, of which the later has a list.
struct Step<'a> {
    dataset: &'a Dataset,
    before: &'a Version,
    after: &'a Version,
    changes: ChangesRef,
}

/// The lists between versions that are both there; nobody reads one that is between versions of other columns or keys.
fn steps(work: &[RowsToCheck]) -> impl Iterator<Item = Step<'_>> {
    work.windows(2).filter_map(|pair| {
        let [earlier, later] = pair else { return None };
        let (before, after) = (&*earlier.version, &*later.version);
        let follows = earlier.dataset.uuid == later.dataset.uuid && before.number.0 + 1 == after.number.0;
        let is_read = || schema_of(&before.fields).is_ok_and(|schema| fits(after, &schema, before.key.as_ref()));
        let changes = after.changes.filter(|_| follows && is_read())?;
        Some(Step { dataset: &later.dataset, before, after, changes })
    })
}

impl Run<'_> {
    /// Adds the lists to what there is to do.
    pub(super) fn count_changes(&mut self, work: &[RowsToCheck]) {
        self.state.objects_total += steps(work).count() as u64;
    }

    pub(super) fn check_changes(&mut self, work: &[RowsToCheck], named: &Named) -> Result<()> {
        let damaged: HashSet<String> = self.report.findings.iter().map(|finding| finding.object.clone()).collect();
        let cache = Arc::new(SegmentCache::new(self.store.clone(), 0));
        for step in steps(work) {
            let key = paths::changes(&step.dataset.uuid, &step.changes.sha256);
            let mut read = [step.before, step.after].map(|v| segment_keys(&step.dataset.uuid, v)).concat();
            read.push(key.clone());
            if !read.iter().any(|key| damaged.contains(key)) {
                self.check_step(&cache, &step, &key, (&read, named))?;
            }
            self.advance(0);
        }
        Ok(())
    }

    /// Checks one list, for which the objects of these keys are read.
    fn check_step(
        &mut self,
        cache: &SegmentCache,
        step: &Step<'_>,
        key: &str,
        (read, named): (&[String], &Named),
    ) -> Result<()> {
        let (id, number) = (&step.dataset.id, step.after.number);
        let (what, size_bytes) = (format!("changes of {id}@{number}"), size_of(self.store, key));
        if self.journal.is_whole(&what, size_bytes) {
            return Ok(());
        }
        let checked = step.check(cache, key).map_err(|e| e.to_string());
        self.check_answered()?;
        self.journal.note(&what, size_bytes, checked.clone())?;
        if let Err(reason) = checked {
            // A hub at work may have let go of what was compared.
            let missing = read.iter().find(|key| !is_there(self.store, key));
            let object = missing.map_or_else(|| key.to_owned(), String::clone);
            let dependents = named.get(&object).into_iter().flatten().map(ToString::to_string).collect();
            let reason = format!("{id}@{number}: {reason}");
            self.report.findings.push(Finding { object, reason, dependents });
        }
        Ok(())
    }
}

impl Step<'_> {
    fn check(&self, cache: &SegmentCache, key: &str) -> Result<()> {
        let list = ChangeList::read(&cache.open(key, &self.changes.sha256)?)?;
        check_list(cache, self.dataset, (self.before, self.after), list)
    }
}

#[cfg(test)]
mod tests;
