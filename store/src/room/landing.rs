//! Landing: how a small object comes to its place in a segment, be it put, sealed or moved.
//!
//! Memory that the room asks for may not come. So a place is only promised at first, and nothing
//! else changes before the memory is there; which it is already, but for once in many puts:
//!
//! ```text
//! put, seal, move ─▶ place promised ─┬─ backed ────────────────────────────▶ landed
//!                                    └─ GrowSegment ─▶ shell ─┬─ grown ────▶ landed
//!                                                             └─ failed ───▶ refused
//! ```
//!
//! **Invariant:** what is refused leaves no trace: the name keeps the object that it has, and who
//! was to move stays. Only a draft that was to be sealed ends, like a large one without memory.

use super::Room;
use super::budget::Part;
use super::create::Create;
use super::effect::{Answer, Effect};
use super::entry::Phase;
use super::ids::{ClientId, ContainerId, ObjectId, Place, Ticket};
use super::refusal;
use super::segment::footprint;
use crate::error::{Error, Result};
use crate::object::Name;

/// A small object whose place is promised.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) place: Place,
    pub(super) footprint: u64,
    pub(super) cargo: Cargo,
}

/// What lands.
#[derive(Debug)]
pub(super) enum Cargo {
    /// An object that is created by it.
    Put { client: ClientId, ticket: Ticket, create: Create, rows: u64, batches: u64 },
    /// A draft that is sealed by it.
    Seal { client: ClientId, ticket: Ticket, object: ObjectId, rows: u64, batches: u64 },
    /// A sealed object from another segment.
    Move { object: ObjectId, from: ContainerId },
}

impl Room {
    /// Brings a small object, for which there is room, into the current segment: now, or once that
    /// has grown.
    pub(super) fn bring(&mut self, name: &Name, len: u64, cargo: Cargo) {
        // Whoever waits for room needs it more than this segment needs a whole step, and who moves
        // does so to make some.
        let moves = matches!(cargo, Cargo::Move { .. });
        let spare = if moves || !self.queue.is_empty() { 0 } else { self.budget.free() };
        let footprint = footprint(name, len);
        self.make_place(footprint, spare);
        let Some((place, backed)) = self.segments.promise(name, len) else { return };
        let landing = Landing { place, footprint, cargo };
        if backed {
            self.land(landing);
        } else {
            self.segments.line_up(landing);
        }
    }

    /// Sees to it that the current segment can promise this footprint: opens another one, grows it
    /// by up to `spare` bytes more than it must.
    fn make_place(&mut self, footprint: u64, spare: u64) {
        if !self.segments.fits(footprint) {
            self.sparse.extend(self.segments.current);
            let (container, capacity) = (self.next_container(), self.config.segment_bytes);
            self.segments.open(container, capacity);
            self.effects.push(Effect::OpenSegment { container, capacity });
        }
        let spare = spare.saturating_sub(self.segments.growth(footprint));
        let Some(growth) = self.segments.grow(footprint, spare) else { return };
        self.budget.shift(Part::Free, Part::Slack, growth.bytes);
        self.effects.extend(growth.effect);
    }

    /// A place has memory: what it was promised to lives there from now on.
    fn land(&mut self, landing: Landing) {
        let Landing { place, footprint, cargo } = landing;
        match cargo {
            Cargo::Put { client, ticket, create, rows, batches } => {
                let object = self.insert_entry(self.entry_for(client, create));
                self.seal_at(object, place, (rows, batches), (client, ticket));
            }
            Cargo::Seal { client, ticket, object, rows, batches } => {
                self.seal_at(object, place, (rows, batches), (client, ticket));
            }
            Cargo::Move { object, from } => self.relocate(object, from, place, footprint),
        }
    }

    /// A promise is taken back; who asked for the place learns why.
    fn refuse(&mut self, landing: Landing, error: Error) {
        let Landing { place, footprint, cargo } = landing;
        self.segments.redeem(place.container, footprint, None);
        match cargo {
            Cargo::Put { client, ticket, .. } => self.refuse_client(client, ticket, error),
            Cargo::Seal { client, ticket, object, .. } => {
                self.refuse_client(client, ticket, error.clone());
                self.end_draft(object, Some(&error));
            }
            Cargo::Move { from, .. } => self.moved_from(from),
        }
    }

    /// Answers a client, if it is still there.
    fn refuse_client(&mut self, client: ClientId, ticket: Ticket, error: Error) {
        if self.clients.contains_key(&client) {
            self.answer(client, ticket, Answer::Failed(error));
        }
    }

    /// Whether what waited for memory may still land: the world may have changed.
    fn may_land(&self, cargo: &Cargo) -> Result<()> {
        match cargo {
            Cargo::Put { client, create, .. } => {
                self.client(*client)?;
                self.may_create(create)
            }
            Cargo::Seal { object, .. } => {
                let entry = self.objects.get(object);
                if entry.is_none_or(|entry| entry.phase != Phase::Sealing) {
                    return Err(refusal::no_draft(*object));
                }
                self.overtaken(*object).map_or(Ok(()), Err)
            }
            Cargo::Move { object, from } => match self.living_in(*object, *from) {
                Some(_) => Ok(()),
                None => Err(refusal::no_draft(*object)),
            },
        }
    }

    /// A segment has the memory that [`Effect::GrowSegment`] asked for: what waited for it lands.
    pub fn segment_grown(&mut self, container: ContainerId, allocated: u64) {
        self.segments.back(container, allocated);
        while let Some(landing) = self.segments.next_backed(container) {
            match self.may_land(&landing.cargo) {
                Ok(()) => self.land(landing),
                Err(error) => self.refuse(landing, error),
            }
        }
        // What was promised meanwhile.
        self.effects.extend(self.segments.ask(container));
        self.landed(container);
    }

    /// The kernel has no memory for what [`Effect::GrowSegment`] asked for, or not even for the
    /// segment: it stays as it is, and so does everything else, but for the drafts that were to be
    /// sealed into it. For a while nobody is asked to move.
    pub fn segment_failed(&mut self, container: ContainerId) {
        self.pause_moving();
        let (line, cut) = self.segments.shrink(container);
        self.budget.shift(Part::Slack, Part::Free, cut);
        for landing in line {
            self.refuse(landing, refusal::no_memory());
        }
        let none = |segment: &super::segment::Segment| segment.allocated == 0;
        if self.segments.map.get(&container).is_some_and(none) {
            // There may be none at the shell's either.
            self.retire_segment(container);
        }
        self.landed(container);
    }

    /// What comes after landings and refusals in a segment.
    fn landed(&mut self, container: ContainerId) {
        self.look_after(container);
        self.pump();
        self.disappoint();
        self.pump();
    }
}
