//! Segments: containers that small objects share, written from front to back, once.
//!
//! ```text
//! ├ header name data ┤├ header name data ┤├ … ┤├ promised ┤
//!                                           ▲ backed      ▲ cursor  ▲ allocated  ▲ capacity
//! ```
//!
//! A place in a segment is never written twice, so a reader of a dead object still reads that
//! object. A segment is given back as a whole, once nothing in it lives.
//!
//! The kernel is asked for memory once at a time; while it is, `backed` is less than `allocated`,
//! and what is promised beyond `backed` stands in line (`landing.rs`).
//!
//! **Invariant:** `live + promised <= cursor <= allocated <= capacity`.

use std::collections::VecDeque;

use super::effect::Effect;
use super::ids::{ContainerId, IdMap, ObjectId, Place};
use super::landing::Landing;
use crate::index::{HEADER_BYTES, Header};
use crate::object::Name;

/// The header before each small object in a segment, in bytes.
pub const SEGMENT_HEADER: u64 = HEADER_BYTES as u64;

/// What memory is charged in, in bytes.
pub(super) const PAGE: u64 = 4096;

/// What a segment grows by while there is room, in bytes: fewer calls to the kernel.
const STEP: u64 = 64 << 10;

/// Rounded up to whole pages.
pub(super) fn pages(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}

/// What a small object takes in its segment: header, name and data, each from a cache line on.
pub(super) fn footprint(name: &Name, bytes: u64) -> u64 {
    data_offset(name) + bytes.next_multiple_of(64)
}

/// How far behind the start of its footprint an object's data lie.
fn data_offset(name: &Name) -> u64 {
    Header::reach(name.as_bytes().len())
}

/// One segment.
#[derive(Debug, Default)]
pub(super) struct Segment {
    capacity: u64,
    /// What it takes from the budget: all that it was given or that was asked for.
    pub(super) allocated: u64,
    /// What it was given.
    backed: u64,
    cursor: u64,
    pub(super) live: u64,
    /// What is kept for those in line.
    pub(super) promised: u64,
    /// Who is to land beyond what it was given, in the order of their places.
    line: VecDeque<Landing>,
    /// Dead objects in it that someone still holds in the books.
    pub(super) pins: u64,
    /// All objects that were ever put here, in order; the dead and the moved are known by their
    /// entries, so that a delete need not search.
    pub(super) log: Vec<ObjectId>,
}

impl Segment {
    /// True when less than `quarters` quarters of its memory live.
    pub(super) fn is_sparse(&self, quarters: u64) -> bool {
        self.used() * 4 < self.allocated * quarters
    }

    /// True when nothing lives in it and nothing is to land here.
    pub(super) fn is_empty(&self) -> bool {
        self.used() == 0
    }

    fn used(&self) -> u64 {
        self.live + self.promised
    }

    /// True while most of its capacity has not been written.
    pub(super) fn is_fresh(&self) -> bool {
        self.cursor * 2 < self.capacity
    }

    /// Bytes by which it must grow to take this footprint; none when its capacity is too small.
    fn growth(&self, footprint: u64) -> Option<u64> {
        let end = self.cursor + footprint;
        (end <= self.capacity).then(|| pages(end).saturating_sub(self.allocated))
    }
}

/// By how much a segment has grown.
pub(super) struct Growth {
    pub(super) bytes: u64,
    /// What to ask for, unless that must wait for what was asked for before.
    pub(super) effect: Option<Effect>,
}

/// The segments that have live objects.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) map: IdMap<ContainerId, Segment>,
    /// The one that is written to.
    pub(super) current: Option<ContainerId>,
}

impl Segments {
    /// The memory that taking this footprint will cost at least.
    pub(super) fn growth(&self, footprint: u64) -> u64 {
        let current = self.current.and_then(|id| self.map.get(&id));
        current.and_then(|segment| segment.growth(footprint)).unwrap_or(pages(footprint))
    }

    /// True when the current segment can take this footprint.
    pub(super) fn fits(&self, footprint: u64) -> bool {
        let current = self.current.and_then(|id| self.map.get(&id));
        current.is_some_and(|segment| segment.growth(footprint).is_some())
    }

    /// Starts a new current segment.
    pub(super) fn open(&mut self, id: ContainerId, capacity: u64) {
        self.map.insert(id, Segment { capacity, ..Segment::default() });
        self.current = Some(id);
    }

    /// Grows the current segment to take this footprint, by a whole step if that costs at most
    /// `spare_bytes` more.
    pub(super) fn grow(&mut self, footprint: u64, spare_bytes: u64) -> Option<Growth> {
        let container = self.current?;
        let segment = self.map.get_mut(&container)?;
        let least = segment.growth(footprint).filter(|growth| *growth > 0)?;
        let most = segment.capacity - segment.allocated;
        let stepped = least.next_multiple_of(STEP).min(most);
        let bytes = if stepped - least <= spare_bytes { stepped } else { least };
        let asking = segment.backed < segment.allocated;
        segment.allocated += bytes;
        let effect = if asking { None } else { self.ask(container) };
        Some(Growth { bytes, effect })
    }

    /// Asks for the memory that a segment lacks.
    pub(super) fn ask(&self, container: ContainerId) -> Option<Effect> {
        let segment = self.map.get(&container)?;
        let allocated = segment.allocated;
        (segment.backed < allocated).then_some(Effect::GrowSegment { container, allocated })
    }

    /// A segment has this much memory from now on.
    pub(super) fn back(&mut self, id: ContainerId, allocated: u64) {
        if let Some(segment) = self.map.get_mut(&id) {
            segment.backed = allocated.clamp(segment.backed, segment.allocated);
        }
    }

    /// Takes the first in line, if its place has memory now.
    pub(super) fn next_backed(&mut self, id: ContainerId) -> Option<Landing> {
        let segment = self.map.get_mut(&id)?;
        let first = segment.line.front()?.place;
        if first.offset + first.len > segment.backed {
            return None;
        }
        segment.line.pop_front()
    }

    /// A segment gets no more memory than it has: takes all who stand in line, whose places are
    /// nobody's again, and says what was asked for in vain.
    pub(super) fn shrink(&mut self, id: ContainerId) -> (VecDeque<Landing>, u64) {
        let Some(segment) = self.map.get_mut(&id) else { return Default::default() };
        // Places are promised from front to back, so those in line are the last ones.
        segment.cursor -= segment.promised;
        let vain = segment.allocated - segment.backed;
        segment.allocated = segment.backed;
        (std::mem::take(&mut segment.line), vain)
    }

    /// Promises the next place in the current segment, which has grown to take it, and says
    /// whether that has its memory already.
    pub(super) fn promise(&mut self, name: &Name, len: u64) -> Option<(Place, bool)> {
        let container = self.current?;
        let segment = self.map.get_mut(&container)?;
        let start = segment.cursor;
        let footprint = footprint(name, len);
        segment.cursor += footprint;
        segment.promised += footprint;
        debug_assert!(segment.cursor <= segment.allocated && segment.used() <= segment.cursor);
        let place = Place { container, offset: start + data_offset(name), len };
        Some((place, segment.cursor <= segment.backed))
    }

    /// Lets who was promised a place wait for its memory.
    pub(super) fn line_up(&mut self, landing: Landing) {
        if let Some(segment) = self.map.get_mut(&landing.place.container) {
            segment.line.push_back(landing);
        }
    }

    /// Takes a promise back; with an object, because that lives there now.
    pub(super) fn redeem(&mut self, id: ContainerId, footprint: u64, object: Option<ObjectId>) {
        let Some(segment) = self.map.get_mut(&id) else { return };
        segment.promised -= footprint;
        if let Some(object) = object {
            segment.live += footprint;
            segment.log.push(object);
        }
    }

    /// Takes a segment out of the books.
    pub(super) fn remove(&mut self, id: ContainerId) -> Option<Segment> {
        if self.current == Some(id) {
            self.current = None;
        }
        self.map.remove(&id)
    }
}
