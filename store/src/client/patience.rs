//! Looking for an answer a little while before sleeping for it.
//!
//! Most answers come within microseconds, and being woken takes 25 to 75 of them. So whoever waits
//! looks again and again first, and lets others have the core in between. How long adapts to how
//! long answers take: who waits for what takes longer soon sleeps at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;

/// The longest look, in nanoseconds.
const MOST_NS: u64 = 50_000;

/// The shortest look, in nanoseconds: a few tries.
const LEAST_NS: u64 = 2_000;

/// An answer that came within this time would have been worth a look, in nanoseconds.
const SOON_NS: u64 = 200_000;

/// How long to look before sleeping.
pub(super) struct Patience(AtomicU64);

impl Patience {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(MOST_NS))
    }

    /// Receives without blocking for a while, then blocks.
    pub(super) fn first_look<T>(
        &self,
        mut receive: impl FnMut(RecvFlags) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let start = Instant::now();
        // Relaxed: a hint, and nothing more.
        let most = Duration::from_nanos(self.0.load(Ordering::Relaxed));
        loop {
            match receive(RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) if start.elapsed() < most => std::thread::yield_now(),
                Err(Errno::AGAIN) => break,
                outcome => return outcome,
            }
        }
        let outcome = receive(RecvFlags::empty());
        self.learn(start.elapsed());
        outcome
    }

    /// A sleep ended after so much time in all.
    fn learn(&self, waited: Duration) {
        let most = self.0.load(Ordering::Relaxed);
        let soon = waited < Duration::from_nanos(SOON_NS);
        let next = if soon { MOST_NS } else { (most / 2).max(LEAST_NS) };
        self.0.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_soon_slept_for_and_what_does_not_is_looked_for_again() {
        let patience = Patience::new();

        for _ in 0..10 {
            patience.learn(Duration::from_millis(1));
        }
        assert_eq!(patience.0.load(Ordering::Relaxed), LEAST_NS);
        patience.learn(Duration::from_micros(60));
        assert_eq!(patience.0.load(Ordering::Relaxed), MOST_NS);
    }

    #[test]
    fn an_answer_that_is_there_needs_no_sleep() {
        let patience = Patience(AtomicU64::new(u64::MAX));
        let mut tries = 0;

        let received = patience.first_look(|flags| {
            tries += 1;
            assert_eq!(flags, RecvFlags::DONTWAIT);
            if tries < 3 { Err(Errno::AGAIN) } else { Ok(7) }
        });

        assert_eq!((received, tries), (Ok(7), 3));
    }
}
