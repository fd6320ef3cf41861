//! The state in memory: what is served while the projection on disk is being replaced, and what tests use.

use super::{Damage, KeyValue, Pair, Read};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// An ordered map in memory.
#[derive(Default)]
pub(crate) struct MemoryState(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryState {
    fn pairs(&self) -> RwLockReadGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned((key, value): (&Vec<u8>, &Vec<u8>)) -> Pair {
    (key.clone(), value.clone())
}

impl Read for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Damage> {
        Ok(self.pairs().get(key).cloned())
    }

    fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, Damage> {
        Ok(self.pairs().range(from.to_vec()..=to.to_vec()).next_back().map(owned))
    }

    fn page(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Damage> {
        Ok(self.pairs().range(from.to_vec()..to.to_vec()).take(limit).map(owned).collect())
    }
}

impl KeyValue for MemoryState {
    fn write(&self, pairs: &[Pair]) -> Result<(), Damage> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(pairs.iter().cloned());
        Ok(())
    }
}
