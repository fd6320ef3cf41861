//! What a dataset is after each action, told without a catalog.

use super::{Action, Pick};
use std::collections::{BTreeMap, BTreeSet};

/// Rows by number: a value and a place.
pub(super) type Rows = BTreeMap<i64, (i64, i64)>;

/// A dataset as whoever reads it sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// How many versions there ever were.
    pub(super) newest: u64,
    /// The versions that were not removed.
    pub(super) versions: BTreeMap<u64, Rows>,
    pub(super) tags: BTreeMap<String, u64>,
    /// How many notes each version has that has one.
    pub(super) notes: BTreeMap<u64, usize>,
    pub(super) rule: Option<(u64, bool)>,
}

/// What an action answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A push: rows added, removed, changed; all 0 if there was nothing to do.
    Rows(u64, u64, u64),
    /// The dataset is the same as before.
    Unchanged,
    Done,
}

impl Model {
    /// The version that a pick means.
    pub(super) fn picked(&self, pick: Pick) -> u64 {
        pick.index(self.newest.max(1) as usize) as u64 + 1
    }

    fn rows(&self) -> Rows {
        self.versions.get(&self.newest).cloned().unwrap_or_default()
    }

    /// Takes an action and tells its answer; `None` if it is refused, and then nothing is changed.
    pub(super) fn apply(&mut self, action: &Action) -> Option<Answer> {
        let rows = self.rows();
        match action {
            Action::Replace(new) => Some(self.push(new.clone())),
            Action::Upsert(new, deletes) => {
                let is_clear = deletes.iter().all(|number| !new.contains_key(number));
                let mut after = rows;
                after.retain(|number, _| !deletes.contains(number));
                after.extend(new);
                is_clear.then(|| self.push(after))
            }
            Action::Append(new) => {
                let is_new = |(number, row): (&i64, &(i64, i64))| rows.get(number).is_none_or(|old| old == row);
                let fits = new.iter().all(is_new);
                let mut after = rows;
                after.extend(new);
                fits.then(|| self.push(after))
            }
            Action::RollBack(pick) => {
                let old = self.versions.get(&self.picked(*pick))?.clone();
                Some(if old == rows { Answer::Unchanged } else { self.publish(old) })
            }
            Action::SetTag(tag, pick, is_move) => self.set_tag(&tag_name(*tag), self.picked(*pick), *is_move),
            Action::DeleteTag(tag) => self.tags.remove(&tag_name(*tag)).map(|_| Answer::Done),
            Action::AddNote(pick) => {
                let version = self.picked(*pick);
                self.versions.get(&version)?;
                *self.notes.entry(version).or_default() += 1;
                Some(Answer::Done)
            }
            Action::Keep(rule) => {
                let is_same = std::mem::replace(&mut self.rule, *rule) == *rule;
                Some(if is_same { Answer::Unchanged } else { Answer::Done })
            }
            Action::Compact => Some(Answer::Done),
            Action::Erase(number) => {
                self.versions.values_mut().for_each(|rows| rows.retain(|n, _| n != number));
                Some(Answer::Done)
            }
            Action::Clean => {
                let kept = self.kept();
                self.versions.retain(|number, _| kept.contains(number));
                Some(Answer::Done)
            }
        }
    }

    fn push(&mut self, after: Rows) -> Answer {
        let before = self.rows();
        let differing = differing(&before, &after);
        let count = |wanted| differing.values().filter(|operation| **operation == wanted).count() as u64;
        let counts = Answer::Rows(count(Operation::Added), count(Operation::Removed), count(Operation::Changed));
        // The first version may be empty.
        if self.newest == 0 || after != before {
            self.publish(after);
        }
        counts
    }

    fn publish(&mut self, rows: Rows) -> Answer {
        self.newest += 1;
        self.versions.insert(self.newest, rows);
        Answer::Done
    }

    fn set_tag(&mut self, name: &str, version: u64, is_move: bool) -> Option<Answer> {
        self.versions.get(&version)?;
        match self.tags.get(name) {
            Some(before) if *before == version => return Some(Answer::Unchanged),
            Some(_) if !is_move => return None,
            _ => (),
        }
        self.tags.insert(name.to_owned(), version);
        Some(Answer::Done)
    }

    fn kept(&self) -> BTreeSet<u64> {
        let Some((newest, keeps_tagged)) = self.rule else { return self.versions.keys().copied().collect() };
        let mut kept: BTreeSet<u64> = self.versions.keys().rev().take(newest as usize).copied().collect();
        kept.extend(self.tags.values().filter(|_| keeps_tagged));
        kept
    }
}

pub(super) fn tag_name(number: u8) -> String {
    format!("tag-{number}")
}

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Added,
    Removed,
    Changed,
}

/// The rows that differ, by number.
pub(super) fn differing(before: &Rows, after: &Rows) -> BTreeMap<i64, Operation> {
    let numbers: BTreeSet<i64> = before.keys().chain(after.keys()).copied().collect();
    let operation = |number: i64| match (before.get(&number), after.get(&number)) {
        (Some(old), Some(new)) => (old != new).then_some(Operation::Changed),
        (Some(_), None) => Some(Operation::Removed),
        _ => Some(Operation::Added),
    };
    numbers.into_iter().filter_map(|number| operation(number).map(|operation| (number, operation))).collect()
}
