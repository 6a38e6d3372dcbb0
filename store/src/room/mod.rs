//! The room: who has which object, who waits for what, and where every byte of the budget is.
//!
//! A pure state machine. It does no I/O, reads no clock, draws no random number and starts no
//! thread: time comes in as `now_ms`, what is to be done goes out as [`Effect`]s, and a run can
//! be repeated from a seed (`simulation/` does). The shell around it owns sockets and memory:
//!
//! ```text
//! request ─▶ shell ─▶ Room::create, get, … ─▶ effects, in order ─▶ shell ─▶ memfds, replies
//! ```
//!
//! **Invariants**
//! - Nothing that a client asks for makes a method panic, whatever its ids and sizes.
//! - `used = sealed + drafts + retired + slack + pool` never exceeds the budget (`budget.rs`).
//! - Every ticket is answered exactly once, now or by a later effect; those of a client that
//!   has left, never.
//! - What a client holds is never dropped for room, and its memory is never used again.
//! - Ids are never used twice.
//!
//! It does not know what bytes mean, and its books of holds are policy: whether memory can be
//! given back is the kernel's word, which the shell brings ([`Room::reclaimed`]).

mod budget;
mod client;
mod config;
mod create;
mod delete;
mod draft;
mod effect;
mod entry;
mod get;
mod holds;
mod ids;
mod landing;
mod list;
mod moving;
mod parked;
mod pool;
mod queue;
mod refusal;
mod retire;
mod seal;
mod segment;
mod shell;
mod space;
mod stat;
mod terms;
mod wait;
mod watch;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::budget::Budget;
use self::client::Client;
use self::entry::{Entry, Expected};
use self::holds::Idle;
use self::ids::IdMap;
use self::moving::Moving;
use self::pool::Pool;
use self::queue::Queue;
use self::retire::Retiring;
use self::segment::Segments;
use self::stat::Counters;
use self::wait::Wait;
use self::watch::Watch;
use crate::object::Name;

pub use self::config::{Config, Limits};
pub use self::create::Create;
pub use self::effect::{
    Answer, Draft, Effect, Grant, Placement, SealOutcome, SealWork, Source, Stored,
};
pub use self::ids::{ClientId, ContainerId, ObjectId, Place, Ticket};
pub use self::seal::Seal;
pub use self::segment::SEGMENT_HEADER;
pub use self::stat::Stat;

/// The state of one store. See the [module](self).
#[derive(Debug)]
pub struct Room {
    config: Config,
    budget: Budget,
    segments: Segments,
    retiring: Retiring,
    pool: Pool,
    /// Every object that has a draft, a name or a holder.
    objects: IdMap<ObjectId, Entry>,
    /// The one sealed object or exclusive draft that each name is bound to.
    bound: BTreeMap<Name, ObjectId>,
    /// The names that have drafts or are waited for.
    expected: BTreeMap<Name, Expected>,
    /// Objects that have lost their names and are still held, by those names.
    retired: BTreeMap<Name, BTreeSet<ObjectId>>,
    /// Sealed objects that nobody holds.
    idle: Idle,
    clients: BTreeMap<ClientId, Client>,
    /// Gets that wait for objects, by their sequence number.
    waits: IdMap<u64, Wait>,
    /// Creates that wait for room.
    queue: Queue,
    /// When which wait or create gives up.
    deadlines: BTreeSet<(u64, u64)>,
    watches: BTreeMap<(ClientId, Ticket), Watch>,
    /// Segments that may have become worth emptying.
    sparse: Vec<ContainerId>,
    moving: Moving,
    effects: Vec<Effect>,
    counters: Counters,
    metadata_bytes: u64,
    last_object: u64,
    last_container: u64,
    last_seq: u64,
    last_stamp: u64,
    /// The latest time that the shell told.
    now_ms: u64,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let config = config.corrected();
        Self {
            config,
            budget: Budget::new(config.budget_bytes),
            segments: Segments::default(),
            retiring: Retiring::default(),
            pool: Pool::default(),
            objects: IdMap::default(),
            bound: BTreeMap::new(),
            expected: BTreeMap::new(),
            retired: BTreeMap::new(),
            idle: Idle::default(),
            clients: BTreeMap::new(),
            waits: IdMap::default(),
            queue: Queue::default(),
            deadlines: BTreeSet::new(),
            watches: BTreeMap::new(),
            sparse: Vec::new(),
            moving: Moving::default(),
            effects: Vec::new(),
            counters: Counters::default(),
            metadata_bytes: 0,
            last_object: 0,
            last_container: 0,
            last_seq: 0,
            last_stamp: 0,
            now_ms: 0,
        }
    }

    /// The sizes the room works with, corrected where they could not work.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is to be done, in order; the shell takes it after every method.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Moves what is to be done to the end of `out`, which keeps the memory of both.
    pub fn drain_effects(&mut self, out: &mut Vec<Effect>) {
        out.append(&mut self.effects);
    }

    /// Takes note of the time, which never runs backwards here.
    fn at(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn next_container(&mut self) -> ContainerId {
        self.last_container += 1;
        ContainerId(self.last_container)
    }

    fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    fn next_stamp(&mut self) -> u64 {
        self.last_stamp += 1;
        self.last_stamp
    }
}
