//! Holds, and what may be dropped for room: sealed objects that nobody holds.
//!
//! **Invariant:** an object is in the idle books exactly while it is sealed and its count of
//! holds is zero, so nothing that is held can be dropped.

use std::collections::BTreeMap;
use std::collections::hash_map;

use super::Room;
use super::entry::{Entry, Phase};
use super::ids::{ClientId, ObjectId};
use super::refusal;
use crate::error::Result;

/// Sealed objects that nobody holds.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// The droppable ones, least recently used first.
    order: BTreeMap<u64, ObjectId>,
    /// What the droppable ones are charged, in bytes.
    pub(super) droppable_bytes: u64,
    /// How many may not be dropped.
    pub(super) kept: u64,
    /// What those are charged, in bytes.
    pub(super) kept_bytes: u64,
}

impl Idle {
    pub(super) fn insert(&mut self, object: ObjectId, entry: &Entry) {
        if entry.droppable {
            self.order.insert(entry.stamp, object);
            self.droppable_bytes += entry.charge;
        } else {
            self.kept += 1;
            self.kept_bytes += entry.charge;
        }
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        if entry.droppable {
            self.order.remove(&entry.stamp);
            self.droppable_bytes -= entry.charge;
        } else {
            self.kept -= 1;
            self.kept_bytes -= entry.charge;
        }
    }

    /// The droppable one that was used the longest ago.
    pub(super) fn oldest(&self) -> Option<ObjectId> {
        self.order.first_key_value().map(|(_, object)| *object)
    }

    /// How many are droppable.
    pub(super) fn droppable(&self) -> usize {
        self.order.len()
    }
}

impl Room {
    /// Holds a sealed object once, for a client or for a wait, and marks it as just used.
    pub(super) fn hold(&mut self, object: ObjectId) {
        let stamp = self.next_stamp();
        let Some(entry) = self.objects.get_mut(&object) else {
            return;
        };
        if entry.holds == 0 {
            self.idle.remove(entry);
            self.counters.held += 1;
            self.counters.held_bytes += entry.charge;
        }
        entry.stamp = stamp;
        entry.holds += 1;
    }

    /// Takes back holds; the last one ends an object that is bound no more.
    pub(super) fn let_go(&mut self, object: ObjectId, times: u64) {
        let Some(entry) = self.objects.get_mut(&object) else {
            return;
        };
        debug_assert!(entry.holds >= times, "more holds released than there are");
        let was_held = entry.holds > 0;
        entry.holds = entry.holds.saturating_sub(times);
        if entry.holds > 0 {
            return;
        }
        if was_held {
            self.counters.held -= 1;
            self.counters.held_bytes -= entry.charge;
        }
        if entry.phase == Phase::Sealed {
            self.idle.insert(object, entry);
        } else if let Some(Entry { place: Some(place), .. }) = self.remove_entry(object) {
            self.unpin(place.container);
        }
    }

    /// Writes a hold that the object already counts into a client's books.
    pub(super) fn book_hold(&mut self, client: ClientId, object: ObjectId, charge: u64) {
        let Some(books) = self.clients.get_mut(&client) else {
            return;
        };
        let times = books.holds.entry(object).or_insert(0);
        if *times == 0 {
            books.held_bytes += charge;
        }
        *times += 1;
    }

    /// A client releases an object as many times as it says.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when it does not hold it as often; nothing
    /// changes then.
    pub fn release(&mut self, client: ClientId, object: ObjectId, times: u64) -> Result<()> {
        let books = self.clients.get_mut(&client).ok_or_else(refusal::unknown_client)?;
        let hash_map::Entry::Occupied(mut held) = books.holds.entry(object) else {
            return Err(refusal::not_held(object, 0, times));
        };
        if *held.get() < times {
            return Err(refusal::not_held(object, *held.get(), times));
        }
        *held.get_mut() -= times;
        if *held.get() == 0 {
            held.remove();
            let charge = self.objects.get(&object).map_or(0, |entry| entry.charge);
            books.held_bytes = books.held_bytes.saturating_sub(charge);
        }
        self.let_go(object, times);
        self.pump();
        Ok(())
    }
}
