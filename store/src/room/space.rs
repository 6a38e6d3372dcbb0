//! Making room: what is given up, in which order, when something does not fit.
//!
//! First pooled containers, then droppable objects that nobody holds, least recently used first,
//! then the dead bytes of segments. Memory given up is not free until the kernel gives it back,
//! so the outlook may be that room is *coming*. Nothing is given up for what would not fit
//! even then.

use super::Room;
use super::budget::Part;
use super::effect::Effect;
use super::entry::Phase;
use super::ids::{ContainerId, ObjectId, Place};
use super::segment::{PAGE, footprint, pages};
use crate::object::Name;

/// Whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It is free.
    Ready,
    /// The kernel is giving it back.
    Coming,
    /// Someone must release, delete or abort something first.
    Lacking,
}

impl Room {
    /// Whether this many bytes are free, or will be without giving anything more up.
    pub(super) fn outlook(&self, need: u64) -> Outlook {
        let free = self.budget.free();
        if free >= need {
            Outlook::Ready
        } else if free + self.retiring.arriving >= need {
            Outlook::Coming
        } else {
            Outlook::Lacking
        }
    }

    /// Makes room for this many bytes, but for the pooled container that they will extend.
    pub(super) fn make_room(&mut self, need: u64, keep: Option<ContainerId>) -> Outlook {
        let budget = &self.budget;
        let at_most = self.retiring.arriving
            + self.idle.droppable_bytes
            + [Part::Free, Part::Pool, Part::Slack]
                .map(|part| budget.part(part))
                .iter()
                .sum::<u64>();
        if at_most < need {
            return Outlook::Lacking;
        }
        while self.outlook(need) == Outlook::Lacking
            && let Some(pooled) = self.pool.oldest_except(keep)
        {
            self.drop_pooled(pooled.container);
        }
        // Small objects free nothing by themselves: from time to time, empty the segments
        // that their loss has thinned out, ever more rarely so that the search stays cheap.
        let mut enough = need;
        let mut dropped = 0;
        while self.outlook(need) == Outlook::Lacking
            && let Some(object) = self.idle.oldest()
        {
            dropped += self.evict_one(object);
            if dropped >= enough {
                self.compact(need);
                enough = enough.saturating_mul(2);
            }
        }
        if self.outlook(need) == Outlook::Lacking {
            self.compact(need);
        }
        self.outlook(need)
    }

    /// Drops droppable objects that nobody holds, least recently used first, until they amount to
    /// this many bytes. Returns how many bytes they were charged.
    pub fn evict(&mut self, bytes: u64) -> u64 {
        let mut freed = 0;
        while freed < bytes
            && let Some(object) = self.idle.oldest()
        {
            freed += self.evict_one(object);
        }
        self.pump();
        freed
    }

    fn evict_one(&mut self, object: ObjectId) -> u64 {
        let charge = self.objects.get(&object).map_or(0, |entry| entry.charge);
        self.counters.evictions += 1;
        self.drop_sealed(object);
        charge
    }

    /// Finds a place for a small object, for which there is room.
    pub(super) fn append(&mut self, object: ObjectId, name: &Name, len: u64) -> Option<Place> {
        // Whoever waits for room needs it more than this segment needs a whole step.
        let spare = if self.queue.is_empty() { self.budget.free() } else { 0 };
        self.append_with(object, name, len, spare)
    }

    fn append_with(
        &mut self,
        object: ObjectId,
        name: &Name,
        len: u64,
        spare: u64,
    ) -> Option<Place> {
        let footprint = footprint(name, len);
        if !self.segments.fits(footprint) {
            self.sparse.extend(self.segments.current);
            let (container, capacity) = (self.next_container(), self.config.segment_bytes);
            self.segments.open(container, capacity);
            self.effects.push(Effect::OpenSegment { container, capacity });
        }
        let spare = spare.saturating_sub(self.segments.growth(footprint));
        if let Some((growth, allocated)) = self.segments.grow(footprint, spare)
            && let Some(container) = self.segments.current
        {
            self.budget.shift(Part::Free, Part::Slack, growth);
            self.effects.push(Effect::GrowSegment { container, allocated });
        }
        self.budget.shift(Part::Slack, Part::Sealed, footprint);
        self.segments.append(object, name, len)
    }

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
    fn compact(&mut self, need: u64) {
        let segments = self.segments.map.iter();
        let sparse = segments
            .filter(|(_, segment)| segment.is_sparse(3) && pages(segment.live) < segment.allocated);
        let mut sparse: Vec<_> = sparse.map(|(id, segment)| (segment.live, *id)).collect();
        sparse.sort_unstable();
        for (_, container) in sparse {
            if self.outlook(need) != Outlook::Lacking {
                break;
            }
            self.empty_segment(container);
        }
    }

    /// Moves what lives in a segment to the current one and gives the segment up, unless there is
    /// no room for that.
    fn empty_segment(&mut self, container: ContainerId) {
        let Some(segment) = self.segments.map.get_mut(&container) else {
            return;
        };
        // At worst the objects end in two segments, each with its last page begun.
        if segment.live > 0 && self.budget.free() < pages(segment.live) + 2 * PAGE {
            return;
        }
        let log = std::mem::take(&mut segment.log);
        if self.segments.current == Some(container) {
            self.segments.current = None;
        }
        for object in log {
            self.relocate(object, container);
        }
        self.retire_segment(container);
    }

    /// Moves an object out of a segment, if it still lives there.
    fn relocate(&mut self, object: ObjectId, container: ContainerId) {
        let Some(entry) = self.objects.get(&object) else {
            return;
        };
        let Some(from) = entry.place.filter(|place| place.container == container) else {
            return;
        };
        if entry.phase != Phase::Sealed {
            return;
        }
        let (name, kind, charge) = (entry.name.clone(), entry.kind, entry.charge);
        let Some(to) = self.append_with(object, &name, from.len, 0) else {
            return;
        };
        self.budget.shift(Part::Sealed, Part::Slack, charge);
        if let Some(segment) = self.segments.map.get_mut(&container) {
            segment.live -= charge;
        }
        if let Some(entry) = self.objects.get_mut(&object) {
            entry.place = Some(to);
        }
        self.counters.moved_bytes += charge;
        self.effects.push(Effect::Move { object, name, kind, from, to });
    }
}
