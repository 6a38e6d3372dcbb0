//! What writers do: create, put, grow, seal, abort, each rightly or wrongly.

use super::super::{ClientId, Create, ObjectId, Place, Seal, SealOutcome};
use super::model::{Phase, Request};
use super::steps::World;
use crate::error::{Error, Kind};
use crate::object::ObjectKind;

impl World {
    pub(super) fn new_create(&mut self) -> Create {
        let metadata = if self.random.one_in(60) { 70_000 } else { self.random.below(9) as usize };
        Create {
            name: self.name(),
            kind: ObjectKind::Bytes,
            bytes: self.bytes(),
            replace: self.random.one_in(3),
            replaces: None,
            droppable: self.random.one_in(3),
            metadata: vec![7; metadata].into(),
            deadline_ms: self.deadline(),
        }
    }

    pub(super) fn create(&mut self) {
        let (client, create) = (self.client(), self.new_create());
        let ticket = self.ask(client, Request::Create(create.clone()), create.deadline_ms);
        let drafts = self.model.objects.values();
        let drafts = drafts
            .filter(|o| o.writer == client && matches!(o.phase, Phase::Draft | Phase::Sealing));
        if drafts.count() >= 12 {
            self.model.asked.remove(&(client, ticket));
            return;
        }
        self.room.create(self.now_ms, client, ticket, create);
        self.obey(None);
    }

    pub(super) fn put(&mut self) {
        let (client, mut create) = (self.client(), self.new_create());
        if self.random.below(8) > 0 {
            create.bytes %= self.room.config().small_bytes + 1;
        }
        let ticket = self.ask(client, Request::Put(create.clone()), create.deadline_ms);
        self.room.put(self.now_ms, client, ticket, create, 1, 1);
        self.obey(None);
    }

    pub(super) fn grow(&mut self) {
        let (client, object) = self.target(&[Phase::Draft]);
        let (bytes, deadline_ms) = (self.bytes(), self.deadline());
        if self.is_growing(object) {
            return;
        }
        let ticket = self.ask(client, Request::Grow { object, bytes }, deadline_ms);
        self.room.grow(self.now_ms, client, ticket, object, bytes, deadline_ms);
        self.obey(None);
    }

    pub(super) fn seal(&mut self) {
        let (client, object) = self.target(&[Phase::Draft, Phase::Draft, Phase::Sealing]);
        let known = self.model.objects.get(&object).cloned();
        let most = known.as_ref().map_or(9, |o| o.bytes).saturating_add(2);
        let len = match self.random.below(6) {
            0 => 0,
            1..4 => most.saturating_sub(2),
            _ => self.random.below(most),
        };
        let connected = self.model.clients.contains(&client);
        let growing = self.is_growing(object);
        let may = known.filter(|o| {
            connected && o.writer == client && o.phase == Phase::Draft && len <= o.bytes && !growing
        });
        if may.as_ref().map_or(self.random.one_in(2), |o| o.large != self.random.one_in(9)) {
            let result = self.room.seal_begin(client, object, len);
            let may = may.filter(|o| o.large);
            assert_eq!(result.is_ok(), may.is_some(), "{result:?}");
            if let (Ok(work), Some(entry)) = (result, self.model.objects.get_mut(&object)) {
                entry.phase = Phase::Sealing;
                entry.bytes = len;
                entry.charge = len.next_multiple_of(4096);
                let place = Place { container: work.container, offset: 0, len };
                entry.place = Some(place);
                self.charges.insert(object, entry.charge);
            }
            self.obey(None);
            return;
        }
        let ticket = self.ask(client, Request::SealSmall { object, len }, None);
        let seal = Seal { object, len, rows: 1, batches: 1 };
        self.room.seal_small(self.now_ms, client, ticket, seal);
        self.obey(None);
    }

    /// Whether this client may seal this small draft at this length.
    pub(super) fn may_seal_small(&self, client: ClientId, object: ObjectId, len: u64) -> bool {
        let own = self.model.objects.get(&object).is_some_and(|o| {
            o.writer == client && o.phase == Phase::Draft && len <= o.bytes && !o.large
        });
        own && self.model.clients.contains(&client) && !self.is_growing(object)
    }

    /// Whether another object has the name that a draft is to have.
    pub(super) fn is_taken(&self, object: ObjectId) -> bool {
        let draft = &self.model.objects[&object];
        let other = self.model.bound.get(&draft.name).filter(|other| **other != object);
        !draft.replace && other.is_some()
    }

    pub(super) fn seal_end(&mut self) {
        let (_, object) = self.target(&[Phase::Sealing, Phase::Orphan]);
        self.finish_seal(object);
    }

    pub(super) fn finish_seal(&mut self, object: ObjectId) {
        let outcome = match self.random.below(6) {
            0 => SealOutcome::Busy,
            1 => SealOutcome::Refused(Error::new(Kind::Invalid, "bytes are wrong")),
            _ => SealOutcome::Sealed { rows: 1, batches: 1 },
        };
        let known = self.model.objects.get(&object).cloned();
        let result = self.room.seal_end(self.now_ms, object, outcome.clone());
        let kind = result.as_ref().map_err(Error::kind).err();
        match (known.as_ref().map(|o| o.phase), outcome) {
            (Some(Phase::Orphan), _) => {
                assert_eq!(kind, Some(Kind::WriterGone));
                self.model.objects.remove(&object);
            }
            (Some(Phase::Sealing), SealOutcome::Busy) => {
                assert_eq!(kind, Some(Kind::Invalid));
                self.model.objects.get_mut(&object).unwrap().phase = Phase::Draft;
            }
            (Some(Phase::Sealing), SealOutcome::Refused(_)) => {
                assert_eq!(kind, Some(Kind::Invalid));
                self.model.end_draft(object);
            }
            (Some(Phase::Sealing), SealOutcome::Sealed { .. }) => {
                let entry = known.unwrap();
                let other = self.model.bound.get(&entry.name).filter(|o| **o != object);
                if !entry.replace && other.is_some() {
                    assert_eq!(kind, Some(Kind::Exists));
                    self.model.end_draft(object);
                } else {
                    assert_eq!(kind, None);
                }
            }
            _ => assert_eq!(kind, Some(Kind::Invalid)),
        }
        self.obey(Some(object));
    }

    pub(super) fn abort(&mut self) {
        let (client, object) = self.target(&[Phase::Draft, Phase::Draft, Phase::Sealing]);
        let known = self.model.objects.get(&object);
        let own = known.is_some_and(|o| o.writer == client && o.phase == Phase::Draft);
        let may = own && self.model.clients.contains(&client);
        if self.random.one_in(4) && own {
            self.room.memory_failed(object, Error::new(Kind::Full, "no memory"));
        } else {
            assert_eq!(self.room.abort(client, object).is_ok(), may);
        }
        if may {
            self.model.end_draft(object);
        }
        self.obey(None);
    }
}
