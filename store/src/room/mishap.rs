//! When the kernel has no memory for what the budget allows.
//!
//! The shell carries effects out after the room has moved on, so what could not be done is
//! undone here: a draft ends, a small object that has no memory is dropped.

use super::Room;
use super::budget::Part;
use super::entry::Phase;
use super::ids::{ContainerId, ObjectId};
use crate::error::Error;

impl Room {
    /// The memory for a draft, new or growing, could not be had: the draft ends, and its waiters
    /// learn why. The shell tells the writer, in place of [`super::Answer::Created`] or
    /// [`super::Answer::Grown`]. Anything but a draft is left alone.
    pub fn memory_failed(&mut self, object: ObjectId, error: Error) {
        if self.objects.get(&object).is_some_and(|entry| entry.phase == Phase::Draft) {
            self.end_draft(object, Some(&error));
            self.pump();
        }
    }

    /// A segment could not be opened or grown beyond `allocated` bytes: it takes no more objects,
    /// and those beyond are dropped. Returns them, so that the shell answers their puts and gets,
    /// which may be among the effects it has not carried out yet, with an error.
    pub fn segment_failed(&mut self, container: ContainerId, allocated: u64) -> Vec<ObjectId> {
        let Some(segment) = self.segments.map.get(&container) else { return Vec::new() };
        let beyond = |object: &&ObjectId| {
            let entry = self.objects.get(object).filter(|entry| entry.phase == Phase::Sealed);
            entry.and_then(|entry| entry.place).is_some_and(|place| {
                place.container == container && place.offset + place.len > allocated
            })
        };
        let lost: Vec<_> = segment.log.iter().filter(beyond).copied().collect();
        if self.segments.current == Some(container) {
            self.segments.current = None;
        }
        for object in &lost {
            self.drop_sealed(*object);
        }
        if let Some(segment) = self.segments.map.get_mut(&container) {
            let cut = segment.cut(allocated);
            self.budget.shift(Part::Slack, Part::Free, cut);
        }
        self.pump();
        lost
    }
}
