//! Objects that no commit names: what a crash between writing and committing leaves. Removed when a store is opened.

use crate::invariants::objects_of;
use crate::objects::Objects;
use crate::paths;
use crate::state::{Record, StateSlot, each_record};
use std::collections::{HashMap, HashSet};
use ukimet_model::{Dataset, Result};

/// Removes the objects that no commit names and tells how many.
pub(crate) fn collect(objects: &Objects, state: &StateSlot) -> Result<u64> {
    let named = state.read_pairs(|pairs| {
        let (mut named, mut datasets) = (HashSet::new(), HashMap::new());
        // Keys are in order: datasets come before versions.
        each_record(pairs, &mut |_, record| {
            name_objects(&record, &mut datasets, &mut named);
            Ok(())
        })?;
        Ok(named)
    })?;
    let mut collected = 0;
    for key in stored(objects)? {
        if !named.contains(&key) {
            objects.delete(&key)?;
            collected += 1;
        }
    }
    Ok(collected)
}

/// Adds the objects that a record names; versions of a dataset come after it.
pub(crate) fn name_objects(record: &Record, datasets: &mut HashMap<String, Dataset>, named: &mut HashSet<String>) {
    match record {
        Record::Dataset { dataset, .. } => {
            datasets.insert(dataset.id.to_string(), dataset.clone());
        }
        Record::Version { dataset, version } => {
            if let Some(dataset) = datasets.get(dataset.as_str()) {
                named.extend(objects_of(dataset, version));
            }
        }
        Record::Push(record) => {
            named.extend(record.objects());
        }
    }
}

/// The keys of all objects that a commit may name.
pub(crate) fn stored(objects: &Objects) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut folders = vec![paths::RAW.to_owned(), paths::RECEIPTS.to_owned()];
    folders.extend(objects.list(paths::DATA)?.iter().map(|dataset| format!("{}/{dataset}", paths::DATA)));
    for folder in folders {
        keys.extend(objects.list(&folder)?.into_iter().map(|name| format!("{folder}/{name}")));
    }
    Ok(keys)
}
