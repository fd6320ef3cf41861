//! Erasures are carried over to a copy: what it has of the rows goes there, too.

use super::copy::Copy;
use crate::erasure::Erasure;
use crate::layout::Superseded;
use crate::named::{BytesOfRemoved, named_objects};
use crate::opening::{as_read, state_at};
use crate::paths;
use crate::state::{Record, each_record};
use std::collections::{BTreeSet, HashMap};
use ukimet_model::{DatasetUuid, Result};

/// The erasures of a state, each with the folder of its dataset.
type InFolders = Vec<(DatasetUuid, Erasure)>;

impl Copy<'_> {
    /// Removes from the target what held rows that are erased by this snapshot, which the target has.
    pub(super) fn remove_erased(&mut self, snapshot: u64) -> Result<()> {
        let state = state_at(self.from, self.catalog, snapshot)?;
        let (mut folders, mut erasures) = (HashMap::new(), InFolders::new());
        // Keys are in order: datasets come before erasures.
        each_record(as_read(&*state), &mut |_, record| {
            match record {
                Record::Dataset { dataset, .. } => drop(folders.insert(dataset.id, dataset.uuid)),
                Record::Erasure { dataset, erasure } => {
                    erasures.extend(folders.get(&dataset).map(|uuid| (uuid.clone(), *erasure)));
                }
                _ => (),
            }
            Ok(())
        })?;
        if erasures.is_empty() {
            return Ok(());
        }
        let named = named_objects(as_read(&*state), BytesOfRemoved::AsRuled, Superseded::ALL)?;
        for key in self.may_hold(&erasures)?.into_iter().filter(|key| !named.contains_key(key)) {
            self.to.remove(&key)?;
            self.report.objects_erased += 1;
        }
        Ok(())
    }

    /// The target's objects that may hold erased rows: all of their datasets, and what else erasures name.
    fn may_hold(&self, erasures: &InFolders) -> Result<BTreeSet<String>> {
        let mut keys = BTreeSet::new();
        for (uuid, erasure) in erasures {
            let folder = format!("{}/{uuid}", paths::DATA);
            let names = self.to.names(&folder)?.into_iter().filter(|name| !paths::is_beside(name));
            keys.extend(names.map(|name| format!("{folder}/{name}")));
            for key in erasure.old_objects() {
                if self.to.size_bytes(&key)?.is_some() {
                    keys.insert(key);
                }
            }
        }
        Ok(keys)
    }
}
