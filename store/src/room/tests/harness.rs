//! A room with a shell that does nothing but keep what it is told.

use super::super::{
    Answer, ClientId, Config, Create, Draft, Effect, Grant, ObjectId, Place, Placement, Room, Seal,
    SealOutcome, Stat, Stored, Ticket,
};
use crate::error::{Error, Kind, Result};
use crate::object::{EventKind, Name, ObjectKind, Peer};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const NOW_MS: u64 = 1_000_000;

/// Two clients that most tests use; their process ids are 4711 and 4712.
pub(super) const ANN: ClientId = ClientId(1);
pub(super) const BOB: ClientId = ClientId(2);

pub(super) struct Store {
    pub(super) room: Room,
    pub(super) now_ms: u64,
    /// Effects that no test has looked at yet.
    pub(super) effects: Vec<Effect>,
    /// True when the kernel gives memory back as soon as it is asked.
    pub(super) gives_back: bool,
    /// True when the kernel has no memory for segments.
    pub(super) no_memory: bool,
    last_ticket: u64,
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn new(text: &str, bytes: u64) -> Create {
    Create {
        name: name(text),
        kind: ObjectKind::Bytes,
        bytes,
        replace: false,
        replaces: None,
        droppable: false,
        metadata: [].into(),
        deadline_ms: None,
    }
}

pub(super) fn replacing(text: &str, bytes: u64) -> Create {
    Create { replace: true, ..new(text, bytes) }
}

pub(super) fn droppable(text: &str, bytes: u64) -> Create {
    Create { droppable: true, ..new(text, bytes) }
}

impl Store {
    pub(super) fn with_budget(budget_bytes: u64) -> Self {
        Self::with(Config::for_budget(budget_bytes))
    }

    pub(super) fn with(config: Config) -> Self {
        let mut room = Room::new(config);
        for (client, pid) in [(ANN, 4711), (BOB, 4712)] {
            room.connect(client, Peer { pid, uid: 0, command: "test".into() });
        }
        let effects = Vec::new();
        let (gives_back, no_memory) = (true, false);
        Self { room, now_ms: NOW_MS, effects, gives_back, no_memory, last_ticket: 0 }
    }

    pub(super) fn stat(&self) -> Stat {
        self.room.stat()
    }

    /// Runs the shell: takes the effects, and gives memory back if the kernel would.
    pub(super) fn run(&mut self) {
        loop {
            let effects = self.room.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in &effects {
                match effect {
                    Effect::Retire { container } if self.gives_back => {
                        self.room.reclaimed(*container);
                    }
                    Effect::GrowSegment { container, .. } if self.no_memory => {
                        self.room.segment_failed(*container);
                    }
                    Effect::GrowSegment { container, allocated } => {
                        self.room.segment_grown(*container, *allocated);
                    }
                    _ => {}
                }
            }
            self.effects.extend(effects);
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// The answer to a ticket, if it has come.
    pub(super) fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.run();
        let is_it =
            |effect: &Effect| matches!(effect, Effect::Answer { ticket: t, .. } if *t == ticket);
        let index = self.effects.iter().position(is_it)?;
        let Effect::Answer { answer, .. } = self.effects.remove(index) else { unreachable!() };
        assert!(!self.effects.iter().any(is_it), "answered twice");
        Some(answer)
    }

    pub(super) fn ask_create(&mut self, client: ClientId, create: Create) -> Ticket {
        let ticket = self.ticket();
        self.room.create(self.now_ms, client, ticket, create);
        ticket
    }

    pub(super) fn create(&mut self, client: ClientId, create: Create) -> Result<Draft> {
        let ticket = self.ask_create(client, create);
        self.created(ticket).expect("answered at once")
    }

    /// The answer to a create or a grow, if it has come.
    pub(super) fn created(&mut self, ticket: Ticket) -> Option<Result<Draft>> {
        match self.answer(ticket)? {
            Answer::Created(draft) | Answer::Grown(draft) => Some(Ok(draft)),
            Answer::Failed(error) => Some(Err(error)),
            other => panic!("{other:?} is no draft"),
        }
    }

    pub(super) fn ask_grow(&mut self, client: ClientId, object: ObjectId, bytes: u64) -> Ticket {
        let ticket = self.ticket();
        self.room.grow(self.now_ms, client, ticket, object, bytes, None);
        ticket
    }

    pub(super) fn ask_put(&mut self, client: ClientId, create: Create) -> Ticket {
        let ticket = self.ticket();
        self.room.put(self.now_ms, client, ticket, create, 1, 1);
        ticket
    }

    pub(super) fn put(&mut self, client: ClientId, create: Create) -> Result<ObjectId> {
        let ticket = self.ask_put(client, create);
        self.stored(ticket).map(|stored| stored.object)
    }

    /// The answer to a put, or to the seal of a small draft.
    fn stored(&mut self, ticket: Ticket) -> Result<Stored> {
        match self.answer(ticket).expect("answered at once") {
            Answer::Stored(stored) => Ok(stored),
            Answer::Failed(error) => Err(error),
            other => panic!("{other:?} is no put"),
        }
    }

    /// Seals a draft of either size at `len` bytes.
    pub(super) fn seal(&mut self, client: ClientId, draft: Draft, len: u64) -> Result<Place> {
        if draft.place == Placement::Small {
            let ticket = self.ticket();
            let seal = Seal { object: draft.object, len, rows: 1, batches: 1 };
            self.room.seal_small(self.now_ms, client, ticket, seal);
            return self.stored(ticket).map(|stored| stored.place);
        }
        self.room.seal_begin(client, draft.object, len)?;
        let outcome = SealOutcome::Sealed { rows: 1, batches: 1 };
        let sealed = self.room.seal_end(self.now_ms, draft.object, outcome);
        self.run();
        sealed
    }

    /// Creates and seals, whatever the size.
    pub(super) fn store(&mut self, client: ClientId, create: Create) -> ObjectId {
        let bytes = create.bytes;
        let draft = self.create(client, create).unwrap();
        self.seal(client, draft, bytes).unwrap();
        draft.object
    }

    pub(super) fn ask_get(
        &mut self,
        client: ClientId,
        names: &[&str],
        wait_ms: Option<u64>,
    ) -> Ticket {
        let ticket = self.ticket();
        let names = names.iter().map(|text| name(text)).collect();
        let deadline_ms = wait_ms.map(|wait| self.now_ms + wait);
        self.room.get(self.now_ms, client, ticket, names, deadline_ms, true);
        ticket
    }

    /// The answer to a get, if it has come.
    pub(super) fn got(&mut self, ticket: Ticket) -> Option<Vec<Result<Grant>>> {
        match self.answer(ticket)? {
            Answer::Got(results) => Some(results),
            other => panic!("{other:?} is no get"),
        }
    }

    pub(super) fn get(&mut self, client: ClientId, text: &str) -> Result<Grant> {
        let ticket = self.ask_get(client, &[text], None);
        self.got(ticket).expect("answered at once").remove(0)
    }

    pub(super) fn release(&mut self, client: ClientId, object: ObjectId) {
        self.room.release(client, object, 1).unwrap();
        self.run();
    }

    pub(super) fn delete(&mut self, text: &str) {
        self.room.delete(ANN, &name(text)).unwrap();
        self.run();
    }

    pub(super) fn disconnect(&mut self, client: ClientId) {
        self.room.disconnect(client);
        self.run();
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.room.tick(self.now_ms);
        self.run();
    }

    /// The kinds of the effects so far that are no answers, in words.
    pub(super) fn events(&mut self) -> Vec<(EventKind, String)> {
        self.run();
        let events = self.effects.iter().filter_map(|effect| match effect {
            Effect::Event { event, .. } => Some((event.kind, event.name.to_string())),
            _ => None,
        });
        events.collect()
    }

    pub(super) fn watch(&mut self, prefix: &str, replay: bool) -> Ticket {
        let ticket = self.ticket();
        self.room.watch(BOB, ticket, prefix.into(), replay).unwrap();
        while self.room.replay(BOB, ticket, 1) {}
        ticket
    }
}

/// The kind of an error that must be one.
pub(super) fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> Kind {
    result.unwrap_err().kind()
}
