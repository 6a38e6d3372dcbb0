//! The memory that the room's books speak of: one entry for each container.
//!
//! ```text
//! Busy ── a job prepares or seals it ──▶ Large      Segment
//!   └─ ended meanwhile ─▶ given back       └──── retired ──▶ Lingering ─▶ gone
//! ```
//!
//! A retired container lingers while the kernel says that someone still sees it: its bytes stay
//! in the budget until nobody does, whatever a client claims.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use crate::index::{HEADER_BYTES, Header, Location};
use crate::memory::{Memfd, Segment, Threads};
use crate::room::{ClientId, ContainerId, ObjectId};

/// Descriptors that are spent on the next readers of what was sealed last.
const OPENED_AHEAD: usize = 256;

/// A draft that waits for its memory.
pub(super) struct Lend {
    pub(super) client: ClientId,
    pub(super) request: u64,
    pub(super) object: ObjectId,
    pub(super) container: ContainerId,
    pub(super) bytes: u64,
    /// Whether its writer still needs the descriptor.
    pub(super) descriptor: bool,
}

/// The memory of one container.
pub(super) enum Entry {
    /// A job has it. `lend` is who gets it when it is ready; `ended` that nobody wants it;
    /// `threads` how many prepare it, if that is what the job does.
    Busy { lend: Option<Lend>, ended: bool, threads: Option<Arc<Threads>> },
    /// A large object, a draft of one, or a prepared container of the pool.
    Large(Memfd),
    /// A segment of small objects.
    Segment(Segment),
}

impl Entry {
    /// A job that prepares memory with so many threads has it.
    pub(super) fn preparing(threads: &Arc<Threads>) -> Self {
        Self::Busy { lend: None, ended: false, threads: Some(threads.clone()) }
    }

    /// Whether someone outside the store can still see it, as far as the kernel tells.
    pub(super) fn is_held(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Large(memfd) => memfd.is_held().unwrap_or(false),
            Self::Segment(segment) => segment.is_held().unwrap_or(false),
        }
    }
}

/// All containers.
#[derive(Default)]
pub(super) struct Vault {
    pub(super) entries: HashMap<ContainerId, Entry>,
    pub(super) lingering: BTreeSet<ContainerId>,
    /// The last of them that the kernel was asked about.
    asked: Option<ContainerId>,
    /// The objects last sealed, whose next reader finds a description open.
    opened_ahead: VecDeque<ContainerId>,
}

impl Vault {
    /// Whether retired memory waits for its last holder.
    pub(super) fn lingers(&self) -> bool {
        !self.lingering.is_empty()
    }

    /// Notes a container that was opened ahead; the one for which that was longest ago is closed.
    pub(super) fn note_opened_ahead(&mut self, container: ContainerId) {
        self.opened_ahead.push_back(container);
        if self.opened_ahead.len() > OPENED_AHEAD
            && let Some(oldest) = self.opened_ahead.pop_front()
            && let Some(Entry::Large(memfd)) = self.entries.get(&oldest)
        {
            memfd.close_ahead();
        }
    }

    /// The next of what lingers to ask the kernel about, each in its turn.
    pub(super) fn next_lingering(&mut self, most: usize) -> Vec<ContainerId> {
        let after = self.asked.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.lingering.range((after, Bound::Unbounded));
        let next: Vec<_> = rest.chain(self.lingering.iter()).copied().take(most).collect();
        self.asked = next.last().copied();
        next
    }

    /// The container's segment.
    pub(super) fn segment(&mut self, container: ContainerId) -> Option<&mut Segment> {
        match self.entries.get_mut(&container) {
            Some(Entry::Segment(segment)) => Some(segment),
            _ => None,
        }
    }

    /// The name in the header of the small object whose bytes begin at `at`, if its name has
    /// this length.
    pub(super) fn name_at(&self, at: Location, name_bytes: usize) -> Option<&[u8]> {
        let Some(Entry::Segment(segment)) = self.entries.get(&ContainerId(at.container)) else {
            return None;
        };
        let start = at.offset.checked_sub(Header::reach(name_bytes))?;
        let header = Header::decode(segment.read(start, HEADER_BYTES as u64)?)?;
        let same = header.name_bytes == name_bytes;
        same.then(|| segment.read(start + HEADER_BYTES as u64, name_bytes as u64))?
    }

    /// Takes a large container out for a job; a busy entry stays in its place.
    pub(super) fn take_large(&mut self, container: ContainerId) -> Option<Memfd> {
        let entry = self.entries.get_mut(&container)?;
        if !matches!(entry, Entry::Large(_)) {
            return None;
        }
        match std::mem::replace(entry, Entry::Busy { lend: None, ended: false, threads: None }) {
            Entry::Large(memfd) => Some(memfd),
            _ => None,
        }
    }
}
