//! The objects that the records of a state name, and what depends on each.

use crate::collect::name_objects;
use crate::state::{Damage, Read, Record, each_record};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What depends on each object, by key: versions as `almaty/schools@v3`, pushes as `push almaty/p1`.
pub(crate) type Named = BTreeMap<String, Vec<Arc<str>>>;

/// The objects that a state names.
pub(crate) fn named_objects(state: &dyn Read) -> Result<Named, Damage> {
    let (mut named, mut datasets, mut keys) = (Named::new(), HashMap::new(), HashSet::new());
    // Keys are in order: datasets come before versions.
    each_record(state, &mut |_, record| {
        name_objects(&record, &mut datasets, &mut keys);
        if !keys.is_empty() {
            let dependent: Arc<str> = dependent(&record).into();
            for key in keys.drain() {
                named.entry(key).or_default().push(Arc::clone(&dependent));
            }
        }
        Ok(())
    })?;
    Ok(named)
}

fn dependent(record: &Record) -> String {
    match record {
        Record::Dataset { dataset, .. } => dataset.id.to_string(),
        Record::Version { dataset, version } => format!("{dataset}@{}", version.number),
        Record::Push(record) => format!("push {}/{}", record.agency, record.push_id),
    }
}
