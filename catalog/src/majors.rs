//! Whether a version keeps what its major promises: told before the commit, and asked of every version once more in it.

use std::collections::BTreeMap;
use ukimet_model::schema_rules::{breaks, families, geometry_break};
use ukimet_model::{DatasetId, Error, Field, MajorNumber, Promise, Result, SchemaBreak, Version};

/// What a layer of a push breaks that the newest version of its dataset promises.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerBreaks {
    /// The dataset.
    pub dataset: DatasetId,
    /// The major that it would break.
    pub major: MajorNumber,
    /// What it would break, column by column.
    pub breaks: Vec<SchemaBreak>,
}

/// What `found` breaks of what the newest version promises; `earlier` gives the other versions of the dataset, which are
/// looked at only if it has geometries that the newest has not.
pub(crate) fn breaks_of(
    newest: &Version,
    found: &Promise<'_>,
    geometry_types: &BTreeMap<String, u64>,
    earlier: impl FnOnce() -> Result<Vec<Version>>,
) -> Result<Vec<SchemaBreak>> {
    let mut broken = breaks(&newest.into(), found);
    let (mut promised, now) = (newest.geometry_types.clone(), families(geometry_types));
    if !now.is_subset(&families(&promised)) {
        let same_major = earlier()?.into_iter().filter(|version| version.major == newest.major);
        promised.extend(same_major.flat_map(|version| version.geometry_types).filter(|(_, rows)| *rows > 0));
    }
    broken.extend(geometry_break(&families(&promised), &now));
    Ok(broken)
}

/// The major of a version that comes after the newest.
///
/// # Errors
///
/// `Undeclared` listing what breaks, if anything does and nobody said that a new major begins.
pub(crate) fn major_after(
    dataset: &DatasetId,
    newest: Option<MajorNumber>,
    broken: &[SchemaBreak],
    is_new: bool,
) -> Result<MajorNumber> {
    match newest {
        None => Ok(MajorNumber::FIRST),
        Some(newest) if is_new => Ok(newest.next()),
        Some(newest) if broken.is_empty() => Ok(newest),
        Some(newest) => Err(refusal(dataset, newest, broken)),
    }
}

fn refusal(dataset: &DatasetId, major: MajorNumber, broken: &[SchemaBreak]) -> Error {
    let listed: Vec<String> = broken.iter().map(ToString::to_string).collect();
    let (listed, next) = (listed.join("; "), major.next());
    Error::undeclared(format!(
        "{dataset}: this would break what readers of major {major} rely on: {listed}; new_major begins major {next}"
    ))
}

/// The columns of a version after another: a unit that is not said stays as it was, as a title does.
pub(crate) fn with_units(mut fields: Vec<Field>, newest: Option<&Version>) -> Vec<Field> {
    for field in fields.iter_mut().filter(|field| field.unit.is_none()) {
        let before = newest.iter().flat_map(|newest| &newest.fields).find(|before| before.name == field.name);
        field.unit = before.and_then(|before| before.unit.clone());
    }
    fields
}
