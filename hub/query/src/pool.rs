//! The memory of one query, taken from that of all queries together.

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all queries together have of memory, bytes.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    bytes_max: usize,
    taken: AtomicUsize,
}

impl SharedMemory {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, taken: AtomicUsize::new(0) }
    }

    /// Bytes that are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> bool {
        let enough = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.bytes_max);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }
}

/// The memory of one query: parts that can spill share it evenly.
#[derive(Debug)]
pub(crate) struct QueryPool {
    own: FairSpillPool,
    own_bytes_max: usize,
    shared: Arc<SharedMemory>,
}

impl QueryPool {
    pub(crate) fn new(own_bytes_max: usize, shared: Arc<SharedMemory>) -> Self {
        Self { own: FairSpillPool::new(own_bytes_max), own_bytes_max, shared }
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memory of a query, {} bytes", self.own_bytes_max)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &'static str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.taken.fetch_add(additional, Ordering::Relaxed);
        self.own.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.shared.taken.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if !self.shared.try_take(additional) {
            let (max, name) = (self.shared.bytes_max, reservation.consumer().name());
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{name} asked for {additional} bytes of the {max} that all queries share"
            )));
        }
        let grown = self.own.try_grow(reservation, additional);
        if grown.is_err() {
            self.shared.taken.fetch_sub(additional, Ordering::Relaxed);
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.own_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_its_own_memory_and_all_have_one_together() {
        let shared = Arc::new(SharedMemory::new(150));
        let pool = || Arc::new(QueryPool::new(100, Arc::clone(&shared))) as Arc<dyn MemoryPool>;
        let (one, other) = (pool(), pool());
        let first = MemoryConsumer::new("first").register(&one);
        let second = MemoryConsumer::new("second").register(&other);
        assert!(first.try_grow(101).is_err(), "its own is 100");
        first.try_grow(100).expect("fits");
        assert!(second.try_grow(60).expect_err("50 are left").to_string().contains("all queries share"));
        second.try_grow(50).expect("fits");
        assert_eq!(shared.taken(), 150);
        first.free();
        second.try_grow(50).expect("what was freed is there again");
        drop((first, second));
        assert_eq!(shared.taken(), 0);
    }
}
