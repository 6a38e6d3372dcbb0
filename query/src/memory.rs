//! Memory: so much for each statement, so much for all of them.
//!
//! A statement has a pool that shares its own part out fairly among those that can spill. What it
//! grants is taken from the engine's as well, so that many statements at a time spill before the
//! machine runs out. What is mapped from the store counts as nothing here: the store's budget has
//! it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// What all statements take together.
#[derive(Debug)]
pub(crate) struct AllMemory {
    limit: usize,
    used: AtomicUsize,
}

impl AllMemory {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> Result<()> {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        taken.map(|_| ()).map_err(|used| {
            resources_datafusion_err!(
                "it wants {bytes} bytes more, and all statements together have {used} of {}",
                self.limit
            )
        })
    }
}

/// What one statement takes.
#[derive(Debug)]
pub(crate) struct StatementMemory {
    all: Arc<AllMemory>,
    own: FairSpillPool,
    taken: AtomicUsize,
}

impl StatementMemory {
    pub(crate) fn new(all: Arc<AllMemory>, limit: usize) -> Self {
        Self { all, own: FairSpillPool::new(limit), taken: AtomicUsize::new(0) }
    }

    /// Whether a consumer is always let have what it wants: a `RepartitionExec` that spilled would
    /// wait for readers that wait for it (datafusion#24883), and it holds little.
    fn is_let_pass(reservation: &MemoryReservation) -> bool {
        reservation.consumer().name().starts_with("RepartitionExec[")
    }
}

impl fmt::Display for StatementMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement memory of {}", self.own)
    }
}

impl MemoryPool for StatementMemory {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.all.used.fetch_add(additional, Ordering::Relaxed);
        self.taken.fetch_add(additional, Ordering::Relaxed);
        self.own.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.all.used.fetch_sub(shrink, Ordering::Relaxed);
        self.taken.fetch_sub(shrink, Ordering::Relaxed);
        self.own.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if Self::is_let_pass(reservation) {
            self.grow(reservation, additional);
            return Ok(());
        }
        self.all.try_take(additional)?;
        match self.own.try_grow(reservation, additional) {
            Ok(()) => {
                self.taken.fetch_add(additional, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.all.used.fetch_sub(additional, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

impl Drop for StatementMemory {
    fn drop(&mut self) {
        // What an operator forgot to give back ends with its statement.
        self.all.used.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(all: &Arc<AllMemory>, limit: usize) -> Arc<dyn MemoryPool> {
        Arc::new(StatementMemory::new(all.clone(), limit))
    }

    #[test]
    fn a_statement_has_its_limit_and_all_have_theirs() {
        let all = AllMemory::new(100);
        let (first, second) = (pool(&all, 80), pool(&all, 80));
        let own = MemoryConsumer::new("sort").register(&first);
        let other = MemoryConsumer::new("sort").register(&second);

        assert!(own.try_grow(81).is_err(), "its own limit");
        own.try_grow(80).unwrap();
        assert!(other.try_grow(21).is_err(), "that of all");
        other.try_grow(20).unwrap();
        assert_eq!(all.used(), 100);

        drop(own);
        assert_eq!(all.used(), 20);
        other.try_grow(60).unwrap();
        drop(other);
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn a_repartition_never_waits_for_memory() {
        let all = AllMemory::new(10);
        let pool = pool(&all, 10);
        let repartition = MemoryConsumer::new("RepartitionExec[1]").register(&pool);

        repartition.try_grow(50).unwrap();

        assert_eq!(all.used(), 50);
    }
}
