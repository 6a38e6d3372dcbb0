//! The keeper: the room's books and the memory they speak of, behind one lock.
//!
//! ```text
//! connection ─ request ─▶ Keeper ─▶ Room (decides)
//!                            │         │ effects, in order
//!                            │         ▼
//!                            └─▶ Vault (memfds, segments) ─▶ Outbox (replies)
//! ```
//!
//! Short work happens under the lock; what may take long (preparing memory, sealing, checking,
//! giving back) runs as a job on the blocking pool and comes back with its outcome.
//!
//! **Invariant:** a reply that speaks of bytes is queued only after the bytes are in place.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

use super::awake::Awake;
use super::outbox::Outbox;
use super::routes::{Route, Routes};
use super::sealing::SEALS_PER_CLIENT;
use super::vault::Vault;
use crate::error::{Error, Kind, Result};
use crate::index::Writer;
use crate::object::Peer;
use crate::room::{ClientId, Config, ContainerId, Effect, Room, Ticket};
use crate::sql::{self, Engine};

/// One client, as its connection knows it.
pub(super) struct Session {
    pub(super) client: ClientId,
    pub(super) outbox: Arc<Outbox>,
    /// Its turns at sealing.
    pub(super) seals: Arc<Semaphore>,
    /// What it says to the SQL engine, once it does.
    pub(super) sql: OnceLock<Arc<dyn sql::Session>>,
    over: Arc<AtomicBool>,
}

impl Session {
    /// Whether the store has ended this session.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// One client, as the keeper knows it.
pub(super) struct Guest {
    pub(super) outbox: Arc<Outbox>,
    pub(super) routes: Routes,
    /// Containers whose descriptor it has been sent and has not forgotten.
    pub(super) known: HashSet<ContainerId>,
    over: Arc<AtomicBool>,
}

/// Everything under the lock.
pub(super) struct Books {
    pub(super) room: Room,
    pub(super) vault: Vault,
    pub(super) index: Writer,
    pub(super) guests: HashMap<ClientId, Guest>,
    /// Room for effects, kept for the next time.
    effects: Vec<Effect>,
    next_client: u64,
    next_ticket: u64,
    wake_ms: u64,
}

impl Books {
    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }
}

/// The room, its memory and its guests.
pub(super) struct Keeper {
    books: Mutex<Books>,
    pub(super) jobs: Handle,
    pub(super) awake: Awake,
    clock: Clock,
    clock_changed: Notify,
    draining: AtomicBool,
    store_id: [u8; 16],
    small_bytes: u64,
    pub(super) inline_bytes: u64,
    pub(super) engine: Option<Arc<dyn Engine>>,
}

/// Milliseconds since the Unix epoch that never run backwards.
struct Clock {
    start_ms: u64,
    start: Instant,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start_ms: since.as_millis() as u64, start: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        self.start_ms + self.start.elapsed().as_millis() as u64
    }
}

impl Keeper {
    /// An empty room of this size, the index included; jobs run on `jobs`.
    ///
    /// # Errors
    /// [`Kind::Full`] when the kernel has no memory for the index.
    pub(super) fn new(
        mut config: Config,
        jobs: Handle,
        engine: Option<Arc<dyn Engine>>,
    ) -> Result<Arc<Self>> {
        let seed = u64::from_le_bytes(random_id()[..8].try_into().unwrap_or_default());
        let index = Writer::new(config.budget_bytes, seed)?;
        config.budget_bytes -= index.bytes();
        let small_bytes = config.small_bytes;
        let inline_bytes = config.inline_bytes;
        let books = Books {
            room: Room::new(config),
            vault: Vault::default(),
            index,
            guests: HashMap::new(),
            effects: Vec::new(),
            next_client: 0,
            next_ticket: 0,
            wake_ms: u64::MAX,
        };
        let keeper = Arc::new(Self {
            books: Mutex::new(books),
            jobs,
            awake: Awake::new(),
            clock: Clock::new(),
            clock_changed: Notify::new(),
            draining: AtomicBool::new(false),
            store_id: random_id(),
            small_bytes,
            inline_bytes,
            engine,
        });
        keeper.settle(&mut keeper.lock());
        Ok(keeper)
    }

    /// A descriptor of the index, for a reader.
    pub(super) fn open_index(&self) -> Result<OwnedFd> {
        self.lock().index.reopen_read()
    }

    pub(super) fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    pub(super) fn small_bytes(&self) -> u64 {
        self.small_bytes
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Books> {
        // A panic under this lock would be a bug of ours; the books may still serve the others.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session.
    pub(super) fn connect(&self, peer: Peer) -> Session {
        let mut books = self.lock();
        books.next_client += 1;
        let client = ClientId(books.next_client);
        let outbox = Arc::new(Outbox::default());
        let over = Arc::new(AtomicBool::new(false));
        books.room.connect(client, peer);
        let guest = Guest {
            outbox: outbox.clone(),
            routes: Routes::default(),
            known: Default::default(),
            over: over.clone(),
        };
        books.guests.insert(client, guest);
        let seals = Arc::new(Semaphore::new(SEALS_PER_CLIENT));
        Session { client, outbox, seals, sql: OnceLock::new(), over }
    }

    /// Tells the room what the client calls itself.
    pub(super) fn rename(&self, session: &Session, peer: Peer) {
        self.lock().room.connect(session.client, peer);
    }

    /// Closes a session: its drafts, holds and waits end.
    pub(super) fn disconnect(self: &Arc<Self>, session: &Session) {
        let mut books = self.lock();
        books.guests.remove(&session.client);
        session.outbox.close();
        books.room.disconnect(session.client);
        self.settle(&mut books);
        // Its descriptors are closing now; what lingers for it goes by the clock.
    }

    /// From here on nothing new begins; who waits learns it.
    pub(super) fn drain(self: &Arc<Self>) {
        self.draining.store(true, Ordering::Relaxed);
        let mut books = self.lock();
        let waiting: Vec<_> = books
            .guests
            .iter()
            .flat_map(|(client, guest)| guest.routes.tickets().map(|ticket| (*client, ticket)))
            .collect();
        for (client, ticket) in waiting {
            let Some(guest) = books.guests.get_mut(&client) else { continue };
            let Some(route) = guest.routes.remove(ticket) else { continue };
            match route {
                Route::Item { batch, index, data } => {
                    guest.outbox.remove_pending(data.len());
                    batch.decide(index, Err(shutting_down()), &guest.outbox);
                }
                route => guest.outbox.fail(route.request(), &shutting_down()),
            }
            books.room.cancel(client, ticket);
        }
        self.settle(&mut books);
    }

    /// Whether anybody still writes a draft.
    pub(super) fn has_drafts(&self) -> bool {
        self.lock().room.stat().drafts > 0
    }

    /// Ends every session after what is queued for it has been sent.
    pub(super) fn close(&self) {
        for guest in self.lock().guests.values() {
            guest.over.store(true, Ordering::Relaxed);
            guest.outbox.remove_pending(0); // Wakes the connection, which sees that it is over.
        }
    }

    /// Carries out what the room decided, until it has nothing more to say.
    pub(super) fn settle(self: &Arc<Self>, books: &mut Books) {
        self.carry_out_all(books);
        self.fill_pool(books);
        let next = books.room.next_deadline_ms().unwrap_or(u64::MAX);
        if next < books.wake_ms {
            books.wake_ms = next;
            self.clock_changed.notify_one();
        }
    }

    /// The same without looking after the pool and the clock: between the items of a put.
    pub(super) fn carry_out_all(self: &Arc<Self>, books: &mut Books) {
        let mut effects = std::mem::take(&mut books.effects);
        loop {
            books.room.drain_effects(&mut effects);
            if effects.is_empty() {
                break;
            }
            for effect in effects.drain(..) {
                self.carry_out(books, effect);
            }
        }
        books.effects = effects;
    }

    /// Lets time pass: expires what waits and asks the kernel again about lingering memory.
    pub(super) async fn run_clock(self: Arc<Self>) {
        const LINGER_MS: u64 = 50;
        loop {
            let wake_ms = {
                let mut books = self.lock();
                books.room.tick(self.now_ms());
                books.wake_ms = 0; // The clock need not wake itself.
                self.settle(&mut books);
                self.probe_lingering(&mut books);
                let next = books.room.next_deadline_ms().unwrap_or(u64::MAX);
                books.wake_ms = next;
                if books.vault.lingers() { next.min(self.now_ms() + LINGER_MS) } else { next }
            };
            let pause = wake_ms.saturating_sub(self.now_ms()).clamp(1, 3_600_000);
            tokio::select! {
                () = tokio::time::sleep(std::time::Duration::from_millis(pause)) => {}
                () = self.clock_changed.notified() => {}
            }
        }
    }

    /// Wakes the clock: there is something new to look after.
    pub(super) fn wake_clock(&self) {
        self.clock_changed.notify_one();
    }
}

/// What a client hears when the store is going.
pub(super) fn shutting_down() -> Error {
    Error::new(Kind::Unavailable, "the store is shutting down: connect again when it is back")
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    let flags = rustix::rand::GetRandomFlags::empty();
    if rustix::rand::getrandom(&mut id, flags) != Ok(id.len()) {
        // Unique enough to tell one start from another.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        id[..12].copy_from_slice(&since.as_nanos().to_le_bytes()[..12]);
        id[12..].copy_from_slice(&std::process::id().to_le_bytes());
    }
    id
}
