//! Seal: a draft becomes readable, and its name is bound to it, in one step.
//!
//! A small draft is sealed by appending its bytes to a segment. A large one is sealed by the
//! kernel and checked, which takes a while and happens outside the room: it is *sealing* from
//! [`Room::seal_begin`] to [`Room::seal_end`].

use super::Room;
use super::budget::Part;
use super::create::Create;
use super::effect::{Answer, Effect, SealOutcome, SealWork, Stored};
use super::entry::{Entry, Phase};
use super::ids::{ClientId, ObjectId, Place, Ticket};
use super::refusal;
use super::segment::{footprint, pages};
use crate::error::Result;
use crate::object::{EventKind, Name};

impl Room {
    /// Seals a small draft at `len` bytes. [`Effect::Write`] says where and when to write them.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when it is not this client's small draft or
    /// has fewer bytes; `Exists` when another object took its name first, and the draft is gone.
    pub fn seal_small(
        &mut self,
        now_ms: u64,
        client: ClientId,
        object: ObjectId,
        len: u64,
        rows: u64,
        batches: u64,
    ) -> Result<Place> {
        self.at(now_ms);
        let entry = self.may_seal(client, object, len)?;
        if entry.large {
            return Err(refusal::wrong_seal(&entry.name));
        }
        let name = entry.name.clone();
        if let Some(error) = self.overtaken(object) {
            self.end_draft(object, None);
            self.pump();
            return Err(error);
        }
        // The reservation covers whatever the segment needs, so this cannot run out.
        self.recharge(object, 0);
        let place = self.append(object, &name, len).ok_or_else(|| refusal::no_draft(object))?;
        self.fill(object, place, rows, batches);
        self.write(client, None, object, place);
        self.bind(object);
        self.pump();
        Ok(place)
    }

    /// Creates and seals a small object for which there is room.
    pub(super) fn store_small(
        &mut self,
        client: ClientId,
        ticket: Ticket,
        create: Create,
        rows: u64,
        batches: u64,
    ) {
        let (name, len) = (create.name.clone(), create.bytes);
        let object = self.insert_entry(self.entry_for(client, create));
        let Some(place) = self.append(object, &name, len) else {
            return;
        };
        self.fill(object, place, rows, batches);
        self.write(client, Some(ticket), object, place);
        // Whoever hears the answer must not find by the index what this one replaces.
        if let Some(before) = self.bound.get(&name) {
            self.unlist(*before);
        }
        self.answer(client, ticket, Answer::Stored(Stored { object, place }));
        self.bind(object);
    }

    /// Enters what a small object is, now that it has its place.
    fn fill(&mut self, object: ObjectId, place: Place, rows: u64, batches: u64) {
        if let Some(entry) = self.objects.get_mut(&object) {
            (entry.rows, entry.batches) = (rows, batches);
            entry.bytes = place.len;
            entry.charge = footprint(&entry.name, place.len);
            entry.place = Some(place);
        }
    }

    fn write(&mut self, client: ClientId, ticket: Option<Ticket>, object: ObjectId, place: Place) {
        let Some(entry) = self.objects.get(&object) else {
            return;
        };
        let (name, kind) = (entry.name.clone(), entry.kind);
        self.effects.push(Effect::Write { client, ticket, object, name, kind, place });
    }

    /// Begins to seal a large draft at `len` bytes; what it has beyond is free at once. Nobody can
    /// write, abort or seal it until [`Room::seal_end`].
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) when it is not this client's large draft, has
    /// fewer bytes, is being sealed already, or waits for room to grow.
    pub fn seal_begin(&mut self, client: ClientId, object: ObjectId, len: u64) -> Result<SealWork> {
        let entry = self.may_seal(client, object, len)?;
        let Some(place) = entry.place.filter(|_| entry.large) else {
            return Err(refusal::wrong_seal(&entry.name));
        };
        let work = SealWork {
            name: entry.name.clone(),
            container: place.container,
            len,
            kind: entry.kind,
        };
        self.recharge(object, pages(len));
        if let Some(entry) = self.objects.get_mut(&object) {
            entry.phase = Phase::Sealing;
            entry.bytes = len;
            entry.place = Some(Place { len, ..place });
        }
        self.pump();
        Ok(work)
    }

    /// Ends the sealing of a large draft.
    ///
    /// # Errors
    /// What the writer is to be told: the reason of a refusal; `Invalid` when the draft is still
    /// mapped (it is a draft again) or is not being sealed; `Exists` when another object took its
    /// name first; `WriterGone` when its writer has left.
    pub fn seal_end(
        &mut self,
        now_ms: u64,
        object: ObjectId,
        outcome: SealOutcome,
    ) -> Result<Place> {
        self.at(now_ms);
        let entry = self.objects.get_mut(&object).ok_or_else(|| refusal::no_draft(object))?;
        let error = match (entry.phase, outcome) {
            (Phase::Orphan, _) => Some(refusal::writer_gone(&entry.name, None)),
            (Phase::Sealing, SealOutcome::Refused(error)) => Some(error),
            (Phase::Sealing, SealOutcome::Busy) => {
                entry.phase = Phase::Draft;
                return Err(refusal::still_mapped(&entry.name));
            }
            (Phase::Sealing, SealOutcome::Sealed { rows, batches }) => {
                (entry.rows, entry.batches) = (rows, batches);
                self.overtaken(object)
            }
            _ => return Err(refusal::not_sealing(&entry.name)),
        };
        let sealed = match error {
            Some(error) => {
                self.end_draft(object, Some(&error));
                Err(error)
            }
            None => {
                self.end_quiet();
                self.finish_large(object).ok_or_else(|| refusal::no_draft(object))
            }
        };
        self.pump();
        sealed
    }

    fn finish_large(&mut self, object: ObjectId) -> Option<Place> {
        let entry = self.objects.get(&object)?;
        let (charge, place) = (entry.charge, entry.place?);
        if let Some(books) = self.clients.get_mut(&entry.writer) {
            books.draft_bytes = books.draft_bytes.saturating_sub(charge);
        }
        self.budget.shift(Part::Drafts, Part::Sealed, charge);
        self.bind(object);
        Some(place)
    }

    fn may_seal(&self, client: ClientId, object: ObjectId, len: u64) -> Result<&Entry> {
        let entry = self.own_draft(client, object)?;
        if entry.growing.is_some() {
            return Err(refusal::still_growing(&entry.name));
        }
        if len > entry.bytes {
            return Err(refusal::longer_than_draft(&entry.name, len, entry.bytes));
        }
        Ok(entry)
    }

    /// Binds a name to an object that has just become readable, in place of what had it.
    fn bind(&mut self, object: ObjectId) {
        let (now_ms, stamp) = (self.now_ms, self.next_stamp());
        let Some(entry) = self.objects.get_mut(&object) else {
            return;
        };
        entry.phase = Phase::Sealed;
        entry.sealed_ms = now_ms;
        entry.stamp = stamp;
        self.idle.insert(object, entry);
        let (name, writer, bytes) = (entry.name.clone(), entry.writer, entry.bytes);
        let metadata_bytes = entry.metadata.len() as u64;
        self.counters.puts += 1;
        self.counters.put_bytes += bytes;
        if let Some(books) = self.clients.get_mut(&writer) {
            books.drafts.remove(&object);
        }
        let before = self.bound.insert(name.clone(), object);
        self.emit(EventKind::Sealed, &name, bytes, metadata_bytes);
        self.announce(&name, object);
        if let Some(before) = before.filter(|before| *before != object) {
            self.unbind(before);
        }
    }

    /// Gives a sealed object to those who wait for its name.
    fn announce(&mut self, name: &Name, object: ObjectId) {
        if let Some(expected) = self.expected.get_mut(name) {
            expected.drafts.remove(&object);
            self.satisfy(name, object);
        }
    }
}
