//! Seal: a draft becomes readable, and its name is bound to it, in one step.
//!
//! A small draft is sealed by appending its bytes to a segment, as soon as that has memory for
//! them. A large one is sealed by the kernel and checked, which takes a while and happens outside
//! the room: it is *sealing* from [`Room::seal_begin`] to [`Room::seal_end`].

use super::Room;
use super::budget::Part;
use super::effect::{Answer, Effect, SealOutcome, SealWork, Stored};
use super::entry::{Entry, Phase};
use super::ids::{ClientId, ObjectId, Place, Ticket};
use super::landing::Cargo;
use super::refusal;
use super::segment::{footprint, pages};
use crate::error::Result;
use crate::object::{EventKind, Name};

/// A small draft to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The draft.
    pub object: ObjectId,
    /// How many bytes it has; at most as many as were asked for.
    pub len: u64,
    /// Rows, for a table.
    pub rows: u64,
    /// Record batches, for a table.
    pub batches: u64,
}

impl Room {
    /// Seals a small draft. Answers [`Answer::Stored`] after the [`Effect::Write`] that places it,
    /// or [`Answer::Failed`]: `Invalid` when it is not this client's small draft or has fewer
    /// bytes; `Exists` when another object took its name first, and `Full` when the kernel has no
    /// memory for it. The draft is gone then.
    pub fn seal_small(&mut self, now_ms: u64, client: ClientId, ticket: Ticket, seal: Seal) {
        self.at(now_ms);
        let Seal { object, len, rows, batches } = seal;
        let name = match self.may_seal_small(client, ticket, object, len) {
            Ok(name) => name,
            Err(error) => return self.answer(client, ticket, Answer::Failed(error)),
        };
        if let Some(error) = self.overtaken(object) {
            self.answer(client, ticket, Answer::Failed(error));
            self.end_draft(object, None);
        } else {
            // The reservation covers whatever the segment needs, so this cannot run out.
            self.recharge(object, 0);
            if let Some(entry) = self.objects.get_mut(&object) {
                entry.phase = Phase::Sealing;
            }
            self.bring(&name, len, Cargo::Seal { client, ticket, object, rows, batches });
        }
        self.pump();
    }

    fn may_seal_small(
        &self,
        client: ClientId,
        ticket: Ticket,
        object: ObjectId,
        len: u64,
    ) -> Result<Name> {
        self.may_ask(client, ticket)?;
        let entry = self.may_seal(client, object, len)?;
        if entry.large { Err(refusal::wrong_seal(&entry.name)) } else { Ok(entry.name.clone()) }
    }

    /// Seals a small object at its place, which has its memory.
    pub(super) fn seal_at(
        &mut self,
        object: ObjectId,
        place: Place,
        (rows, batches): (u64, u64),
        (client, ticket): (ClientId, Ticket),
    ) {
        let Some(entry) = self.objects.get_mut(&object) else { return };
        (entry.rows, entry.batches) = (rows, batches);
        entry.bytes = place.len;
        entry.charge = footprint(&entry.name, place.len);
        entry.place = Some(place);
        let (name, kind, charge) = (entry.name.clone(), entry.kind, entry.charge);
        self.segments.redeem(place.container, charge, Some(object));
        self.budget.shift(Part::Slack, Part::Sealed, charge);
        // Whoever hears the answer must not find by the index what this one replaces.
        let before = self.bound.get(&name).copied().filter(|before| *before != object);
        self.effects.push(Effect::Write { client, ticket, object, name, kind, place });
        if let Some(before) = before {
            self.unlist(before);
        }
        self.answer(client, ticket, Answer::Stored(Stored { object, place }));
        self.bind(object);
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
