//! What the books say of one object, and of a name that is expected.

use std::collections::BTreeSet;

use super::Room;
use super::ids::{ClientId, ObjectId, Place};
use crate::object::{Metadata, Name, ObjectKind};

/// Where an object is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its writer writes.
    Draft,
    /// The shell checks and seals its container.
    Sealing,
    /// Its writer left while the shell was sealing: it ends when the shell comes back.
    Orphan,
    /// Bound to its name and readable.
    Sealed,
    /// Its name is bound no more, and someone holds it.
    Retired,
}

/// One object.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) kind: ObjectKind,
    pub(super) phase: Phase,
    pub(super) writer: ClientId,
    pub(super) replace: bool,
    /// The only object that it may replace.
    pub(super) replaces: Option<ObjectId>,
    pub(super) droppable: bool,
    pub(super) metadata: Metadata,
    /// Its own bytes; for a draft, as many as were asked for.
    pub(super) bytes: u64,
    /// What it takes from the budget, in bytes.
    pub(super) charge: u64,
    /// Where its bytes lie; none for a small draft.
    pub(super) place: Option<Place>,
    /// True when its container is its own, not a segment.
    pub(super) large: bool,
    pub(super) rows: u64,
    pub(super) batches: u64,
    pub(super) created_ms: u64,
    pub(super) sealed_ms: u64,
    /// Holds by clients and by waits that it has already satisfied.
    pub(super) holds: u64,
    /// When it was last used, in the room's own count.
    pub(super) stamp: u64,
    /// The waiting request to grow this draft.
    pub(super) growing: Option<u64>,
}

/// A name that has drafts, or readers who wait.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Drafts of this name whose writers live.
    pub(super) drafts: BTreeSet<ObjectId>,
    /// The waits, and which of their names this is.
    pub(super) waiters: BTreeSet<(u64, usize)>,
}

impl Room {
    /// Enters a new object into the books.
    pub(super) fn insert_entry(&mut self, entry: Entry) -> ObjectId {
        self.last_object += 1;
        let object = ObjectId(self.last_object);
        self.metadata_bytes += entry.metadata.len() as u64;
        self.objects.insert(object, entry);
        object
    }

    /// Strikes an object out of the books.
    pub(super) fn remove_entry(&mut self, object: ObjectId) -> Option<Entry> {
        let entry = self.objects.remove(&object)?;
        self.metadata_bytes -= entry.metadata.len() as u64;
        if let Some(retired) = self.retired.get_mut(&entry.name) {
            retired.remove(&object);
            if retired.is_empty() {
                self.retired.remove(&entry.name);
            }
        }
        Some(entry)
    }

    /// The sealed object that a name is bound to.
    pub(super) fn sealed(&self, name: &[u8]) -> Option<ObjectId> {
        let object = *self.bound.get(name)?;
        let entry = self.objects.get(&object)?;
        (entry.phase == Phase::Sealed).then_some(object)
    }

    /// The oldest draft of a name, the one bound to it first.
    pub(super) fn draft_of(&self, name: &[u8]) -> Option<&Entry> {
        let bound = self.bound.get(name).and_then(|object| self.objects.get(object));
        let draft = bound.filter(|entry| matches!(entry.phase, Phase::Draft | Phase::Sealing));
        draft.or_else(|| {
            let oldest = self.expected.get(name)?.drafts.first()?;
            self.objects.get(oldest)
        })
    }

    /// Where a sealed or retired object lies now.
    #[must_use]
    pub fn location(&self, object: ObjectId) -> Option<Place> {
        let entry = self.objects.get(&object)?;
        matches!(entry.phase, Phase::Sealed | Phase::Retired).then_some(entry.place)?
    }
}
