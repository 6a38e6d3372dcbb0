//! Staying awake for the next request, when the last ones came close together.
//!
//! Waking a thread that sleeps on another core takes 25 to 75 µs, and a request some 5. So after
//! each request of a burst the event loop looks at its sockets a little longer before it sleeps,
//! and gives way to whoever wants the core. A store that is asked now and then sleeps at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::Notify;

/// How long the loop stays awake after a request of a burst, in nanoseconds.
const STAY_NS: u64 = 50_000;

/// Requests that come within this time of the last one are a burst, in nanoseconds: longer than
/// the stay, for the way of the first one includes waking the loop.
const BURST_NS: u64 = 150_000;

/// What the event loop knows of the rhythm of requests.
pub(super) struct Awake {
    start: Instant,
    /// When the last request came, in nanoseconds since `start`.
    last_ns: AtomicU64,
    /// Until when to stay awake, in nanoseconds since `start`.
    until_ns: AtomicU64,
    stays: AtomicBool,
    asked: Notify,
}

impl Awake {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            last_ns: AtomicU64::new(0),
            until_ns: AtomicU64::new(0),
            stays: AtomicBool::new(false),
            asked: Notify::new(),
        }
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Notes a request. All orders are relaxed: it all happens on the event loop's thread.
    pub(super) fn note(&self) {
        self.come(self.now_ns());
    }

    fn come(&self, now: u64) {
        let last = self.last_ns.swap(now, Ordering::Relaxed);
        if now - last.min(now) > BURST_NS {
            return;
        }
        self.until_ns.store(now + STAY_NS, Ordering::Relaxed);
        if !self.stays.swap(true, Ordering::Relaxed) {
            self.asked.notify_one();
        }
    }

    /// Keeps the event loop from sleeping while it should not. Runs for ever, on that loop.
    pub(super) async fn run(&self) {
        loop {
            self.asked.notified().await;
            while self.now_ns() < self.until_ns.load(Ordering::Relaxed) {
                // The kernel first, since the client may want this core; then the sockets.
                std::thread::yield_now();
                tokio::task::yield_now().await;
            }
            self.stays.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_burst_keeps_the_loop_awake() {
        let awake = Awake::new();

        awake.come(10 * BURST_NS);
        assert!(!awake.stays.load(Ordering::Relaxed), "the first request after a pause");
        awake.come(11 * BURST_NS);
        assert!(awake.stays.load(Ordering::Relaxed), "the second one, close behind");
        assert_eq!(awake.until_ns.load(Ordering::Relaxed), 11 * BURST_NS + STAY_NS);
    }
}
