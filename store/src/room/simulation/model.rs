//! The model: who has what, in plain maps, with no memory, no index and no cleverness.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{ClientId, ContainerId, Create, ObjectId, Place, Ticket};
use crate::object::Name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Draft,
    Sealing,
    Orphan,
    Sealed,
    Retired,
}

#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) name: Name,
    pub(super) writer: ClientId,
    pub(super) phase: Phase,
    pub(super) replace: bool,
    pub(super) droppable: bool,
    pub(super) bytes: u64,
    pub(super) charge: u64,
    pub(super) large: bool,
    pub(super) place: Option<Place>,
    pub(super) holds: BTreeMap<ClientId, u64>,
    pub(super) used: u64,
}

/// What became of one name of a get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Found(ObjectId),
    Gone,
}

/// A request that has not been answered.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Create(Create),
    Put(Create),
    Grow { object: ObjectId, bytes: u64 },
    SealSmall { object: ObjectId, len: u64 },
    Get { slots: Vec<(Name, Fate)>, hold: bool, waits: bool },
}

/// A container, as far as it takes memory.
#[derive(Clone, Debug)]
pub(super) enum Memory {
    /// Of one large object.
    Own(ObjectId),
    Segment {
        capacity: u64,
        allocated: u64,
        written: u64,
    },
    Pool {
        bytes: u64,
    },
    /// Told to be closed; true when the kernel said that it is mapped.
    Retired {
        bytes: u64,
        mapped: bool,
    },
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) clients: BTreeSet<ClientId>,
    pub(super) objects: BTreeMap<ObjectId, Object>,
    pub(super) bound: BTreeMap<Name, ObjectId>,
    /// Unanswered requests, and when each must be answered at the latest.
    pub(super) asked: BTreeMap<(ClientId, Ticket), (Request, u64)>,
    pub(super) memory: BTreeMap<ContainerId, Memory>,
    /// Names whose `Deleted` event must come in this step.
    pub(super) must_go: Vec<Name>,
    pub(super) uses: u64,
    pub(super) last_container: u64,
    pub(super) last_object: u64,
}

impl Model {
    pub(super) fn sealed(&self, name: &Name) -> Option<ObjectId> {
        let object = *self.bound.get(name)?;
        (self.objects[&object].phase == Phase::Sealed).then_some(object)
    }

    pub(super) fn has_draft(&self, name: &Name) -> bool {
        self.objects.values().any(|object| {
            object.name == *name && matches!(object.phase, Phase::Draft | Phase::Sealing)
        })
    }

    /// Marks a use, as a get or a seal does.
    pub(super) fn touch(&mut self, object: ObjectId) {
        self.uses += 1;
        self.objects.get_mut(&object).unwrap().used = self.uses;
    }

    /// True when a client holds it, or a get that already found it still waits.
    pub(super) fn is_held(&self, object: ObjectId) -> bool {
        let found = |(request, _): &(Request, u64)| match request {
            Request::Get { slots, .. } => slots.iter().any(|(_, f)| *f == Fate::Found(object)),
            _ => false,
        };
        !self.objects[&object].holds.is_empty() || self.asked.values().any(found)
    }

    /// Forgets a retired object that nobody holds.
    pub(super) fn settle(&mut self, object: ObjectId) {
        let retired = self.objects.get(&object).is_some_and(|o| o.phase == Phase::Retired);
        if retired && !self.is_held(object) {
            self.objects.remove(&object);
        }
    }

    pub(super) fn unbind(&mut self, object: ObjectId) {
        let entry = self.objects.get_mut(&object).unwrap();
        if entry.phase == Phase::Sealed {
            entry.phase = Phase::Retired;
            self.settle(object);
        }
    }

    pub(super) fn seal(&mut self, object: ObjectId) {
        self.touch(object);
        let entry = self.objects.get_mut(&object).unwrap();
        entry.phase = Phase::Sealed;
        let name = entry.name.clone();
        self.decide(&name, &Fate::Found(object));
        if let Some(before) = self.bound.insert(name, object)
            && before != object
        {
            self.unbind(before);
        }
    }

    /// A draft's name loses it: its waiters know at once, and its watchers.
    pub(super) fn unwrite(&mut self, object: ObjectId) {
        let entry = &self.objects[&object];
        if entry.phase == Phase::Orphan {
            return;
        }
        let name = entry.name.clone();
        if self.bound.get(&name) == Some(&object) {
            self.bound.remove(&name);
        }
        if self.sealed(&name).is_none() {
            self.must_go.push(name.clone());
        }
        self.objects.get_mut(&object).unwrap().phase = Phase::Orphan;
        if !self.has_draft(&name) {
            self.decide(&name, &Fate::Gone);
        }
    }

    pub(super) fn end_draft(&mut self, object: ObjectId) {
        self.unwrite(object);
        self.objects.remove(&object);
    }

    fn decide(&mut self, name: &Name, fate: &Fate) {
        let mut found = 0;
        for (request, _) in self.asked.values_mut() {
            let Request::Get { slots, .. } = request else { continue };
            for slot in slots.iter_mut().filter(|(n, f)| n == name && *f == Fate::Open) {
                slot.1 = fate.clone();
                found += 1;
            }
        }
        if let (Fate::Found(object), 1..) = (fate, found) {
            self.touch(*object);
        }
    }
}
