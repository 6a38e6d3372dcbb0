//! What must hold after every step, and when a refusal is right.

use super::super::segment::{footprint, pages};
use super::super::{ClientId, Ticket};
use super::model::{Fate, Memory, Phase, Request};
use super::steps::World;
use crate::error::{Error, Kind};
use crate::object::{MAX_METADATA_BYTES, Name, State};

impl World {
    pub(super) fn check(&mut self) {
        assert!(self.model.must_go.is_empty(), "no event for {:?}", self.model.must_go);
        self.remember_charges();
        self.check_budget();
        self.check_books();
        self.check_answers();
        self.check_watchers();
    }

    /// What each large container is charged, for when it is retired.
    fn remember_charges(&mut self) {
        for (id, object) in &self.model.objects {
            if object.large {
                self.charges.insert(*id, object.charge);
            }
        }
    }

    /// Every part of the budget, from what there is.
    fn check_budget(&self) {
        let stat = self.room.stat();
        let sum = |phases: &[Phase]| -> u64 {
            let objects = self.model.objects.values();
            objects.filter(|o| phases.contains(&o.phase)).map(|o| o.charge).sum()
        };
        let (mut retired, mut slack, mut pool) = (0, 0, 0);
        for (id, memory) in &self.model.memory {
            match *memory {
                Memory::Own(object) => match self.model.objects.get(&object) {
                    Some(o) if o.phase == Phase::Retired => retired += o.charge,
                    Some(_) => {}
                    None => panic!("{id:?} of {object:?} leaks"),
                },
                Memory::Segment { allocated, .. } => {
                    let objects = self.model.objects.values();
                    let inside = objects.filter(|o| o.place.is_some_and(|p| p.container == *id));
                    let live = inside.filter(|o| o.phase == Phase::Sealed).map(|o| o.charge);
                    let live: u64 = live.sum();
                    let in_use = self.room.segments.map.contains_key(id);
                    if live == 0 && in_use {
                        let current = self.room.segments.current == Some(*id);
                        assert!(current && !self.model.clients.is_empty(), "{id:?} lies idle");
                    }
                    let part = if in_use { &mut slack } else { &mut retired };
                    *part += allocated - live;
                }
                Memory::Pool { bytes } => pool += bytes,
                Memory::Retired { bytes, .. } => retired += bytes,
            }
        }
        assert_eq!(stat.sealed_bytes, sum(&[Phase::Sealed]), "sealed");
        let drafts = sum(&[Phase::Draft, Phase::Sealing, Phase::Orphan]);
        assert_eq!(stat.draft_bytes, drafts, "drafts");
        assert_eq!(stat.retired_bytes, retired, "retired");
        assert_eq!(stat.slack_bytes, slack, "slack");
        assert_eq!(stat.pool_bytes, pool, "pool");
        let used = stat.sealed_bytes + drafts + retired + slack + pool;
        assert_eq!(used + stat.free_bytes, stat.budget_bytes);
    }

    /// Names, drafts, holds: the same on both sides.
    fn check_books(&self) {
        let stat = self.room.stat();
        assert_eq!(stat.names, self.model.bound.len() as u64);
        assert_eq!(stat.objects, self.model.objects.len() as u64);
        assert_eq!(stat.clients, self.model.clients.len() as u64);
        let held = self.model.objects.iter().filter(|(id, _)| self.model.is_held(**id));
        let held: Vec<_> = held.map(|(_, object)| object.charge).collect();
        assert_eq!((stat.held, stat.held_bytes), (held.len() as u64, held.iter().sum()));
        for (id, object) in &self.model.objects {
            match object.phase {
                Phase::Sealed => {
                    assert_eq!(self.model.bound.get(&object.name), Some(id), "bound once");
                    let info = self.room.info(&object.name, true).unwrap();
                    let holds: Vec<_> = info.holders.iter().map(|holder| holder.holds).collect();
                    assert!(holds.iter().eq(object.holds.values()));
                    assert_eq!((info.state, info.bytes), (State::Sealed, object.bytes));
                    assert_eq!(self.room.location(*id), object.place);
                }
                Phase::Retired => {
                    assert!(self.model.is_held(*id), "{id:?} is held by nobody");
                    assert_eq!(self.room.location(*id), object.place);
                }
                _ => assert_eq!(self.room.location(*id), None),
            }
        }
    }

    /// Nobody waits for what is decided, nor past the deadline.
    fn check_answers(&self) {
        for (key, (request, latest)) in &self.model.asked {
            if let Request::Get { slots, .. } = request {
                let open = slots.iter().any(|(_, fate)| *fate == Fate::Open);
                assert!(open, "{key:?} is decided and not answered");
            }
            assert!(*latest > self.ticked_ms, "{key:?} waits past its deadline");
        }
    }

    /// A request failed: was that right?
    pub(super) fn failed(
        &mut self,
        (client, ticket): (ClientId, Ticket),
        request: Request,
        error: &Error,
    ) {
        if !self.model.clients.contains(&client) {
            assert_eq!(error.kind(), Kind::Unavailable);
            return;
        }
        if self.cancelling == Some(ticket) {
            assert_eq!(error.kind(), Kind::Timeout);
            return;
        }
        match (request, error.kind()) {
            (Request::Put(create), Kind::Full) if self.no_memory => self.spare(&create.name),
            (Request::SealSmall { object, len }, kind) => {
                let may = self.may_seal_small(client, object, len);
                let taken = may && self.is_taken(object);
                match kind {
                    Kind::Invalid => return assert!(!may),
                    Kind::Exists => assert!(taken),
                    Kind::Full => assert!(may && !taken && self.no_memory),
                    _ => panic!("the seal of {object:?} failed: {error}"),
                }
                let name = self.model.objects[&object].name.clone();
                self.model.end_draft(object);
                self.spare(&name);
            }
            (Request::Create(create), Kind::Exists) => {
                assert!(!create.replace && self.model.bound.contains_key(&create.name));
            }
            (Request::Put(create), Kind::Exists) => {
                assert!(!create.replace && self.model.bound.contains_key(&create.name));
            }
            (Request::Create(create), Kind::Full) => {
                let small = create.bytes <= self.room.config().small_bytes;
                let bytes = create.bytes;
                let need = if small { footprint(&create.name, bytes) } else { bytes };
                self.full_is_right(pages(need), error);
            }
            (Request::Put(create), Kind::Full) => {
                self.full_is_right(pages(footprint(&create.name, create.bytes)), error);
            }
            (Request::Create(create), Kind::Invalid) => {
                assert!(create.metadata.len() > MAX_METADATA_BYTES);
            }
            (Request::Put(create), Kind::Invalid) => {
                let small = self.room.config().small_bytes;
                assert!(create.bytes > small || create.metadata.len() > MAX_METADATA_BYTES);
            }
            (Request::Grow { object, .. }, Kind::Invalid) => {
                let own = self.model.objects.get(&object);
                let own = own.filter(|o| o.writer == client && o.phase == Phase::Draft);
                assert!(own.is_none() || self.is_growing(object));
            }
            (Request::Grow { object, bytes }, Kind::Full) => {
                let charge = self.model.objects[&object].charge;
                let need = if bytes > self.room.budget.limit() { bytes } else { pages(bytes) };
                self.full_is_right(need.saturating_add(4096) - charge, error);
            }
            (request, _) => panic!("{request:?} failed: {error}"),
        }
    }

    /// What failed for lack of memory leaves the object that it would have replaced: the model
    /// keeps it, so the room must, or tell that something else has ended it (`check_books`).
    fn spare(&mut self, name: &Name) {
        self.spared += u64::from(self.no_memory && self.model.sealed(name).is_some());
    }

    /// True when another request to grow this draft waits.
    pub(super) fn is_growing(&self, object: super::super::ObjectId) -> bool {
        self.model.asked.values().any(|(request, _)| {
            matches!(request, Request::Grow { object: other, .. } if *other == object)
        })
    }

    /// Nothing may be refused for lack of room while enough could be had by giving up the pool,
    /// large droppable objects, and what the kernel is giving back, unless others were first, or
    /// had what came back when the kernel had no memory for them.
    fn full_is_right(&mut self, need: u64, error: &Error) {
        self.refused += 1;
        let queue = self.room.stat().queued > 0 || self.queued_before > 1;
        let droppable = self.model.objects.iter().filter(|(id, object)| {
            object.phase == Phase::Sealed
                && object.droppable
                && object.large
                && !self.model.is_held(**id)
        });
        let droppable: u64 = droppable.map(|(_, object)| object.charge).sum();
        let memory = self.model.memory.values().map(|memory| match memory {
            Memory::Retired { bytes, mapped: false } | Memory::Pool { bytes } => *bytes,
            _ => 0,
        });
        let stat = self.room.stat();
        let could = stat.free_bytes + droppable + memory.sum::<u64>();
        let excused = queue || self.expiring || self.no_memory;
        assert!(excused || could < need, "not full ({could} of {need}): {error}");
    }
}
