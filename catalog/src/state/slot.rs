//! The state in use, replaced by one rebuilt from the log when it turns out to be damaged.

use super::{Damage, KeyValue, Read, View, Watermark, pairs_of};
use crate::log::Entry;
use std::sync::{Arc, PoisonError, RwLock};
use ukimet_model::{Error, Result, Sha256};

/// Builds a whole state from checkpoint and log.
type Rebuild = Box<dyn Fn() -> Result<(Arc<dyn KeyValue>, Watermark)> + Send + Sync>;

/// Holds the state and heals it.
pub(crate) struct StateSlot {
    current: RwLock<Current>,
    rebuild: Rebuild,
}

#[derive(Clone)]
struct Current {
    state: Arc<dyn KeyValue>,
    watermark: Watermark,
    /// Counts the rebuilds, so that many readers of one damaged state rebuild it once.
    generation: u64,
}

impl StateSlot {
    pub(crate) fn new(state: Arc<dyn KeyValue>, watermark: Watermark, rebuild: Rebuild) -> Self {
        Self { current: RwLock::new(Current { state, watermark, generation: 0 }), rebuild }
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn watermark(&self) -> Watermark {
        self.current().watermark
    }

    /// Reads the state as of a commit; a damaged state is rebuilt and read again.
    pub(crate) fn read<T>(&self, sequence: u64, read: impl Fn(&View<'_>) -> Result<T, Damage>) -> Result<T> {
        self.read_pairs(|pairs| read(&View::new(pairs, sequence)))
    }

    /// As [`StateSlot::read`], without a commit in mind.
    pub(crate) fn read_pairs<T>(&self, read: impl Fn(&dyn Read) -> Result<T, Damage>) -> Result<T> {
        let current = self.current();
        match read(&*current.state) {
            Ok(value) => Ok(value),
            Err(damage) => {
                self.heal(current.generation, &damage)?;
                read(&*self.current().state).map_err(Error::from)
            }
        }
    }

    /// Applies the next entry, atomically with its watermark.
    pub(crate) fn apply(&self, entry: &Entry, hash: &Sha256) -> Result<()> {
        let current = self.current();
        let applied = pairs_of(entry, hash, &*current.state, &current.watermark)
            .and_then(|(pairs, watermark)| current.state.write(&pairs).map(|()| watermark));
        match applied {
            Ok(watermark) => {
                self.current.write().unwrap_or_else(PoisonError::into_inner).watermark = watermark;
                Ok(())
            }
            // The entry is in the log already, so the rebuilt state has it.
            Err(damage) => self.heal(current.generation, &damage),
        }
    }

    fn heal(&self, generation: u64, damage: &Damage) -> Result<()> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation == generation {
            tracing::error!(%damage, "the state projection is damaged and is rebuilt from the log");
            let (state, watermark) = (self.rebuild)()?;
            *current = Current { state, watermark, generation: generation + 1 };
        }
        Ok(())
    }

    pub(crate) fn flush(&self) {
        if let Err(damage) = self.current().state.flush() {
            tracing::warn!(%damage, "the state projection was not flushed; it is caught up when it is opened");
        }
    }
}
