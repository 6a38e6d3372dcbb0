//! The steps of a life: what clients, the kernel and the clock may do, honest or not.

use std::collections::{BTreeMap, VecDeque};

use super::super::{ClientId, Config, ContainerId, Effect, Limits, ObjectId, Place, Room, Ticket};
use super::model::{Memory, Model, Phase, Request};
use super::random::Random;
use super::watchers::{OBSERVING, Watcher};
use crate::object::{Name, Peer};

/// The client that watches everything, so that the model sees what the room decides.
pub(super) const OBSERVER: ClientId = ClientId(0);

/// How long a request without a deadline may wait for the kernel.
const GRACE_MS: u64 = 1000;

pub(super) struct World {
    pub(super) room: Room,
    pub(super) model: Model,
    /// Effects that are not carried out yet.
    pub(super) effects: VecDeque<Effect>,
    pub(super) watchers: Vec<Watcher>,
    /// How often the kernel had no memory for a segment, and whether it had none in this step.
    pub(super) failed: u64,
    pub(super) no_memory: bool,
    /// How many objects have outlived what would have replaced them but for that.
    pub(super) spared: u64,
    /// What large objects are charged, from their last step.
    pub(super) charges: BTreeMap<ObjectId, u64>,
    pub(super) last_write: Option<(ObjectId, Place)>,
    pub(super) ticked_ms: u64,
    pub(super) cancelling: Option<Ticket>,
    pub(super) expiring: bool,
    pub(super) queued_before: u64,
    pub(super) from_pool: u64,
    pub(super) waited_for_room: u64,
    pub(super) refused: u64,
    pub(super) pages: u64,
    pub(super) random: Random,
    pub(super) now_ms: u64,
    /// The last number given to a client or a ticket.
    pub(super) last: u64,
    pub(super) names: Vec<Name>,
}

impl World {
    pub(super) fn new(mut random: Random) -> Self {
        let budget_bytes = [40 << 10, 256 << 10, 1 << 20, 64 << 20, 1 << 30];
        let budget_bytes = random.pick(&budget_bytes).unwrap();
        let mut config = Config::for_budget(budget_bytes);
        if random.one_in(2) {
            config.segment_bytes = 16 << 10 << random.below(3);
            config.small_bytes = 512 << random.below(4);
            config.inline_bytes = 64 << random.below(4);
        }
        config.limits = Limits { drafts_per_client: 12, waits_per_client: 6, ..config.limits };
        let names = (0..4 + random.below(12)).map(|n| {
            let length = if n % 5 == 4 { 60 + 40 * n as usize } else { 1 };
            Name::new(format!("{n:a>0$}", length.min(255))).unwrap()
        });
        let names = names.collect();
        let mut room = Room::new(config);
        let mut model = Model::default();
        room.connect(OBSERVER, Peer { pid: 1, uid: 0, command: "observer".into() });
        room.watch(OBSERVER, OBSERVING.1, Vec::new(), false).unwrap();
        model.clients.insert(OBSERVER);
        Self {
            room,
            model,
            effects: VecDeque::new(),
            watchers: Vec::new(),
            failed: 0,
            no_memory: false,
            spared: 0,
            charges: BTreeMap::new(),
            last_write: None,
            ticked_ms: 0,
            cancelling: None,
            expiring: false,
            queued_before: 0,
            from_pool: 0,
            waited_for_room: 0,
            refused: 0,
            pages: 0,
            random,
            now_ms: 1_000_000,
            last: 1,
            names,
        }
    }

    pub(super) fn step(&mut self) {
        self.queued_before = self.room.stat().queued;
        match self.random.below(100) {
            0..6 => self.connect(),
            6..9 => self.disconnect(),
            9..21 => self.create(),
            21..36 => self.put(),
            36..41 => self.grow(),
            41..53 => self.seal(),
            53..57 => self.seal_end(),
            57..60 => self.abort(),
            60..72 => self.get(),
            72..79 => self.release(),
            79..81 => self.cancel(),
            81..83 => self.watch(),
            83..86 => self.delete(),
            86..87 => self.evict(),
            87..91 => self.tick(),
            91..96 => self.kernel(),
            96..98 => self.pool(),
            98..99 => self.unwatch(),
            _ => self.look(),
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn name(&mut self) -> Name {
        let index = self.random.below(self.names.len() as u64) as usize;
        self.names[index].clone()
    }

    /// A client, now and then one that is not connected.
    pub(super) fn client(&mut self) -> ClientId {
        let known: Vec<_> = self.model.clients.iter().copied().filter(|c| *c != OBSERVER).collect();
        let stranger = ClientId(999_999);
        if self.random.one_in(50) { stranger } else { self.pick_or(&known, stranger) }
    }

    pub(super) fn pick_or<T: Copy>(&mut self, from: &[T], other: T) -> T {
        self.random.pick(from).unwrap_or(other)
    }

    /// An object in one of these phases with a client that may touch it; now and then anything.
    pub(super) fn target(&mut self, phases: &[Phase]) -> (ClientId, ObjectId) {
        if self.random.one_in(12) {
            let last = self.model.last_object + 2;
            return (self.client(), ObjectId(self.random.below(last)));
        }
        let objects = self.model.objects.iter();
        let fitting: Vec<_> = objects
            .filter(|(_, object)| phases.contains(&object.phase))
            .map(|(id, object)| (object.writer, *id))
            .collect();
        let none = (self.client(), ObjectId(0));
        self.pick_or(&fitting, none)
    }

    pub(super) fn bytes(&mut self) -> u64 {
        let config = *self.room.config();
        match self.random.below(20) {
            0 => 0,
            1 => config.small_bytes + self.random.below(2),
            2 => self.random.next(),
            3 => u64::MAX,
            4..12 => self.random.below(config.small_bytes + 1),
            12..15 => self.random.below(config.budget_bytes / 8),
            15..19 => self.random.below(config.budget_bytes / 3),
            _ => self.random.below(config.budget_bytes + 8192),
        }
    }

    pub(super) fn deadline(&mut self) -> Option<u64> {
        match self.random.below(4) {
            0..2 => None,
            2 => Some(self.now_ms + self.random.below(5000)),
            _ => Some(self.now_ms.saturating_sub(self.random.below(10))),
        }
    }

    /// Notes a request; it must be answered by its deadline, or soon.
    pub(super) fn ask(
        &mut self,
        client: ClientId,
        request: Request,
        deadline_ms: Option<u64>,
    ) -> Ticket {
        let ticket = Ticket(self.number());
        let waits = deadline_ms.filter(|deadline| *deadline > self.now_ms);
        let latest = match (&request, waits) {
            (_, Some(deadline)) => deadline,
            (Request::Get { .. } | Request::SealSmall { .. }, None) => 0,
            (_, None) => self.now_ms + GRACE_MS,
        };
        self.model.asked.insert((client, ticket), (request, latest));
        ticket
    }

    fn connect(&mut self) {
        let client = ClientId(self.number());
        self.room.connect(client, Peer { pid: client.0 as u32, uid: 0, command: "test".into() });
        self.model.clients.insert(client);
        self.obey(None);
    }

    fn disconnect(&mut self) {
        let client = self.client();
        self.leave(client);
    }

    fn leave(&mut self, client: ClientId) {
        self.model.clients.remove(&client);
        self.model.asked.retain(|(asker, _), _| *asker != client);
        for object in self.model.objects.values_mut() {
            object.holds.remove(&client);
        }
        let all: Vec<_> = self.model.objects.iter().map(|(id, o)| (*id, o.clone())).collect();
        for (id, object) in all {
            self.model.settle(id);
            match object.phase {
                Phase::Draft if object.writer == client => self.model.end_draft(id),
                Phase::Sealing if object.writer == client => self.model.unwrite(id),
                _ => {}
            }
        }
        self.room.disconnect(client);
        self.obey(None);
    }

    fn tick(&mut self) {
        let most = if self.random.one_in(8) { 90_000 } else { 2500 };
        self.now_ms += self.random.below(most);
        self.expire();
    }

    fn expire(&mut self) {
        self.ticked_ms = self.now_ms;
        self.expiring = true;
        self.room.tick(self.now_ms);
        self.obey(None);
        self.expiring = false;
        assert!(self.room.next_deadline_ms().is_none_or(|deadline| deadline > self.now_ms));
    }

    /// The kernel gives memory back, or says that someone maps it.
    fn kernel(&mut self) {
        let all = self.model.memory.iter().map(|(id, memory)| (*id, memory.clone()));
        let all: Vec<_> = all.collect();
        let retired = all.iter().filter(|(_, m)| matches!(m, Memory::Retired { .. }));
        let mut retired: Vec<_> = retired.map(|(id, _)| *id).collect();
        if self.random.one_in(9) {
            retired = vec![ContainerId(self.random.below(self.model.last_container + 2))];
        }
        let rounds = 1 + self.random.below(4);
        for _ in 0..rounds {
            let Some(container) = self.random.pick(&retired) else { break };
            let memory = self.model.memory.get_mut(&container);
            let held = self.random.one_in(4);
            match memory {
                Some(Memory::Retired { mapped, .. }) if held => *mapped = true,
                Some(Memory::Retired { .. }) => {
                    self.model.memory.remove(&container);
                }
                _ => {}
            }
            if held {
                self.room.still_held(container);
            } else {
                self.room.reclaimed(container);
            }
            self.obey(None);
        }
    }

    fn pool(&mut self) {
        let pooled = self.model.memory.iter().filter(|(_, m)| matches!(m, Memory::Pool { .. }));
        let pooled: Vec<_> = pooled.map(|(id, _)| *id).collect();
        match (self.random.below(4), self.random.pick(&pooled)) {
            (0, Some(container)) => self.room.pool_ready(container),
            (1, Some(container)) if self.random.one_in(3) => {
                self.model.memory.remove(&container);
                self.room.pool_failed(container);
            }
            _ => {
                if let Some((container, bytes)) = self.room.pool_want(self.now_ms) {
                    self.obey_pool(container, bytes);
                    return;
                }
            }
        }
        self.obey(None);
    }

    /// What the pool gave up for a new container comes first.
    fn obey_pool(&mut self, container: ContainerId, bytes: u64) {
        self.note_pooled(container, bytes);
        self.obey(None);
    }

    /// All leave and the kernel gives everything back: only what is sealed remains.
    pub(super) fn end(&mut self) {
        self.queued_before = 2;
        for client in self.model.clients.clone() {
            if client != OBSERVER {
                self.leave(client);
            }
        }
        let orphans = self.model.objects.iter().filter(|(_, o)| o.phase == Phase::Orphan);
        let orphans: Vec<_> = orphans.map(|(id, _)| *id).collect();
        for object in orphans {
            self.finish_seal(object);
        }
        let retired = |m: &Memory| matches!(m, Memory::Retired { .. });
        while let Some((&container, _)) = self.model.memory.iter().find(|(_, m)| retired(m)) {
            self.model.memory.remove(&container);
            self.room.reclaimed(container);
            self.obey(None);
        }
        let stat = self.room.stat();
        assert_eq!((stat.draft_bytes, stat.retired_bytes, stat.drafts), (0, 0, 0));
        assert_eq!((stat.objects, stat.waits, stat.queued), (stat.names, 0, 0));
        assert!(self.model.objects.values().all(|object| object.phase == Phase::Sealed));
        assert_eq!(self.room.next_deadline_ms().filter(|at| *at < self.now_ms), None);
    }
}
