//! Emptying segments: what lives in a sparse one moves to the current one, and its memory goes.
//!
//! Each object lands at its new place like any other (`landing.rs`): it lives where its bytes are
//! until there is memory where they go, and stays if there is none.

use std::collections::BTreeMap;

use super::Room;
use super::effect::Effect;
use super::entry::{Entry, Phase};
use super::ids::{ContainerId, ObjectId, Place};
use super::landing::Cargo;
use super::segment::{PAGE, pages};

/// How long nothing moves after the kernel had no memory, in milliseconds.
const PAUSE_MS: u64 = 1000;

/// What is moving.
#[derive(Debug, Default)]
pub(super) struct Moving {
    /// For each segment that is being emptied, how many objects have not landed yet.
    leaving: BTreeMap<ContainerId, u64>,
    /// Until when nothing moves, in Unix milliseconds.
    paused_until_ms: u64,
}

impl Room {
    /// Empties the segments that have become sparse, as far as there is room to.
    pub(super) fn tidy(&mut self) {
        while let Some(container) = self.sparse.pop() {
            let current = self.segments.current == Some(container);
            let segment = self.segments.map.get(&container);
            if !current && segment.is_some_and(|segment| segment.is_sparse(1)) {
                self.empty_segment(container);
            }
        }
    }

    /// Empties segments that live by less than three quarters, the emptiest first, until this many
    /// bytes are free or coming.
    pub(super) fn compact(&mut self, need: u64) {
        let segments = self.segments.map.iter();
        let sparse = segments
            .filter(|(_, segment)| segment.is_sparse(3) && pages(segment.live) < segment.allocated);
        let mut sparse: Vec<_> = sparse.map(|(id, segment)| (segment.live, *id)).collect();
        sparse.sort_unstable();
        for (_, container) in sparse {
            if self.coming() >= need {
                break;
            }
            self.empty_segment(container);
        }
    }

    /// Plans to move what lives in a segment to the current one, unless there is no room for that;
    /// gives it up at once when nothing does.
    fn empty_segment(&mut self, container: ContainerId) {
        let Some(segment) = self.segments.map.get(&container) else { return };
        if segment.is_empty() {
            return self.retire_segment(container);
        }
        // At worst the objects end in two segments, each with its last page begun.
        let lacking = self.budget.free() < pages(segment.live) + 2 * PAGE;
        let paused = self.now_ms < self.moving.paused_until_ms;
        let busy = segment.promised > 0 || self.moving.leaving.contains_key(&container);
        if lacking || paused || busy {
            return;
        }
        let log = segment.log.clone();
        if self.segments.current == Some(container) {
            self.segments.current = None;
        }
        for object in log {
            let Some(entry) = self.living_in(object, container) else { continue };
            let (name, len) = (entry.name.clone(), entry.bytes);
            *self.moving.leaving.entry(container).or_insert(0) += 1;
            self.bring(&name, len, Cargo::Move { object, from: container });
        }
    }

    /// A sealed object, if it still lives in this segment.
    pub(super) fn living_in(&self, object: ObjectId, container: ContainerId) -> Option<&Entry> {
        let entry = self.objects.get(&object).filter(|entry| entry.phase == Phase::Sealed)?;
        entry.place.is_some_and(|place| place.container == container).then_some(entry)
    }

    /// Moves an object to its new place, which has its memory.
    pub(super) fn relocate(
        &mut self,
        object: ObjectId,
        from: ContainerId,
        to: Place,
        footprint: u64,
    ) {
        self.segments.redeem(to.container, footprint, Some(object));
        if let Some(segment) = self.segments.map.get_mut(&from) {
            segment.live -= footprint;
        }
        if let Some(entry) = self.objects.get_mut(&object)
            && let Some(from) = entry.place.replace(to)
        {
            let (name, kind) = (entry.name.clone(), entry.kind);
            self.counters.moved_bytes += footprint;
            self.effects.push(Effect::Move { object, name, kind, from, to });
        }
        self.moved_from(from);
    }

    /// One of those that were to leave a segment has, or stays for good. After the last one the
    /// segment is given up, if it is empty.
    pub(super) fn moved_from(&mut self, container: ContainerId) {
        let Some(left) = self.moving.leaving.get_mut(&container) else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        self.moving.leaving.remove(&container);
        if self.segments.map.get(&container).is_some_and(|segment| segment.is_empty()) {
            self.retire_segment(container);
        }
    }

    /// The kernel has no memory: for a while nobody is asked to move.
    pub(super) fn pause_moving(&mut self) {
        self.moving.paused_until_ms = self.now_ms.saturating_add(PAUSE_MS);
    }

    /// What the segments that are being emptied will give back, in bytes.
    pub(super) fn vacating(&self) -> u64 {
        let segments = self.moving.leaving.keys().filter_map(|id| self.segments.map.get(id));
        segments.filter(|segment| segment.pins == 0).map(|segment| segment.allocated).sum()
    }

    /// When objects may move again for those who wait for room.
    pub(super) fn moving_deadline_ms(&self) -> Option<u64> {
        let at = self.moving.paused_until_ms;
        (at > self.now_ms && !self.queue.is_empty()).then_some(at)
    }
}
