//! The shell of the simulation: carries effects out, and asks the model whether each may be.

use super::super::segment::{footprint, pages};
use super::super::{
    Answer, ClientId, ContainerId, Draft, Effect, Grant, ObjectId, Place, Placement, Source, Ticket,
};
use super::model::{Fate, Memory, Object, Phase, Request};
use super::steps::World;
use super::watchers::OBSERVING;
use crate::error::{Kind, Result};
use crate::object::{EventKind, Name};

impl World {
    /// Carries out all effects of a step; `sealing` is the draft that it seals.
    pub(super) fn obey(&mut self, mut sealing: Option<ObjectId>) {
        self.no_memory = false;
        while let Some(effect) = self.next_effect() {
            match effect {
                Effect::Answer { client, ticket, answer } => {
                    if let Answer::Stored(stored) = &answer {
                        sealing = Some(stored.object);
                    }
                    self.answered(client, ticket, answer);
                }
                Effect::Event { client, ticket, event } if (client, ticket) == OBSERVING => {
                    self.happened(&event);
                    match event.kind {
                        EventKind::Created => {}
                        EventKind::Sealed => {
                            let object = sealing.take().expect("something is being sealed");
                            assert_eq!(self.model.objects[&object].name, event.name);
                            self.model.seal(object);
                        }
                        EventKind::Deleted => self.gone(&event.name),
                    }
                }
                Effect::Event { ticket, event, .. } => self.heard(ticket, event),
                Effect::Unlist { .. } => {} // The index's affair.
                Effect::Retire { container } => self.retired(container),
                Effect::OpenSegment { container, capacity } => {
                    self.fresh(container);
                    let segment = Memory::Segment { capacity, allocated: 0, written: 0 };
                    self.model.memory.insert(container, segment);
                }
                Effect::GrowSegment { container, allocated } => self.grown(container, allocated),
                Effect::Write { object, name, place, .. } => {
                    self.written(&name, place);
                    // Its answer follows, and enters it with this place.
                    self.last_write = Some((object, place));
                }
                Effect::Move { object, name, from, to, .. } => {
                    assert_eq!(self.model.objects[&object].place, Some(from));
                    assert_eq!(self.model.objects[&object].phase, Phase::Sealed);
                    self.written(&name, to);
                    self.placed(object, to);
                }
            }
        }
        self.check();
    }

    /// The next effect: what one brings about comes behind those that were there already.
    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.extend(self.room.take_effects());
        self.effects.pop_front()
    }

    fn fresh(&mut self, container: ContainerId) {
        assert!(container.0 > self.model.last_container, "a container's number is used again");
        self.model.last_container = container.0;
    }

    pub(super) fn note_pooled(&mut self, container: ContainerId, bytes: u64) {
        self.fresh(container);
        self.model.memory.insert(container, Memory::Pool { bytes });
    }

    fn placed(&mut self, object: ObjectId, place: Place) {
        let entry = self.model.objects.get_mut(&object).unwrap();
        entry.place = Some(place);
        entry.bytes = place.len;
        entry.charge = footprint(&entry.name, place.len);
    }

    fn grown(&mut self, container: ContainerId, to: u64) {
        let Some(Memory::Segment { capacity, allocated, .. }) =
            self.model.memory.get_mut(&container)
        else {
            panic!("{container:?} is no segment");
        };
        assert!(to > *allocated && to <= *capacity && to.is_multiple_of(4096));
        if self.random.one_in(40) {
            self.failed += 1;
            self.no_memory = true;
            return self.room.segment_failed(container);
        }
        *allocated = to;
        self.room.segment_grown(container, to);
    }

    /// Segments are written from front to back, within their memory, each byte at most once: what
    /// was promised to one that died meanwhile stays empty.
    fn written(&mut self, name: &Name, place: Place) {
        let Some(Memory::Segment { allocated, written, .. }) =
            self.model.memory.get_mut(&place.container)
        else {
            panic!("{place:?} is in no segment");
        };
        let whole = footprint(name, place.len);
        let start = place.offset - (whole - place.len.next_multiple_of(64));
        assert!(start >= *written, "places overlap");
        *written = start + whole;
        assert!(*written <= *allocated);
    }

    /// Nothing that is bound, written, held or pooled may be retired.
    fn retired(&mut self, container: ContainerId) {
        let uses = self
            .model
            .objects
            .iter()
            .find(|(_, object)| object.place.is_some_and(|place| place.container == container));
        assert!(uses.is_none(), "{container:?} is retired under {uses:?}");
        let memory = self.model.memory.get_mut(&container).unwrap();
        let bytes = match *memory {
            Memory::Own(object) => self.charges.remove(&object).unwrap(),
            Memory::Segment { allocated, .. } => allocated,
            Memory::Pool { bytes } => bytes,
            Memory::Retired { .. } => panic!("{container:?} is retired twice"),
        };
        *memory = Memory::Retired { bytes, mapped: false };
    }

    /// A `Deleted` event: expected, or else an eviction, which must be the right one.
    fn gone(&mut self, name: &Name) {
        if let Some(index) = self.model.must_go.iter().position(|n| n == name) {
            self.model.must_go.remove(index);
            return;
        }
        let object = self.model.sealed(name).expect("only a sealed object is dropped for room");
        let oldest =
            self.model.objects.iter().filter(|(id, o)| {
                o.phase == Phase::Sealed && o.droppable && !self.model.is_held(**id)
            });
        let oldest = oldest.min_by_key(|(_, object)| object.used).map(|(id, _)| *id);
        assert_eq!(oldest, Some(object), "the wrong object is dropped for room");
        self.model.bound.remove(name);
        self.model.unbind(object);
    }

    fn answered(&mut self, client: ClientId, ticket: Ticket, answer: Answer) {
        let asked = self.model.asked.remove(&(client, ticket));
        let served = !matches!(answer, Answer::Failed(_) | Answer::Got(_));
        self.waited_for_room += u64::from(served && ticket.0 != self.last);
        let (request, _) = asked.unwrap_or_else(|| panic!("{ticket:?} is not open: {answer:?}"));
        match (request, answer) {
            (Request::Create(create), Answer::Created(draft)) => {
                assert!(create.replace || !self.model.bound.contains_key(&create.name));
                self.created(client, &create, draft, None);
            }
            (Request::Put(create), Answer::Stored(stored)) => {
                assert!(create.replace || !self.model.bound.contains_key(&create.name));
                assert_eq!(self.last_write.take(), Some((stored.object, stored.place)));
                let draft = Draft { object: stored.object, place: Placement::Small };
                self.created(client, &create, draft, Some(stored.place));
            }
            (Request::SealSmall { object, len }, Answer::Stored(stored)) => {
                assert!(self.may_seal_small(client, object, len) && !self.is_taken(object));
                assert_eq!((stored.object, stored.place.len), (object, len));
                assert_eq!(self.last_write.take(), Some((object, stored.place)));
                self.placed(object, stored.place);
            }
            (Request::Grow { object, bytes }, Answer::Grown(draft)) => {
                assert_eq!(draft.object, object);
                self.enlarged(object, bytes, draft.place);
            }
            (Request::Get { slots, hold, waits }, Answer::Got(results)) => {
                assert_eq!(slots.len(), results.len());
                for (slot, result) in slots.iter().zip(results) {
                    self.got(client, slot, hold, waits, result);
                }
                for (_, fate) in slots {
                    if let Fate::Found(object) = fate {
                        self.model.settle(object);
                    }
                }
            }
            (request, Answer::Failed(error)) => self.failed((client, ticket), request, &error),
            (request, answer) => panic!("{request:?} is answered with {answer:?}"),
        }
    }

    fn created(
        &mut self,
        client: ClientId,
        create: &super::super::Create,
        draft: Draft,
        stored: Option<Place>,
    ) {
        assert!(draft.object.0 > self.model.last_object, "an object's number is used again");
        self.model.last_object = draft.object.0;
        let object = Object {
            name: create.name.clone(),
            writer: client,
            phase: Phase::Draft,
            replace: create.replace,
            droppable: create.droppable,
            bytes: create.bytes,
            charge: 0,
            large: false,
            place: None,
            holds: Default::default(),
            used: 0,
        };
        self.model.objects.insert(draft.object, object);
        if let Some(place) = stored {
            self.placed(draft.object, place);
            return;
        }
        if !create.replace {
            self.model.bound.insert(create.name.clone(), draft.object);
        }
        self.enlarged(draft.object, create.bytes, draft.place);
    }

    /// A draft has its memory, new or more.
    fn enlarged(&mut self, object: ObjectId, bytes: u64, place: Placement) {
        let small = self.room.config().small_bytes;
        let entry = self.model.objects.get_mut(&object).unwrap();
        let size = entry.bytes.max(bytes);
        let (was_large, before) = (entry.large, entry.charge);
        entry.bytes = size;
        let Placement::Large { container, source, bytes } = place else {
            assert!(size <= small && !was_large);
            entry.charge = pages(footprint(&entry.name, size));
            return;
        };
        assert!(bytes == size && (size > small || was_large));
        entry.large = true;
        entry.charge = pages(size).max(before);
        entry.place = Some(Place { container, offset: 0, len: size });
        match source {
            Source::Own => assert!(was_large),
            Source::Fresh => self.fresh(container),
            Source::Pool { bytes } => {
                let pooled = self.model.memory.get(&container);
                self.from_pool += 1;
                assert!(matches!(pooled, Some(Memory::Pool { bytes: has }) if *has == bytes));
            }
        }
        self.model.memory.insert(container, Memory::Own(object));
    }

    fn got(
        &mut self,
        client: ClientId,
        (name, fate): &(Name, Fate),
        hold: bool,
        waits: bool,
        result: Result<Grant>,
    ) {
        match (fate, result) {
            (Fate::Found(object), Ok(grant)) => {
                assert_eq!(grant.object, *object);
                let inline = self.room.config().inline_bytes;
                let entry = self.model.objects.get_mut(object).unwrap();
                assert_eq!(Some(grant.place), entry.place);
                assert_eq!(grant.held, hold && entry.bytes > inline);
                if grant.held {
                    *entry.holds.entry(client).or_insert(0) += 1;
                }
            }
            (Fate::Gone, Err(error)) => assert_eq!(error.kind(), Kind::WriterGone),
            (Fate::Open, Err(error)) => {
                assert_eq!(error.kind(), if waits { Kind::Timeout } else { Kind::NotFound });
            }
            (_, result) => panic!("{name} was {fate:?} and is answered {result:?}"),
        }
    }
}
