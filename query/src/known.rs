//! The statistics that are known, and the thread that finds out more.
//!
//! A sealed table never changes, so what was found out of an object holds for its id for ever.
//! Small tables are looked at when a query first meets them; large ones on a thread of their
//! own, after they were sealed or first met. A query never waits: what it does not know yet it
//! does without.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use sheaf_store::{Client, Name, ObjectKind, Table};

use crate::statistics::{Shared, TableStatistics};

/// The most values that are looked at while a query waits: half a millisecond's worth.
const FEW_VALUES: u64 = 256 << 10;

/// The most tables that are remembered.
const MOST_TABLES: usize = 4096;

/// The most tables that wait to be looked at.
const MOST_WAITING: usize = 1024;

#[derive(Default)]
struct Books {
    found: HashMap<u64, Shared>,
    /// The ids of `found`, the oldest first.
    order: VecDeque<u64>,
    /// Ids that are about to be looked at.
    waiting: HashSet<u64>,
}

impl Books {
    fn insert(&mut self, id: u64, statistics: Shared) {
        self.waiting.remove(&id);
        if id == 0 || self.found.insert(id, statistics).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MOST_TABLES
            && let Some(oldest) = self.order.pop_front()
        {
            self.found.remove(&oldest);
        }
    }
}

/// How long a table is left alone after its seal: many are replaced before anybody asks for them.
const SETTLING: Duration = Duration::from_millis(500);

/// What is to be looked at.
enum Task {
    /// One that a query has met.
    Table(Table),
    /// One that was sealed at this time.
    Named(Name, Instant),
}

/// The statistics of one store's tables. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Known {
    books: Arc<Mutex<Books>>,
    tasks: mpsc::SyncSender<Task>,
}

impl Known {
    /// Begins to look at tables; the thread ends when the last clone is gone.
    pub(crate) fn start(
        connect: impl Fn() -> sheaf_store::Result<Client> + Send + 'static,
    ) -> Self {
        let (tasks, waiting) = mpsc::sync_channel(MOST_WAITING);
        let books = Arc::<Mutex<Books>>::default();
        let own = books.clone();
        let look = move || {
            // What nobody waits for gets the time that nobody else wants.
            let _ = rustix::process::nice(19);
            for task in waiting {
                if let Some(table) = found(task, &connect) {
                    // A kernel that panics on a type costs that table its statistics, no others.
                    let looked = AssertUnwindSafe(|| look_at(&own, &table));
                    let _ = std::panic::catch_unwind(looked);
                }
            }
        };
        // Without a thread nothing is found out, and queries do without.
        let _ = std::thread::Builder::new().name("sheaf-statistics".into()).spawn(look);
        Self { books, tasks }
    }

    /// What is known of a table. If that is nothing yet, it will be.
    pub(crate) fn of(&self, table: &Table) -> Option<Shared> {
        let id = table.object().info().id;
        if let Some(found) = lock(&self.books).found.get(&id) {
            return Some(found.clone());
        }
        let values = table.num_rows().saturating_mul(table.schema().fields().len() as u64);
        if values <= FEW_VALUES {
            return look_at(&self.books, table);
        }
        if id > 0 && lock(&self.books).waiting.insert(id) {
            self.send(Task::Table(table.clone()));
        }
        None
    }

    /// A table of this name was sealed.
    pub(crate) fn sealed(&self, name: &Name) {
        self.send(Task::Named(name.clone(), Instant::now()));
    }

    fn send(&self, task: Task) {
        if let Err(mpsc::TrySendError::Full(Task::Table(table))) = self.tasks.try_send(task) {
            // Another time, then.
            lock(&self.books).waiting.remove(&table.object().info().id);
        }
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table that a task is about, if it is still there. For this the store is connected to anew: a
/// connection that is idle for hours would be there for nothing.
fn found(task: Task, connect: &impl Fn() -> sheaf_store::Result<Client>) -> Option<Table> {
    match task {
        Task::Table(table) => Some(table),
        Task::Named(name, sealed) => {
            std::thread::sleep(SETTLING.saturating_sub(sealed.elapsed()));
            named(&connect().ok()?, &name)
        }
    }
}

fn named(client: &Client, name: &Name) -> Option<Table> {
    let object = client.get(name).ok()?;
    (object.info().kind == ObjectKind::Table).then(|| object.table().ok()).flatten()
}

fn look_at(books: &Mutex<Books>, table: &Table) -> Option<Shared> {
    let id = table.object().info().id;
    if let Some(found) = lock(books).found.get(&id) {
        return Some(found.clone());
    }
    match TableStatistics::compute(table) {
        Ok(statistics) => {
            let statistics = Arc::new(statistics);
            lock(books).insert(id, statistics.clone());
            Some(statistics)
        }
        Err(error) => {
            tracing::warn!(table = %table.object().info().name, %error, "no statistics");
            None
        }
    }
}
