//! The objects that are needed of those that the records of a state name, and what depends on each.

use crate::erasure::Erasures;
use crate::invariants::{objects_of, segments_objects_of};
use crate::layout::Superseded;
use crate::needs::{KeySet, Needs};
use crate::state::{Damage, Read, Record, each_record};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use ukimet_model::{Dataset, DatasetId, RetentionRule};

/// What depends on each object, by key: versions as `almaty/schools@v3`, pushes as `push almaty/p1`.
pub(crate) type Named = BTreeMap<String, Vec<Arc<str>>>;

/// Whether bytes as sent count of which no version is left, if only the dataset's rule keeps them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BytesOfRemoved {
    /// As the rule says now.
    AsRuled,
    /// Not at all: an earlier rule may have let them go.
    Unneeded,
}

/// The needed objects that a state names, and of the superseded ones those that are said to stay.
pub(crate) fn named_objects(state: &dyn Read, bytes: BytesOfRemoved, superseded: Superseded) -> Result<Named, Damage> {
    let needed = needed_objects(state, bytes, superseded)?;
    let (mut named, mut datasets, mut erasures) = (Named::new(), HashMap::new(), Erasures::default());
    // Keys are in order: datasets and erasures come before layouts, pushes and versions.
    each_record(state, &mut |_, record| {
        let keys = keys_of(record, &mut datasets, &mut erasures);
        if let Some((dependent, keys)) = keys {
            let dependent: Arc<str> = dependent.into();
            for key in keys.into_iter().filter(|key| needed.contains(key)) {
                named.entry(key).or_default().push(Arc::clone(&dependent));
            }
        }
        Ok(())
    })?;
    Ok(named)
}

fn needed_objects(state: &dyn Read, bytes: BytesOfRemoved, superseded: Superseded) -> Result<KeySet, Damage> {
    const NOTHING_KEPT: RetentionRule =
        RetentionRule { keep_newest: Some(1), keep_months: None, keep_tagged: false, keep_raw: false };
    // Nobody reads what was removed before this state.
    let mut needs = Needs::new(u64::MAX, superseded);
    each_record(state, &mut |_, mut record| {
        if let Record::Dataset { dataset, .. } = &mut record
            && bytes == BytesOfRemoved::Unneeded
        {
            dataset.retention = Some(NOTHING_KEPT);
        }
        needs.add(&record);
        Ok(())
    })?;
    Ok(needs.finish())
}

/// What a record is, and the objects that it names.
fn keys_of(
    record: Record,
    datasets: &mut HashMap<DatasetId, Dataset>,
    erasures: &mut Erasures,
) -> Option<(String, Vec<String>)> {
    match record {
        Record::Dataset { dataset, .. } => {
            datasets.insert(dataset.id.clone(), dataset);
            None
        }
        Record::Erasure { dataset, erasure } => {
            erasures.add(&dataset, &erasure);
            None
        }
        Record::Version { dataset: id, mut version } => {
            erasures.apply(&id, &mut version);
            let keys = objects_of(datasets.get(&id)?, &version);
            Some((format!("{id}@{}", version.number), keys))
        }
        Record::Layout { dataset: id, mut layout } => {
            erasures.apply_to_layout(&id, &mut layout);
            let keys = segments_objects_of(datasets.get(&id)?, &layout.segments);
            Some((format!("{id}@{}", layout.version), keys))
        }
        Record::Push(record) => {
            Some((format!("push {}/{}", record.agency, record.push_id), erasures.objects_of(&record)))
        }
        Record::Tag { .. } | Record::Note { .. } | Record::Removal { .. } | Record::Operation(_) => None,
    }
}
