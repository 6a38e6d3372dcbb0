//! Drafts: one writer, no reader.
//!
//! An exclusive draft has its name to itself. A replacing draft has no name until its seal, so
//! several may be written at a time and the last seal wins.

use super::Room;
use super::budget::Part;
use super::create::Create;
use super::effect::{Draft, Placement, Source};
use super::entry::{Entry, Phase};
use super::ids::{ClientId, ContainerId, ObjectId, Place};
use super::refusal;
use crate::error::{Error, Result};
use crate::object::{EventKind, Name};

impl Room {
    /// A new entry for a create; it has no memory yet.
    pub(super) fn entry_for(&self, client: ClientId, create: Create) -> Entry {
        Entry {
            name: create.name,
            kind: create.kind,
            phase: Phase::Draft,
            writer: client,
            replace: create.replace,
            replaces: create.replaces,
            droppable: create.droppable,
            metadata: create.metadata,
            bytes: create.bytes,
            charge: 0,
            place: None,
            large: false,
            rows: 0,
            batches: 0,
            created_ms: self.now_ms,
            sealed_ms: 0,
            holds: 0,
            stamp: 0,
            growing: None,
        }
    }

    /// Starts a draft for which there is room.
    pub(super) fn start_draft(&mut self, client: ClientId, create: Create) -> Draft {
        let name = create.name.clone();
        let (bytes, exclusive) = (create.bytes, !create.replace);
        let metadata_bytes = create.metadata.len() as u64;
        let object = self.insert_entry(self.entry_for(client, create));
        let place = self.place_draft(object, &name, bytes);
        if exclusive {
            self.bound.insert(name.clone(), object);
        }
        self.expected.entry(name.clone()).or_default().drafts.insert(object);
        if let Some(books) = self.clients.get_mut(&client) {
            books.drafts.insert(object);
        }
        self.emit(EventKind::Created, &name, bytes, metadata_bytes);
        Draft { object, place }
    }

    /// Takes a new draft's memory from the pool and the free bytes.
    fn place_draft(&mut self, object: ObjectId, name: &Name, bytes: u64) -> Placement {
        let charge = self.charge(name, bytes);
        if bytes <= self.config.small_bytes {
            self.recharge(object, charge);
            return Placement::Small;
        }
        let (container, source) = self.container_for(bytes, charge);
        self.recharge(object, charge);
        if let Some(entry) = self.objects.get_mut(&object) {
            entry.large = true;
            entry.place = Some(Place { container, offset: 0, len: bytes });
        }
        Placement::Large { container, source, bytes }
    }

    /// A container for a draft that is large from now on: one of the pool, if one suits.
    fn container_for(&mut self, bytes: u64, charge: u64) -> (ContainerId, Source) {
        let pooled = self.pool.best(charge).and_then(|entry| self.pool.take(entry.container));
        let ready = pooled.is_some_and(|entry| entry.ready && entry.bytes >= bytes);
        self.remember_large(bytes, ready);
        match pooled {
            Some(entry) => {
                // Back to free for an instant: `recharge` takes the exact charge from there.
                self.budget.shift(Part::Pool, Part::Free, entry.bytes);
                (entry.container, Source::Pool { bytes: entry.bytes })
            }
            None => (self.next_container(), Source::Fresh),
        }
    }

    /// Changes what a draft takes from the budget.
    pub(super) fn recharge(&mut self, object: ObjectId, charge: u64) {
        let Some(entry) = self.objects.get_mut(&object) else {
            return;
        };
        let before = std::mem::replace(&mut entry.charge, charge);
        self.budget.resize(Part::Drafts, before, charge);
        if let Some(books) = self.clients.get_mut(&entry.writer) {
            books.draft_bytes = (books.draft_bytes + charge).saturating_sub(before);
        }
    }

    /// Makes a draft larger, for which there is room.
    pub(super) fn grow_draft(&mut self, object: ObjectId, bytes: u64) -> Option<Draft> {
        let entry = self.objects.get(&object)?;
        let (large, charge) = (entry.large, self.grown_charge(entry, bytes));
        let bytes = bytes.max(entry.bytes);
        let becomes_large = !large && bytes > self.config.small_bytes;
        let lent = becomes_large.then(|| self.container_for(bytes, charge));
        self.recharge(object, charge);
        let entry = self.objects.get_mut(&object)?;
        entry.bytes = bytes;
        let source = match lent {
            Some((container, source)) => {
                entry.large = true;
                entry.place = Some(Place { container, offset: 0, len: bytes });
                source
            }
            None => Source::Own,
        };
        let place = match &mut entry.place {
            None => Placement::Small,
            Some(place) => {
                place.len = bytes;
                Placement::Large { container: place.container, source, bytes }
            }
        };
        Some(Draft { object, place })
    }

    /// A writer gives its draft up.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when it is not this client's draft, or is
    /// being sealed.
    pub fn abort(&mut self, client: ClientId, object: ObjectId) -> Result<()> {
        self.own_draft(client, object)?;
        self.end_draft(object, None);
        self.pump();
        Ok(())
    }

    /// The memory for a draft, new or growing, could not be had: the draft ends, and its waiters
    /// learn why. The shell tells the writer, in place of [`super::Answer::Created`] or
    /// [`super::Answer::Grown`]. Anything but a draft is left alone.
    pub fn memory_failed(&mut self, object: ObjectId, error: Error) {
        if self.objects.get(&object).is_some_and(|entry| entry.phase == Phase::Draft) {
            self.end_draft(object, Some(&error));
            self.pump();
        }
    }

    /// Ends a draft, unsealed; those who wait for it learn it, and why if there is more to say than
    /// that its writer gave it up.
    pub(super) fn end_draft(&mut self, object: ObjectId, why: Option<&Error>) {
        if let Some(seq) = self.objects.get(&object).and_then(|entry| entry.growing)
            && let Some(pending) = self.leave_queue(seq)
        {
            let error = refusal::no_draft(object);
            self.answer(pending.client, pending.ticket, super::Answer::Failed(error));
        }
        self.recharge_end(object);
        let Some(entry) = self.remove_entry(object) else {
            return;
        };
        if entry.large {
            self.end_quiet();
        }
        if let Some(books) = self.clients.get_mut(&entry.writer) {
            books.drafts.remove(&object);
        }
        if entry.phase != Phase::Orphan {
            self.unwrite(object, &entry, why);
        }
    }

    /// Gives back what a draft takes from the budget: at once what was only reserved, by way of
    /// the kernel what is memory.
    fn recharge_end(&mut self, object: ObjectId) {
        let Some(entry) = self.objects.get(&object) else {
            return;
        };
        let (charge, container) = (entry.charge, entry.place.map(|place| place.container));
        self.recharge(object, 0);
        if let Some(container) = container {
            self.budget.shift(Part::Free, Part::Retired, charge);
            self.retire(container, charge, 0);
        }
    }

    /// A name loses a draft: who waited for it, or watches, learns it.
    fn unwrite(&mut self, object: ObjectId, entry: &Entry, why: Option<&Error>) {
        let name = &entry.name;
        if self.bound.get(name) == Some(&object) {
            self.bound.remove(name);
        }
        if self.sealed(name.as_bytes()).is_none() {
            self.emit(EventKind::Deleted, name, entry.bytes, entry.metadata.len() as u64);
        }
        let Some(expected) = self.expected.get_mut(name) else { return };
        expected.drafts.remove(&object);
        if expected.drafts.is_empty() {
            self.bereave(name, why);
        }
    }

    /// A draft's writer has left: the draft ends, now or when the shell is done sealing it, but
    /// its name loses it at once.
    pub(super) fn orphan(&mut self, object: ObjectId) {
        let sealing = self.objects.get(&object).is_some_and(|e| e.phase == Phase::Sealing);
        if !sealing {
            self.end_draft(object, None);
            return;
        }
        // Out of the books while its name forgets it, and back in until the shell returns it.
        if let Some(mut entry) = self.objects.remove(&object) {
            entry.phase = Phase::Orphan;
            self.unwrite(object, &entry, None);
            self.objects.insert(object, entry);
        }
    }

    /// The process that writes a draft; 0 when it is gone.
    pub(super) fn writer_pid(&self, entry: &Entry) -> u32 {
        self.clients.get(&entry.writer).map_or(0, |books| books.peer.pid)
    }

    /// The error for a draft whose name another one took first.
    pub(super) fn overtaken(&self, object: ObjectId) -> Option<Error> {
        let entry = self.objects.get(&object)?;
        let bound = self.bound.get(&entry.name).copied();
        if entry.replaces.is_some() && bound != entry.replaces {
            return Some(refusal::replaced(&entry.name));
        }
        let other = self.bound.get(&entry.name).filter(|bound| **bound != object)?;
        let other = self.objects.get(other).filter(|_| !entry.replace)?;
        Some(refusal::exists(other, self.writer_pid(other)))
    }
}
