//! An operation as a part of a commit, judged by the state that the commit builds on.

use super::{OperationIntent, OperationRecord};
use crate::commit::{Drafted, Outcome, check_expected};
use crate::log::{Change, Part, Requirement};
use crate::majors::{breaks_of, major_after};
use crate::options::CatalogOptions;
use crate::selecting::select;
use crate::state::{Damage, View};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use ukimet_model::{
    Action, Dataset, DatasetId, Error, MajorNumber, Note, OperationOutcome, OperationStatus, Promise, Removal, Result,
    RetentionRule, SnapshotId, Tag, TagName, Version, VersionChoice, VersionNumber,
};

/// Bytes of a reason at most: a sentence or two.
const WHY_BYTES_MAX: usize = 1000;

/// A part on its way.
struct Draft<'a> {
    view: &'a View<'a>,
    options: &'a CatalogOptions,
    intent: &'a OperationIntent,
    time: Timestamp,
    dataset: Dataset,
    newest: Version,
    requirements: Vec<Requirement>,
    changes: Vec<Change>,
    outcome: OperationOutcome,
}

/// Drafts what an operation changes, or finds the answer that it was given before.
///
/// # Errors
///
/// `NotFound` for a dataset, version or tag that is not there, `AlreadyUsed` for an id that was used for something else
/// or a tag that another version has, `Conflict` if the caller built on another version, `InvalidRequest`,
/// `LimitReached`.
pub(crate) fn draft_operation(
    options: &CatalogOptions,
    intent: &OperationIntent,
    view: &View<'_>,
    snapshot: SnapshotId,
    time: Timestamp,
) -> Result<Drafted> {
    let agency = intent.dataset.agency();
    if let Some(record) = view.operation(agency, &intent.id)? {
        return intent.replay(record).map(|outcome| Drafted::Replay(Outcome::Operation(Box::new(outcome))));
    }
    check_why(&intent.why)?;
    let (dataset, newest) = select(view, &intent.dataset, None)??;
    let unused = Requirement::OperationIdUnused { agency: agency.to_owned(), operation_id: intent.id.clone() };
    let mut draft = Draft {
        view,
        options,
        intent,
        time,
        dataset,
        newest,
        requirements: vec![unused],
        changes: Vec::new(),
        outcome: OperationOutcome::unchanged(snapshot),
    };
    draft.act(&intent.action)?;
    Ok(draft.finish())
}

/// Checks a reason: `LimitReached` if it is too long, `InvalidRequest` for control characters.
pub(crate) fn check_why(why: &str) -> Result<()> {
    check_text("the reason", why, WHY_BYTES_MAX)
}

fn check_text(what: &str, text: &str, bytes_max: usize) -> Result<()> {
    if text.len() > bytes_max {
        return Err(Error::limit_reached(format!("{what} has {} bytes, at most {bytes_max}", text.len())));
    }
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(control) => Err(Error::invalid_request(format!("{what} holds the control character {control:?}"))),
        None => Ok(()),
    }
}

impl Draft<'_> {
    fn act(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::SetTag { tag, version, is_move } => self.set_tag(tag, version.as_ref(), *is_move),
            Action::DeleteTag { tag } => self.delete_tag(tag),
            Action::AddNote { version, text } => self.add_note(version.as_ref(), text),
            Action::RollBack { to, expected_version, new_major } => self.roll_back(to, *expected_version, *new_major),
            Action::SetRetention { rule } => self.set_retention(rule.as_ref()),
            Action::ApplyRetention => self.apply_retention(),
            Action::EraseRows { .. } => Err(Error::internal("rows are erased by a call of their own")),
        }
    }

    fn finish(mut self) -> Drafted {
        if !self.changes.is_empty() {
            self.outcome.status = OperationStatus::Done;
        }
        self.changes.push(Change::OperationRecorded(Box::new(OperationRecord {
            id: self.intent.id.clone(),
            dataset: self.dataset.id,
            why: self.intent.why.clone(),
            action: self.intent.action.clone(),
            time: self.time,
            principal: self.intent.principal.clone(),
            digest: self.intent.digest(),
            outcome: self.outcome.clone(),
        })));
        let principal = self.intent.principal.clone();
        let part = Part { principal, requirements: self.requirements, changes: self.changes };
        Drafted::Commit(part, Outcome::Operation(Box::new(self.outcome)))
    }

    fn select(&self, choice: Option<&VersionChoice>) -> Result<Version> {
        Ok(select(self.view, &self.dataset.id, choice)??.1)
    }

    fn tag(&self, name: &TagName, version: Option<VersionNumber>) -> Change {
        let tag = Tag {
            name: name.clone(),
            version,
            snapshot: self.outcome.snapshot,
            set: self.time,
            principal: self.intent.principal.clone(),
            why: self.intent.why.clone(),
        };
        Change::TagSet { dataset: self.dataset.id.clone(), tag }
    }

    fn set_tag(&mut self, name: &TagName, choice: Option<&VersionChoice>, is_move: bool) -> Result<()> {
        let version = self.select(choice)?.number;
        let before = self.view.tag(&self.dataset.id, name)?.and_then(|tag| tag.version);
        (self.outcome.version, self.outcome.before) = (Some(version), before);
        match before {
            Some(before) if before == version => return Ok(()),
            Some(before) if !is_move => {
                return Err(Error::already_used(format!(
                    "{}@{before} has the tag {name}; say that it is to be moved to {version}",
                    self.dataset.id
                )));
            }
            Some(_) => (),
            None => self.check_room_for_tag()?,
        }
        self.changes.push(self.tag(name, Some(version)));
        Ok(())
    }

    fn check_room_for_tag(&self) -> Result<()> {
        let (count, tags_max) = (self.view.tags(&self.dataset.id)?.len(), self.options.tags_max);
        if count < tags_max {
            return Ok(());
        }
        Err(Error::limit_reached(format!("dataset {} has {count} tags, at most {tags_max}", self.dataset.id)))
    }

    fn delete_tag(&mut self, name: &TagName) -> Result<()> {
        // A removed version's tag can be deleted too, so the tag itself is looked for.
        let before = self.view.tag(&self.dataset.id, name)?.and_then(|tag| tag.version);
        if before.is_none() {
            return Err(Error::not_found(format!("dataset {} has no tag {name}", self.dataset.id)));
        }
        self.outcome.before = before;
        self.changes.push(self.tag(name, None));
        Ok(())
    }

    fn add_note(&mut self, choice: Option<&VersionChoice>, text: &str) -> Result<()> {
        check_text("a note", text, self.options.note_bytes_max)?;
        if text.trim().is_empty() {
            return Err(Error::invalid_request("a note has words, found none"));
        }
        let version = self.select(choice)?.number;
        let (count, notes_max) = (self.view.notes(&self.dataset.id, version)?.len(), self.options.notes_max);
        if count >= notes_max {
            let id = &self.dataset.id;
            return Err(Error::limit_reached(format!("{id}@{version} has {count} notes, at most {notes_max}")));
        }
        self.outcome.version = Some(version);
        let note = Note {
            version,
            text: text.to_owned(),
            operation: self.intent.id.clone(),
            snapshot: self.outcome.snapshot,
            written: self.time,
            principal: self.intent.principal.clone(),
        };
        self.changes.push(Change::NoteAdded { dataset: self.dataset.id.clone(), note });
        Ok(())
    }

    /// The same files under the next number: nothing is copied.
    fn roll_back(&mut self, to: &VersionChoice, expected_version: Option<u64>, new_major: bool) -> Result<()> {
        let newest = self.newest.number;
        check_expected(expected_version, newest.0)?;
        let old = self.select(Some(to))?;
        (self.outcome.version, self.outcome.before) = (Some(newest), Some(newest));
        let earlier = || Ok(self.view.versions(&self.dataset.id, None, usize::MAX)?);
        let broken = breaks_of(&self.newest, &Promise::from(&old), &old.geometry_types, earlier)?;
        let is_same = old.root_hash == self.newest.root_hash && old.valid_time == self.newest.valid_time;
        if is_same && broken.is_empty() {
            return Ok(());
        }
        let major = major_after(&self.dataset.id, Some(self.newest.major), &broken, new_major)?;
        let version = Version {
            number: VersionNumber(newest.0 + 1),
            snapshot: self.outcome.snapshot,
            committed: self.time,
            rolled_back_to: Some(old.number),
            changes: None,
            major,
            erased: None,
            layout: None,
            ..old
        };
        self.outcome.version = Some(version.number);
        let dataset = self.dataset.id.clone();
        self.requirements.push(Requirement::NewestVersion { dataset: dataset.clone(), number: newest.0 });
        self.changes.push(Change::VersionPublished { dataset, version: Box::new(version) });
        Ok(())
    }

    fn set_retention(&mut self, rule: Option<&RetentionRule>) -> Result<()> {
        rule.map(RetentionRule::check).transpose()?;
        if self.dataset.retention.as_ref() != rule {
            let dataset = self.dataset.id.clone();
            self.changes.push(Change::RetentionChanged { dataset, rule: rule.cloned() });
        }
        Ok(())
    }

    fn apply_retention(&mut self) -> Result<()> {
        let Some(rule) = &self.dataset.retention else { return Ok(()) };
        self.outcome.removed = not_kept(self.view, &self.dataset.id, rule, self.time)?;
        for version in &self.outcome.removed {
            let (snapshot, removed) = (self.outcome.snapshot, self.time);
            let removal = Removal { version: *version, snapshot, removed, rule: rule.clone() };
            self.changes.push(Change::VersionRemoved { dataset: self.dataset.id.clone(), removal });
        }
        Ok(())
    }
}

/// The versions of a dataset that a rule does not keep, the newest first.
pub(crate) fn not_kept(
    view: &View<'_>,
    id: &DatasetId,
    rule: &RetentionRule,
    now: Timestamp,
) -> Result<Vec<VersionNumber>, Damage> {
    let versions_there = view.versions(id, None, usize::MAX)?;
    let versions: Vec<_> = versions_there.iter().map(|version| (version.number, version.committed)).collect();
    let tagged: BTreeSet<_> = view.tags(id)?.into_iter().filter_map(|tag| tag.version).collect();
    let kept = newest_of_each_major(&versions_there);
    let not_kept = rule.not_kept(&versions, &tagged, now).into_iter();
    Ok(not_kept.filter(|number| !kept.contains(number)).collect())
}

/// Majors are served side by side, so the newest version of each stays; versions are the newest first.
fn newest_of_each_major(versions: &[Version]) -> BTreeSet<VersionNumber> {
    let mut newest: BTreeMap<MajorNumber, VersionNumber> = BTreeMap::new();
    for version in versions {
        newest.entry(version.major).or_insert(version.number);
    }
    newest.into_values().collect()
}
