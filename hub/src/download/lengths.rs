//! How long files are, by their entity tags: what was counted once is not counted again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Lengths that are remembered; about 100 bytes each.
const LENGTHS_MAX: usize = 4096;

/// Remembered lengths, bytes. What was remembered first is forgotten first.
#[derive(Default)]
pub(super) struct Lengths(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    by_tag: HashMap<String, u64>,
    order: VecDeque<String>,
}

impl Lengths {
    pub(super) fn get(&self, tag: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_tag.get(tag).copied()
    }

    pub(super) fn remember(&self, tag: &str, length: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_tag.insert(tag.to_owned(), length).is_some() {
            return;
        }
        known.order.push_back(tag.to_owned());
        if known.order.len() > LENGTHS_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_tag.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_remembered_up_to_a_number() {
        let lengths = Lengths::default();
        for i in 0..=LENGTHS_MAX as u64 {
            lengths.remember(&i.to_string(), i);
        }
        assert_eq!((lengths.get("0"), lengths.get("1"), lengths.get("4096")), (None, Some(1), Some(4096)));
    }
}
