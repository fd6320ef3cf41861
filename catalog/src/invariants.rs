//! What every commit must satisfy, one named function each.
//!
//! They are checked before a commit is written. A commit that fails one is a defect of this crate, never of a
//! caller: callers are answered before a commit is drafted.

use crate::log::{Change, Part, Requirement};
use crate::objects::Objects;
use crate::paths;
use crate::state::View;
use crate::successor::segment_objects;
use std::collections::BTreeSet;
use ukimet_model::schema_rules::breaks;
use ukimet_model::{Dataset, DatasetId, Error, Promise, Result, SegmentRef, Tag, Version};

/// Checks one part of a commit against the state before it.
pub(crate) fn check(part: &Part, before: &View<'_>, sequence: u64, objects: &Objects) -> Result<()> {
    requirements_hold(part, before)?;
    ids_are_unused(part, before)?;
    exactly_one_push_or_operation_is_recorded(part)?;
    a_layout_holds_the_newest_version_and_comes_alone(part, before)?;
    the_outcome_names_the_commit(part, sequence)?;
    created_datasets_are_new(part, before)?;
    changed_datasets_exist(part, before)?;
    versions_are_dense(part, before)?;
    versions_name_the_commit(part, sequence)?;
    a_major_keeps_its_promise(part, before)?;
    row_counts_add_up(part)?;
    a_rollback_equals_what_it_names(part, before)?;
    tags_and_notes_are_on_versions_that_are_there(part, before)?;
    removed_versions_are_there_and_not_the_newest(part, before)?;
    a_rule_keeps_something(part)?;
    referenced_objects_exist(part, before, objects)
}

fn broken(rule: &str, found: impl std::fmt::Display) -> Error {
    Error::internal(format!("a commit would break the rule that {rule}: {found}"))
}

fn versions(part: &Part) -> impl Iterator<Item = (&DatasetId, &Version)> {
    part.changes.iter().filter_map(|change| match change {
        Change::VersionPublished { dataset, version } => Some((dataset, &**version)),
        _ => None,
    })
}

fn created(part: &Part) -> impl Iterator<Item = &Dataset> {
    part.changes.iter().filter_map(|change| match change {
        Change::DatasetCreated(dataset) => Some(dataset),
        _ => None,
    })
}

fn newest(before: &View<'_>, dataset: &DatasetId) -> Result<u64> {
    Ok(before.newest_version(dataset)?.map_or(0, |version| version.number.0))
}

fn requirements_hold(part: &Part, before: &View<'_>) -> Result<()> {
    for requirement in &part.requirements {
        let holds = match requirement {
            Requirement::NewestVersion { dataset, number } => newest(before, dataset)? == *number,
            Requirement::PushIdUnused { agency, push_id } => before.push(agency, push_id)?.is_none(),
            Requirement::OperationIdUnused { agency, operation_id } => {
                before.operation(agency, operation_id)?.is_none()
            }
        };
        if !holds {
            return Err(broken("its requirements hold", format!("{requirement:?}")));
        }
    }
    Ok(())
}

fn ids_are_unused(part: &Part, before: &View<'_>) -> Result<()> {
    for change in &part.changes {
        match change {
            Change::PushRecorded(record) if before.push(&record.agency, &record.push_id)?.is_some() => {
                return Err(broken("a push id is used once", &record.push_id));
            }
            Change::OperationRecorded(record) if before.operation(record.dataset.agency(), &record.id)?.is_some() => {
                return Err(broken("an operation id is used once", &record.id));
            }
            _ => (),
        }
    }
    Ok(())
}

fn exactly_one_push_or_operation_is_recorded(part: &Part) -> Result<()> {
    let is_record = |change: &&Change| matches!(change, Change::PushRecorded(_) | Change::OperationRecorded(_));
    match part.changes.iter().filter(is_record).count() {
        0 if matches!(part.changes.as_slice(), [Change::LayoutChanged { .. }]) => Ok(()),
        1 => Ok(()),
        count => Err(broken("a push or an operation is recorded once", count)),
    }
}

fn a_layout_holds_the_newest_version_and_comes_alone(part: &Part, before: &View<'_>) -> Result<()> {
    for change in &part.changes {
        let Change::LayoutChanged { dataset, layout } = change else { continue };
        let version = before.newest_version(dataset)?.filter(|newest| newest.number == layout.version);
        let rows: u64 = layout.segments.iter().map(SegmentRef::live_rows).sum();
        if part.changes.len() != 1 || version.is_none_or(|version| version.rows != rows) {
            let found = format!("{dataset}@{} has {rows} rows", layout.version);
            return Err(broken("a layout holds the rows of the newest version and comes alone", found));
        }
    }
    Ok(())
}

fn the_outcome_names_the_commit(part: &Part, sequence: u64) -> Result<()> {
    for change in &part.changes {
        let snapshot = match change {
            Change::PushRecorded(record) => record.outcome.snapshot,
            Change::OperationRecorded(record) => record.outcome.snapshot,
            Change::TagSet { tag, .. } => tag.snapshot,
            Change::NoteAdded { note, .. } => note.snapshot,
            Change::VersionRemoved { removal, .. } => removal.snapshot,
            Change::RowsErased { erasure, .. } => erasure.snapshot,
            Change::LayoutChanged { layout, .. } => layout.snapshot,
            _ => continue,
        };
        if snapshot.0 != sequence {
            return Err(broken("what a commit records names it", snapshot));
        }
    }
    Ok(())
}

fn created_datasets_are_new(part: &Part, before: &View<'_>) -> Result<()> {
    for dataset in created(part) {
        if before.dataset(&dataset.id)?.is_some() {
            return Err(broken("a dataset is created once", &dataset.id));
        }
    }
    Ok(())
}

fn changed_datasets_exist(part: &Part, before: &View<'_>) -> Result<()> {
    for change in &part.changes {
        let (Change::MetadataChanged { dataset, .. }
        | Change::MappingChanged { dataset, .. }
        | Change::RetentionChanged { dataset, .. }
        | Change::VersionPublished { dataset, .. }) = change
        else {
            continue;
        };
        let is_created = created(part).any(|created| created.id == *dataset);
        if !is_created && before.dataset(dataset)?.is_none() {
            return Err(broken("a changed dataset exists", dataset));
        }
    }
    Ok(())
}

fn versions_are_dense(part: &Part, before: &View<'_>) -> Result<()> {
    for (dataset, version) in versions(part) {
        if version.number.0 != newest(before, dataset)? + 1 {
            return Err(broken("versions are numbered 1, 2, 3 …", format!("{dataset}@{}", version.number)));
        }
    }
    Ok(())
}

fn versions_name_the_commit(part: &Part, sequence: u64) -> Result<()> {
    for (dataset, version) in versions(part) {
        if version.snapshot.0 != sequence {
            return Err(broken("a version names its commit", format!("{dataset}@{}", version.number)));
        }
    }
    Ok(())
}

fn a_major_keeps_its_promise(part: &Part, before: &View<'_>) -> Result<()> {
    for (dataset, version) in versions(part) {
        let Some(newest) = before.newest_version(dataset)? else {
            if version.major.is_first() {
                continue;
            }
            return Err(broken("majors are numbered 1, 2, 3 …", format!("{dataset}@{}", version.number)));
        };
        let is_next = version.major == newest.major.next();
        let broken_by_columns = breaks(&Promise::from(&newest), &Promise::from(version));
        if !is_next && (version.major != newest.major || !broken_by_columns.is_empty()) {
            let (number, major) = (version.number, version.major);
            return Err(broken("a major keeps its promise", format!("{dataset}@{number} of major {major}")));
        }
    }
    Ok(())
}

fn row_counts_add_up(part: &Part) -> Result<()> {
    for (dataset, version) in versions(part) {
        let in_segments: u64 = version.segments.iter().map(SegmentRef::live_rows).sum();
        if in_segments != version.rows || version.segments.is_empty() {
            return Err(broken("the segments hold the version's rows", format!("{dataset} has {in_segments}")));
        }
    }
    Ok(())
}

fn a_rollback_equals_what_it_names(part: &Part, before: &View<'_>) -> Result<()> {
    for (dataset, version) in versions(part) {
        let Some(number) = version.rolled_back_to else { continue };
        let old = before.version(dataset, number)?.filter(|old| old.root_hash == version.root_hash);
        if old.is_none() || before.removal(dataset, number)?.is_some() {
            return Err(broken("a rollback equals a version that is there", format!("{dataset}@{number}")));
        }
    }
    Ok(())
}

fn tags_and_notes_are_on_versions_that_are_there(part: &Part, before: &View<'_>) -> Result<()> {
    for change in &part.changes {
        let (dataset, number) = match change {
            Change::TagSet { dataset, tag: Tag { version: Some(number), .. } } => (dataset, *number),
            Change::NoteAdded { dataset, note } => (dataset, note.version),
            _ => continue,
        };
        if before.version(dataset, number)?.is_none() || before.removal(dataset, number)?.is_some() {
            return Err(broken("a tag or a note is on a version that is there", format!("{dataset}@{number}")));
        }
    }
    Ok(())
}

fn removed_versions_are_there_and_not_the_newest(part: &Part, before: &View<'_>) -> Result<()> {
    for change in &part.changes {
        let Change::VersionRemoved { dataset, removal } = change else { continue };
        let is_old = (1..newest(before, dataset)?).contains(&removal.version.0);
        if !is_old || before.removal(dataset, removal.version)?.is_some() {
            let version = removal.version;
            return Err(broken("a removed version was there and not the newest", format!("{dataset}@{version}")));
        }
    }
    Ok(())
}

fn a_rule_keeps_something(part: &Part) -> Result<()> {
    for change in &part.changes {
        if let Change::RetentionChanged { rule: Some(rule), .. } = change {
            rule.check().map_err(|error| broken("a retention rule keeps something", error))?;
        }
    }
    Ok(())
}

fn referenced_objects_exist(part: &Part, before: &View<'_>, objects: &Objects) -> Result<()> {
    let mut keys = referenced(part, before)?;
    if objects.is_shared() {
        // Asking costs a journey each; nobody removes what the newest version has.
        for (id, _) in versions(part) {
            if let (Some(dataset), Some(newest)) = (before.dataset(id)?, before.newest_version(id)?) {
                let kept = objects_of(&dataset, &newest);
                keys.retain(|key| !kept.contains(key));
            }
        }
    }
    match objects.first_missing(&keys)? {
        None => Ok(()),
        Some(key) if objects.is_shared() => Err(Error::unavailable(format!(
            "object {key} was removed as garbage by another node while it was to be used: try again"
        ))),
        Some(key) => Err(broken("referenced objects exist", key)),
    }
}

/// The objects that a part of a commit names.
pub(crate) fn referenced(part: &Part, before: &View<'_>) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    for (id, version) in versions(part) {
        let dataset = match created(part).find(|created| created.id == *id) {
            Some(created) => Some(created.clone()),
            None => before.dataset(id)?,
        };
        let dataset = dataset.ok_or_else(|| broken("a changed dataset exists", id))?;
        keys.extend(objects_of(&dataset, version));
    }
    for change in &part.changes {
        match change {
            Change::PushRecorded(record) => keys.extend(record.objects()),
            Change::RowsErased { dataset, erasure } => {
                let known = before.dataset(dataset)?.ok_or_else(|| broken("a changed dataset exists", dataset))?;
                keys.extend(erasure.new_objects(&known));
            }
            Change::LayoutChanged { dataset: id, layout } => {
                let dataset = before.dataset(id)?.ok_or_else(|| broken("a changed dataset exists", id))?;
                keys.extend(segments_objects_of(&dataset, &layout.segments));
            }
            _ => (),
        }
    }
    Ok(keys)
}

/// The objects that a version consists of, its raw bytes excepted.
pub(crate) fn objects_of(dataset: &Dataset, version: &Version) -> Vec<String> {
    let mut keys = fixed_objects_of(dataset, version);
    keys.extend(segments_objects_of(dataset, &version.segments));
    keys
}

/// The objects that some segments consist of.
pub(crate) fn segments_objects_of(dataset: &Dataset, segments: &[SegmentRef]) -> Vec<String> {
    segments.iter().flat_map(|segment| segment_objects(&dataset.uuid, segment)).collect()
}

/// The objects of a version that are the same wherever its rows lie, its raw bytes excepted.
pub(crate) fn fixed_objects_of(dataset: &Dataset, version: &Version) -> Vec<String> {
    let mut keys = vec![paths::receipt(&version.receipt)];
    keys.extend(version.changes.map(|changes| paths::changes(&dataset.uuid, &changes.sha256)));
    keys.extend(version.assets.iter().map(|asset| paths::asset(&dataset.uuid, &asset.sha256)));
    keys
}
