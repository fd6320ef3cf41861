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

    /// As [`StateSlot::read`], knowing which versions were removed up to a later commit.
    pub(crate) fn read_knowing<T>(
        &self,
        sequence: u64,
        known: u64,
        read: impl Fn(&View<'_>) -> Result<T, Damage>,
    ) -> Result<T> {
        self.read_pairs(|pairs| read(&View::new(pairs, sequence).knowing(known)))
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

    /// Applies the next entry, atomically with its watermark. The entry is in the log already.
    pub(crate) fn apply(&self, entry: &Entry, hash: &Sha256) -> Result<()> {
        loop {
            let current = self.current();
            if current.watermark.sequence >= entry.sequence {
                // A state that was rebuilt meanwhile has it.
                return Ok(());
            }
            let applied = pairs_of(entry, hash, &*current.state, &current.watermark)
                .and_then(|(pairs, watermark)| current.state.write(&pairs).map(|()| watermark));
            match applied {
                Ok(watermark) => {
                    let mut now = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    if now.generation == current.generation {
                        now.watermark = watermark;
                        return Ok(());
                    }
                }
                Err(damage) => self.heal(current.generation, &damage)?,
            }
        }
    }

    fn heal(&self, generation: u64, damage: &Damage) -> Result<()> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation == generation {
            tracing::error!(%damage, "the state projection is damaged and is rebuilt from the log");
            current.state.distrust();
            let (state, watermark) = (self.rebuild)()?;
            *current = Current { state, watermark, generation: generation + 1 };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Change, Part};
    use crate::state::{MemoryState, Pair, watermark_pair};
    use std::sync::atomic::{AtomicBool, Ordering};
    use ukimet_model::{Dataset, DatasetId, DatasetUuid};

    /// A state that stops answering when told so.
    struct Breaking {
        inner: MemoryState,
        is_broken: Arc<AtomicBool>,
    }

    impl Breaking {
        fn check(&self) -> Result<(), Damage> {
            if self.is_broken.load(Ordering::SeqCst) { Err(Damage("broken".to_owned())) } else { Ok(()) }
        }
    }

    impl Read for Breaking {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Damage> {
            self.check().and_then(|()| self.inner.get(key))
        }
        fn last(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, Damage> {
            self.check().and_then(|()| self.inner.last(from, to))
        }
        fn page(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, Damage> {
            self.check().and_then(|()| self.inner.page(from, to, limit))
        }
    }

    impl KeyValue for Breaking {
        fn write(&self, pairs: &[Pair]) -> Result<(), Damage> {
            self.check().and_then(|()| self.inner.write(pairs))
        }
    }

    fn id(number: u64) -> DatasetId {
        format!("a/n{number}").parse().expect("valid")
    }

    fn entry(sequence: u64) -> Entry {
        let dataset = Dataset {
            id: id(sequence),
            uuid: DatasetUuid::from_random(sequence.into()),
            created: jiff::Timestamp::UNIX_EPOCH,
            metadata: ukimet_model::DatasetMetadata::default(),
            mapping: None,
            retention: None,
        };
        let changes = vec![Change::DatasetCreated(dataset)];
        let part = Part { principal: "tester".to_owned(), requirements: Vec::new(), changes };
        Entry { sequence, previous: Sha256([0; 32]), time: jiff::Timestamp::UNIX_EPOCH, parts: vec![part] }
    }

    /// A state of some entries, as checkpoint and log would give it.
    fn replayed(entries: u64) -> (Arc<dyn KeyValue>, Watermark) {
        let (state, mut watermark) = (MemoryState::default(), Watermark::empty(Sha256([0; 32])));
        state.write(&[watermark_pair(&watermark)]).expect("memory");
        for sequence in 1..=entries {
            let (pairs, next) = pairs_of(&entry(sequence), &Sha256([0; 32]), &state, &watermark).expect("whole");
            state.write(&pairs).expect("memory");
            watermark = next;
        }
        (Arc::new(state), watermark)
    }

    #[test]
    fn a_state_that_breaks_is_rebuilt_and_answers_as_before() {
        for breaks_at_write in [false, true] {
            let is_broken = Arc::new(AtomicBool::new(false));
            let state = Breaking { inner: MemoryState::default(), is_broken: Arc::clone(&is_broken) };
            let empty = Watermark::empty(Sha256([0; 32]));
            let slot = StateSlot::new(Arc::new(state), empty, Box::new(|| Ok(replayed(2))));
            slot.apply(&entry(1), &Sha256([0; 32])).expect("whole");
            is_broken.store(breaks_at_write, Ordering::SeqCst);
            slot.apply(&entry(2), &Sha256([0; 32])).expect("rebuilt if broken");
            is_broken.store(true, Ordering::SeqCst);
            for number in 1..=2 {
                let found = slot.read(2, |view| view.dataset(&id(number))).expect("rebuilt");
                assert_eq!(found.map(|dataset| dataset.id), Some(id(number)));
            }
            assert_eq!(slot.watermark(), replayed(2).1);
        }
    }
}
