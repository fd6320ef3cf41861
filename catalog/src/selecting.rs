//! Which version a selector means, as of a commit.

use crate::state::{Damage, View};
use jiff::Timestamp;
use ukimet_model::{
    Dataset, DatasetId, Error, MajorNumber, Removal, Result, SnapshotId, TagName, Version, VersionChoice, VersionNumber,
};

/// The dataset and the version that is meant; without a choice the newest.
///
/// The inner error is `NotFound`, and says what there is instead.
pub(crate) fn select(
    view: &View<'_>,
    id: &DatasetId,
    choice: Option<&VersionChoice>,
) -> Result<Result<(Dataset, Version)>, Damage> {
    let Some((dataset, newest)) = view.dataset(id)?.zip(view.newest_version(id)?) else {
        return Ok(Err(no_dataset(id, view.snapshot())));
    };
    let number = match choice {
        None => newest.number,
        Some(VersionChoice::Number(number)) => *number,
        Some(VersionChoice::Tag(name)) => match view.tag(id, name)?.and_then(|tag| tag.version) {
            Some(number) => number,
            None => return no_tag(view, id, name).map(Err),
        },
        Some(VersionChoice::At(time)) => match view.version_at(id, *time)? {
            Some(number) => number,
            None => return none_yet(view, id, *time).map(Err),
        },
        Some(VersionChoice::Major(major)) => match newest_of_major(view, id, newest.number, *major)? {
            Some(number) => number,
            None => return Ok(Err(no_major(id, &newest, *major))),
        },
    };
    if let Some(removal) = view.removal(id, number)? {
        return Ok(Err(removed(id, &removal)));
    }
    let found = if number == newest.number { Some(newest.clone()) } else { view.version(id, number)? };
    let missing = || Error::not_found(format!("dataset {id} has no version {number}, the newest is {}", newest.number));
    Ok(found.map(|version| (dataset, version)).ok_or_else(missing))
}

/// The newest version of a major that is there: majors never go back, so it lies before the first version of the next.
fn newest_of_major(
    view: &View<'_>,
    id: &DatasetId,
    newest: VersionNumber,
    major: MajorNumber,
) -> Result<Option<VersionNumber>, Damage> {
    let (mut within, mut after) = (0, newest.0 + 1);
    while within + 1 < after {
        let middle = within.midpoint(after);
        let found = view.version(id, VersionNumber(middle))?.map_or(MajorNumber::FIRST, |version| version.major);
        if found <= major {
            within = middle;
        } else {
            after = middle;
        }
    }
    // Of a major of which every version was removed, the last one says how.
    let of_major = |version: &Version| version.major == major;
    let there = view.versions(id, Some(VersionNumber(within + 1)), 1)?.pop().filter(of_major);
    let last = view.version(id, VersionNumber(within))?.filter(of_major);
    Ok(there.or(last).map(|version| version.number))
}

fn no_major(id: &DatasetId, newest: &Version, major: MajorNumber) -> Error {
    Error::not_found(format!("dataset {id} has no major {major}, the newest is {}", newest.major))
}

pub(crate) fn no_dataset(id: &DatasetId, snapshot: SnapshotId) -> Error {
    Error::not_found(format!("dataset {id} is not in snapshot {snapshot}"))
}

fn removed(id: &DatasetId, removal: &Removal) -> Error {
    let (version, time, rule) = (removal.version, removal.removed, &removal.rule);
    Error::not_found(format!("{id}@{version} was removed by retention on {time} ({rule})"))
}

/// Tags that an error names at most.
const TAGS_NAMED_MAX: usize = 10;

fn no_tag(view: &View<'_>, id: &DatasetId, name: &TagName) -> Result<Error, Damage> {
    let tags = view.tags(id)?;
    let mut known: Vec<_> = tags.iter().take(TAGS_NAMED_MAX).map(|tag| tag.name.as_str()).collect();
    if tags.len() > known.len() {
        known.push("…");
    }
    let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
    Ok(Error::not_found(format!("dataset {id} has no tag {name}; {known}")))
}

fn none_yet(view: &View<'_>, id: &DatasetId, time: Timestamp) -> Result<Error, Damage> {
    let first = view.version(id, VersionNumber(1))?.map_or(time, |version| version.committed);
    Ok(Error::not_found(format!("dataset {id} had no version yet at {time}, the first was committed at {first}")))
}
