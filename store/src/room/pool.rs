//! The pool: containers prepared ahead of need, so that a large create finds warm memory.
//!
//! It learns from the last creates which sizes come, in classes of at most an eighth of an
//! octave, and takes only what is free. Of a class it prepares the largest size that came lately:
//! a create of just that size need not cut anything off, which takes 0.1 ms a MiB. It is the first
//! thing given up when room is short.
//!
//! Preparing takes as much of the memory's bandwidth as copying does, so it waits while a writer
//! copies into what was ready: the store catches up after the seal. (Put of 1 GiB, one thread, in
//! memcpys of the same bytes: 0.5 with both at once, 0.9 one after the other.) Writers that come
//! without a pause find nothing ready, and would wait for a store that waits for them: while that
//! lasts, memory is prepared beside the copying.

use std::collections::VecDeque;

use super::Room;
use super::budget::Part;
use super::ids::ContainerId;
use super::segment::PAGE;

const MIB: u64 = 1 << 20;

const HUGE_PAGE: u64 = 2 * MIB;

/// Without a large create for this long the pool is given up, in milliseconds.
const IDLE_MS: u64 = 60_000;

/// The container that a large room keeps prepared from the start, in bytes.
const START_BYTES: u64 = 64 * MIB;

/// How many of the last creates are remembered.
const MEMORY: usize = 8;

/// Smaller creates are not worth a huge page of their own, in bytes.
const LEAST_BYTES: u64 = MIB;

/// What a writer copies at least in a millisecond: that long, and not for ever, it is left alone.
const COPIED_BYTES_PER_MS: u64 = 2 * MIB;

/// For so long after a create that found nothing ready, creates are taken to come without a pause,
/// in milliseconds.
const HUNGRY_MS: u64 = 1000;

/// One prepared container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared {
    pub(super) container: ContainerId,
    pub(super) bytes: u64,
    pub(super) ready: bool,
}

/// A size worth preparing.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    bytes: u64,
    count: usize,
}

/// The pool, and what it remembers of the creates.
#[derive(Debug, Default)]
pub(super) struct Pool {
    entries: Vec<Prepared>,
    /// Size and time of the last large creates, newest first.
    recent: VecDeque<(u64, u64)>,
    /// A preparation failed since the last large create: preparing more would fail too.
    paused: bool,
    /// Until when a writer is taken to copy into a container that was ready, in Unix milliseconds.
    quiet_until_ms: u64,
    /// Until when creates are taken to come faster than memory is prepared, in Unix milliseconds.
    hungry_until_ms: u64,
}

/// What creates of about this size have in common: the largest of them, in bytes.
fn class(bytes: u64) -> u64 {
    let eighth = (1u64 << bytes.max(1).ilog2()) / 8;
    bytes.next_multiple_of(eighth.max(HUGE_PAGE))
}

/// What is prepared for a create of this size: whole pages, and whole huge pages where the last one
/// is used by half.
fn whole(bytes: u64) -> u64 {
    let huge = bytes.next_multiple_of(HUGE_PAGE);
    if huge - bytes <= HUGE_PAGE / 2 { huge } else { bytes.next_multiple_of(PAGE) }
}

impl Pool {
    /// The entry that suits a need best: the smallest that covers it and is at most twice as
    /// large, else the largest smaller one. A ready one comes before one in preparation.
    pub(super) fn best(&self, need: u64) -> Option<Prepared> {
        let covers = |entry: &&Prepared| entry.bytes >= need && entry.bytes - need <= need;
        let covering = self.entries.iter().filter(covers);
        let smaller = self.entries.iter().filter(|entry| entry.bytes < need);
        covering
            .min_by_key(|entry| (entry.bytes, !entry.ready))
            .or_else(|| smaller.max_by_key(|entry| (entry.bytes, entry.ready)))
            .copied()
    }

    pub(super) fn take(&mut self, container: ContainerId) -> Option<Prepared> {
        let index = self.entries.iter().position(|entry| entry.container == container)?;
        Some(self.entries.remove(index))
    }

    /// The oldest entry but for `keep`.
    pub(super) fn oldest_except(&self, keep: Option<ContainerId>) -> Option<Prepared> {
        self.entries.iter().find(|entry| Some(entry.container) != keep).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ready(&self) -> usize {
        self.entries.iter().filter(|entry| entry.ready).count()
    }

    fn remember(&mut self, bytes: u64, now_ms: u64) {
        if bytes >= LEAST_BYTES {
            self.recent.truncate(MEMORY - 1);
            self.recent.push_front((whole(bytes), now_ms));
            self.paused = false;
        }
    }

    fn is_idle(&self, now_ms: u64) -> bool {
        self.recent.front().is_none_or(|(_, at)| at.saturating_add(IDLE_MS) <= now_ms)
    }

    /// The sizes worth having, one of a class, the most recent first, and how many of each.
    fn wanted(&self, now_ms: u64, budget: u64) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        if !self.is_idle(now_ms) {
            for &(bytes, at) in &self.recent {
                match wanted.iter_mut().find(|known| class(known.bytes) == class(bytes)) {
                    Some(known) => *known = Wanted { bytes: known.bytes.max(bytes), count: 2 },
                    None => {
                        let count = usize::from(at.saturating_add(IDLE_MS) > now_ms);
                        wanted.push(Wanted { bytes, count });
                    }
                }
            }
        }
        if budget >= 512 * MIB {
            match wanted.iter_mut().find(|known| class(known.bytes) == START_BYTES) {
                Some(known) => known.count += 1,
                None => wanted.push(Wanted { bytes: START_BYTES, count: 1 }),
            }
        }
        wanted
    }

    /// The first size that is short, and the entries that nobody wants.
    fn compare(&self, wanted: &[Wanted]) -> (Option<u64>, Vec<ContainerId>) {
        let mut missing = wanted.to_vec();
        let mut unwanted = Vec::new();
        for entry in &self.entries {
            let same = |known: &&mut Wanted| class(known.bytes) == class(entry.bytes);
            match missing.iter_mut().filter(|known| known.count > 0).find(same) {
                Some(known) => known.count -= 1,
                None => unwanted.push(entry.container),
            }
        }
        (missing.iter().find(|known| known.count > 0).map(|known| known.bytes), unwanted)
    }
}

impl Room {
    /// A container worth preparing now, and its size; it counts in the pool from here on, until
    /// [`Room::pool_failed`]. Nothing while a create waits for room.
    pub fn pool_want(&mut self, now_ms: u64) -> Option<(ContainerId, u64)> {
        self.at(now_ms);
        let quiet = self.now_ms < self.pool.quiet_until_ms;
        if quiet || self.pool.paused || !self.queue.is_empty() {
            return None;
        }
        let most = self.config.pool_bytes;
        let mut wanted = self.pool.wanted(self.now_ms, self.budget.limit());
        // What can never be pooled must not keep the others out.
        wanted.retain(|known| known.bytes <= most);
        let (missing, unwanted) = self.pool.compare(&wanted);
        let bytes = missing?;
        let mut unwanted = unwanted.into_iter();
        while self.budget.part(Part::Pool) + bytes > most {
            let container = unwanted.next()?;
            self.drop_pooled(container);
        }
        if self.budget.free() < bytes {
            return None;
        }
        let container = self.next_container();
        self.budget.shift(Part::Free, Part::Pool, bytes);
        self.pool.entries.push(Prepared { container, bytes, ready: false });
        Some((container, bytes))
    }

    /// A container that [`Room::pool_want`] asked for is prepared.
    pub fn pool_ready(&mut self, container: ContainerId) {
        let mut entries = self.pool.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.container == container) {
            entry.ready = true;
        }
    }

    /// A container that [`Room::pool_want`] asked for could not be prepared, and is gone. If a
    /// create took it meanwhile, [`Room::memory_failed`] is the call to make.
    pub fn pool_failed(&mut self, container: ContainerId) {
        if let Some(entry) = self.pool.take(container) {
            self.pool.paused = true;
            self.budget.shift(Part::Pool, Part::Free, entry.bytes);
            self.pump();
        }
    }

    /// Gives one pooled container up.
    pub(super) fn drop_pooled(&mut self, container: ContainerId) {
        if let Some(entry) = self.pool.take(container) {
            self.budget.shift(Part::Pool, Part::Retired, entry.bytes);
            self.retire(container, entry.bytes, 0);
        }
    }

    /// Notes that a large draft of this size was created, and whether its memory was ready.
    ///
    /// If it was, a writer begins to copy into it, and nothing is prepared meanwhile; unless
    /// creates come faster than memory does: then both go on at once, and no core is idle.
    pub(super) fn remember_large(&mut self, bytes: u64, ready: bool) {
        let came_before = !self.pool.is_idle(self.now_ms);
        self.pool.remember(bytes, self.now_ms);
        if !ready {
            let hungry_ms = if came_before { HUNGRY_MS } else { 0 };
            self.pool.hungry_until_ms = self.now_ms.saturating_add(hungry_ms);
        } else if self.pool.hungry_until_ms <= self.now_ms {
            self.pool.quiet_until_ms = self.now_ms.saturating_add(1 + bytes / COPIED_BYTES_PER_MS);
        }
    }

    /// A large draft was sealed or ended.
    pub(super) fn end_quiet(&mut self) {
        self.pool.quiet_until_ms = 0;
    }

    /// Gives up what an idle pool has beyond the container it always keeps.
    pub(super) fn shrink_pool(&mut self) {
        if self.pool.len() == 0 || !self.pool.is_idle(self.now_ms) {
            return;
        }
        let wanted = self.pool.wanted(self.now_ms, self.budget.limit());
        for container in self.pool.compare(&wanted).1 {
            self.drop_pooled(container);
        }
    }

    /// When preparing goes on, or an idle pool is given up.
    pub(super) fn pool_deadline_ms(&self) -> Option<u64> {
        if self.pool.quiet_until_ms > self.now_ms {
            return Some(self.pool.quiet_until_ms);
        }
        let (_, at) = self.pool.recent.front()?;
        let at = at.saturating_add(IDLE_MS);
        (at > self.now_ms && self.pool.len() > 0).then_some(at)
    }
}
