//! What every commit must satisfy, one named function each.
//!
//! They are checked before a commit is written. A commit that fails one is a defect of this crate, never of a
//! caller: callers are answered before a commit is drafted.

use crate::log::{Change, PushCommit, Requirement};
use crate::objects::Objects;
use crate::paths;
use crate::state::View;
use crate::successor::segment_objects;
use ukimet_model::{Dataset, DatasetId, Error, Result, SegmentRef, Version};

/// Checks one push's part of a commit against the state before it.
pub(crate) fn check(push: &PushCommit, before: &View<'_>, sequence: u64, objects: &Objects) -> Result<()> {
    requirements_hold(push, before)?;
    push_id_is_unused(push, before)?;
    exactly_one_push_is_recorded(push)?;
    the_outcome_names_the_commit(push, sequence)?;
    created_datasets_are_new(push, before)?;
    changed_datasets_exist(push, before)?;
    versions_are_dense(push, before)?;
    versions_name_the_commit(push, sequence)?;
    row_counts_add_up(push)?;
    referenced_objects_exist(push, before, objects)
}

fn broken(rule: &str, found: impl std::fmt::Display) -> Error {
    Error::internal(format!("a commit would break the rule that {rule}: {found}"))
}

fn versions(push: &PushCommit) -> impl Iterator<Item = (&DatasetId, &Version)> {
    push.changes.iter().filter_map(|change| match change {
        Change::VersionPublished { dataset, version } => Some((dataset, &**version)),
        _ => None,
    })
}

fn created(push: &PushCommit) -> impl Iterator<Item = &Dataset> {
    push.changes.iter().filter_map(|change| match change {
        Change::DatasetCreated(dataset) => Some(dataset),
        _ => None,
    })
}

fn newest(before: &View<'_>, dataset: &DatasetId) -> Result<u64> {
    Ok(before.newest_version(dataset)?.map_or(0, |version| version.number.0))
}

fn requirements_hold(push: &PushCommit, before: &View<'_>) -> Result<()> {
    for requirement in &push.requirements {
        let holds = match requirement {
            Requirement::NewestVersion { dataset, number } => newest(before, dataset)? == *number,
            Requirement::PushIdUnused { agency, push_id } => before.push(agency, push_id)?.is_none(),
        };
        if !holds {
            return Err(broken("its requirements hold", format!("{requirement:?}")));
        }
    }
    Ok(())
}

fn push_id_is_unused(push: &PushCommit, before: &View<'_>) -> Result<()> {
    for change in &push.changes {
        if let Change::PushRecorded(record) = change
            && before.push(&record.agency, &record.push_id)?.is_some()
        {
            return Err(broken("a push id is used once", &record.push_id));
        }
    }
    Ok(())
}

fn exactly_one_push_is_recorded(push: &PushCommit) -> Result<()> {
    match push.changes.iter().filter(|change| matches!(change, Change::PushRecorded(_))).count() {
        1 => Ok(()),
        count => Err(broken("a push is recorded once", count)),
    }
}

fn the_outcome_names_the_commit(push: &PushCommit, sequence: u64) -> Result<()> {
    for change in &push.changes {
        if let Change::PushRecorded(record) = change
            && record.outcome.snapshot.0 != sequence
        {
            return Err(broken("an outcome names its commit", record.outcome.snapshot));
        }
    }
    Ok(())
}

fn created_datasets_are_new(push: &PushCommit, before: &View<'_>) -> Result<()> {
    for dataset in created(push) {
        if before.dataset(&dataset.id)?.is_some() {
            return Err(broken("a dataset is created once", &dataset.id));
        }
    }
    Ok(())
}

fn changed_datasets_exist(push: &PushCommit, before: &View<'_>) -> Result<()> {
    for change in &push.changes {
        let (Change::MetadataChanged { dataset, .. }
        | Change::MappingChanged { dataset, .. }
        | Change::VersionPublished { dataset, .. }) = change
        else {
            continue;
        };
        let is_created = created(push).any(|created| created.id == *dataset);
        if !is_created && before.dataset(dataset)?.is_none() {
            return Err(broken("a changed dataset exists", dataset));
        }
    }
    Ok(())
}

fn versions_are_dense(push: &PushCommit, before: &View<'_>) -> Result<()> {
    for (dataset, version) in versions(push) {
        if version.number.0 != newest(before, dataset)? + 1 {
            return Err(broken("versions are numbered 1, 2, 3 …", format!("{dataset}@{}", version.number)));
        }
    }
    Ok(())
}

fn versions_name_the_commit(push: &PushCommit, sequence: u64) -> Result<()> {
    for (dataset, version) in versions(push) {
        if version.snapshot.0 != sequence {
            return Err(broken("a version names its commit", format!("{dataset}@{}", version.number)));
        }
    }
    Ok(())
}

fn row_counts_add_up(push: &PushCommit) -> Result<()> {
    for (dataset, version) in versions(push) {
        let in_segments: u64 = version.segments.iter().map(SegmentRef::live_rows).sum();
        if in_segments != version.rows || version.segments.is_empty() {
            return Err(broken("the segments hold the version's rows", format!("{dataset} has {in_segments}")));
        }
    }
    Ok(())
}

fn referenced_objects_exist(push: &PushCommit, before: &View<'_>, objects: &Objects) -> Result<()> {
    let mut keys = Vec::new();
    for (id, version) in versions(push) {
        let dataset = match created(push).find(|created| created.id == *id) {
            Some(created) => Some(created.clone()),
            None => before.dataset(id)?,
        };
        let dataset = dataset.ok_or_else(|| broken("a changed dataset exists", id))?;
        keys.extend(objects_of(&dataset, version));
    }
    for change in &push.changes {
        if let Change::PushRecorded(record) = change {
            keys.extend(record.objects());
        }
    }
    for key in keys {
        if !objects.exists(&key)? {
            return Err(broken("referenced objects exist", key));
        }
    }
    Ok(())
}

/// The objects that a version consists of, its raw bytes excepted.
pub(crate) fn objects_of(dataset: &Dataset, version: &Version) -> Vec<String> {
    let mut keys = vec![paths::receipt(&version.receipt)];
    keys.extend(version.segments.iter().flat_map(|segment| segment_objects(&dataset.uuid, segment)));
    keys.extend(version.changes.map(|changes| paths::changes(&dataset.uuid, &changes.sha256)));
    keys.extend(version.assets.iter().map(|asset| paths::asset(&dataset.uuid, &asset.sha256)));
    keys
}
