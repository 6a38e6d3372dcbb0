//! Segments: containers that small objects share, written from front to back, once.
//!
//! ```text
//! ├ header name data ┤├ header name data ┤├ … ┤
//!                                             ▲ cursor      ▲ allocated      ▲ capacity
//! ```
//!
//! A place in a segment is never written twice, so a reader of a dead object still reads that
//! object. A segment is given back as a whole, once nothing in it lives.
//!
//! **Invariant:** `live <= cursor <= allocated <= capacity`.

use super::ids::{ContainerId, IdMap, ObjectId, Place};
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
    pub(super) allocated: u64,
    cursor: u64,
    pub(super) live: u64,
    /// Dead objects in it that someone still holds in the books.
    pub(super) pins: u64,
    /// All objects that were ever put here, in order; the dead and the moved are known by their
    /// entries, so that a delete need not search.
    pub(super) log: Vec<ObjectId>,
}

impl Segment {
    /// True when less than `quarters` quarters of its memory live.
    pub(super) fn is_sparse(&self, quarters: u64) -> bool {
        self.live * 4 < self.allocated * quarters
    }

    /// True while most of its capacity has not been written.
    pub(super) fn is_fresh(&self) -> bool {
        self.cursor * 2 < self.capacity
    }

    /// Takes back memory that it could not have. Returns how much.
    pub(super) fn cut(&mut self, allocated: u64) -> u64 {
        let cut = self.allocated.saturating_sub(allocated.max(self.live));
        self.allocated -= cut;
        self.capacity = self.allocated;
        self.cursor = self.cursor.min(self.allocated);
        cut
    }

    /// Bytes by which it must grow to take this footprint; none when its capacity is too small.
    fn growth(&self, footprint: u64) -> Option<u64> {
        let end = self.cursor + footprint;
        (end <= self.capacity).then(|| pages(end).saturating_sub(self.allocated))
    }
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
    /// `spare_bytes` more. Returns by how much, and its memory then.
    pub(super) fn grow(&mut self, footprint: u64, spare_bytes: u64) -> Option<(u64, u64)> {
        let segment = self.current.and_then(|id| self.map.get_mut(&id))?;
        let least = segment.growth(footprint).filter(|growth| *growth > 0)?;
        let most = segment.capacity - segment.allocated;
        let stepped = least.next_multiple_of(STEP).min(most);
        let growth = if stepped - least <= spare_bytes { stepped } else { least };
        segment.allocated += growth;
        Some((growth, segment.allocated))
    }

    /// Appends an object to the current segment, whose memory is already there.
    pub(super) fn append(&mut self, object: ObjectId, name: &Name, len: u64) -> Option<Place> {
        let container = self.current?;
        let segment = self.map.get_mut(&container)?;
        let start = segment.cursor;
        let footprint = footprint(name, len);
        segment.cursor += footprint;
        segment.live += footprint;
        segment.log.push(object);
        debug_assert!(segment.cursor <= segment.allocated && segment.live <= segment.cursor);
        Some(Place { container, offset: start + data_offset(name), len })
    }

    /// Takes a segment out of the books.
    pub(super) fn remove(&mut self, id: ContainerId) -> Option<Segment> {
        if self.current == Some(id) {
            self.current = None;
        }
        self.map.remove(&id)
    }
}
