//! Who reads what: the newest published state, and the earlier ones that somebody still holds.

use crate::snapshot::Published;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

/// The published states of a catalog. Holding one pins every version that it shows: its objects stay.
pub(crate) struct Readers {
    newest: RwLock<Arc<Published>>,
    earlier: Mutex<Vec<Weak<Published>>>,
}

impl Readers {
    pub(crate) fn new(published: Published) -> Self {
        Self { newest: RwLock::new(Arc::new(published)), earlier: Mutex::default() }
    }

    /// The newest state.
    pub(crate) fn newest(&self) -> Arc<Published> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows a new state to readers that come from now on.
    pub(crate) fn publish(&self, published: Published) {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let before = {
            let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *newest, Arc::new(published))
        };
        earlier.retain(|held| held.strong_count() > 0);
        earlier.push(Arc::downgrade(&before));
    }

    /// The commit of the oldest state that anybody holds; that of the newest if nobody holds another.
    ///
    /// A version that was removed at or before that commit is not read by anybody, now or later.
    pub(crate) fn oldest(&self) -> u64 {
        // In the other order, a state that is replaced in between would be in neither place.
        let newest = self.newest().sequence;
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.iter().filter_map(Weak::upgrade).map(|held| held.sequence).fold(newest, u64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(sequence: u64) -> Published {
        Published { sequence, datasets: 0, text: None }
    }

    #[test]
    fn a_state_counts_as_long_as_somebody_holds_it() {
        let readers = Readers::new(published(1));
        let first = readers.newest();
        readers.publish(published(2));
        let second = readers.newest();
        readers.publish(published(3));
        let again = Arc::clone(&first);
        assert_eq!(readers.oldest(), 1);
        drop(first);
        assert_eq!(readers.oldest(), 1);
        drop(again);
        assert_eq!(readers.oldest(), 2);
        drop(second);
        assert_eq!(readers.oldest(), 3);
    }
}
