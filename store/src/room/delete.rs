//! Delete: a name is bound no more; who holds the object keeps it.

use super::Room;
use super::budget::Part;
use super::effect::Effect;
use super::entry::Phase;
use super::ids::{ClientId, ContainerId, ObjectId};
use super::refusal;
use crate::error::Result;
use crate::object::{EventKind, Name};

impl Room {
    /// Deletes the sealed object of this name.
    ///
    /// # Errors
    /// `NotFound`; `Denied` when the name has only a draft, which is its writer's to abort, and
    /// `Invalid` when that writer is the caller.
    pub fn delete(&mut self, client: ClientId, name: &Name) -> Result<()> {
        self.client(client)?;
        let Some(object) = self.sealed(name.as_bytes()) else {
            return Err(match self.draft_of(name.as_bytes()) {
                Some(draft) if draft.writer == client => refusal::abort_instead(name),
                Some(draft) => refusal::others_draft(name, self.writer_pid(draft)),
                None => refusal::absent(name, false, None),
            });
        };
        self.drop_sealed(object);
        self.counters.deletes += 1;
        self.pump();
        Ok(())
    }

    /// Takes a sealed object's name away.
    pub(super) fn drop_sealed(&mut self, object: ObjectId) {
        let Some(entry) = self.objects.get(&object) else {
            return;
        };
        let (name, bytes) = (entry.name.clone(), entry.bytes);
        let metadata_bytes = entry.metadata.len() as u64;
        self.bound.remove(&name);
        self.emit(EventKind::Deleted, &name, bytes, metadata_bytes);
        self.unbind(object);
    }

    /// Ends a sealed object whose name is bound to it no more: now, or with its last hold.
    pub(super) fn unbind(&mut self, object: ObjectId) {
        self.unlist(object);
        let Some(entry) = self.objects.get_mut(&object) else {
            return;
        };
        let Some(place) = entry.place.filter(|_| entry.phase == Phase::Sealed) else {
            return;
        };
        let (charge, large, pins) = (entry.charge, entry.large, u64::from(entry.holds > 0));
        if pins == 0 {
            self.idle.remove(entry);
            self.remove_entry(object);
        } else {
            entry.phase = Phase::Retired;
            self.retired.entry(entry.name.clone()).or_default().insert(object);
        }
        if large {
            self.budget.shift(Part::Sealed, Part::Retired, charge);
            self.retire(place.container, charge, pins);
        } else {
            self.budget.shift(Part::Sealed, Part::Slack, charge);
            self.bury(place.container, charge, pins);
        }
    }

    /// The index must not lead to this object any more.
    pub(super) fn unlist(&mut self, object: ObjectId) {
        if let Some(entry) = self.objects.get(&object).filter(|entry| !entry.large)
            && let Some(place) = entry.place
        {
            self.effects.push(Effect::Unlist { name: entry.name.clone(), place });
        }
    }

    /// A segment has one live object fewer: it may be worth emptying, or be empty.
    fn bury(&mut self, container: ContainerId, footprint: u64, pins: u64) {
        let Some(segment) = self.segments.map.get_mut(&container) else {
            return;
        };
        segment.live -= footprint;
        segment.pins += pins;
        self.look_after(container);
    }

    /// Gives up a segment that has become empty, or notes that it has become sparse. An empty
    /// current one that has most of its capacity left is kept for the next put while there are
    /// clients, or each put and delete would cost a segment.
    pub(super) fn look_after(&mut self, container: ContainerId) {
        let Some(segment) = self.segments.map.get(&container) else {
            return;
        };
        let current = self.segments.current == Some(container);
        let kept = current && segment.pins == 0 && segment.is_fresh() && !self.clients.is_empty();
        if segment.is_empty() && !kept {
            self.retire_segment(container);
        } else if segment.is_sparse(1) && !current {
            self.sparse.push(container);
        }
    }

    /// Gives up the current segment if nothing lives in it: nobody is left who would put.
    pub(super) fn retire_empty_current(&mut self) {
        let empty = self.segments.current.filter(|current| {
            self.segments.map.get(current).is_some_and(|segment| segment.is_empty())
        });
        if let Some(container) = empty {
            self.retire_segment(container);
        }
    }

    /// Gives up a segment in which nothing lives.
    pub(super) fn retire_segment(&mut self, container: ContainerId) {
        if let Some(segment) = self.segments.remove(container) {
            self.budget.shift(Part::Slack, Part::Retired, segment.allocated);
            self.retire(container, segment.allocated, segment.pins);
        }
    }
}
