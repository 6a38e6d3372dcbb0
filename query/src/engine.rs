//! The engine: DataFusion on threads of its own, a client of the store that it answers for.
//!
//! ```text
//! question ─▶ session ─▶ words ─▶ plan over pinned tables ─▶ rows, or a change to the store
//!                │                      │
//!             settings          memory, time, threads: so much for each statement, so much in all
//! ```
//!
//! Whatever a statement does to itself, it is a task of its own: one that panics, or runs into a
//! limit, ends alone.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManager, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use sheaf_store::sql::{self, CATALOG, Dialect, Door, Later, PUBLIC, Work};
use sheaf_store::{Client, ConnectOptions, Error, Kind, Name, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::bounded::bounded;
use crate::dialect;
use crate::error;
use crate::fence::OnlyFiles;
use crate::files::Files;
use crate::known::Known;
use crate::memory::{AllMemory, StatementMemory};
use crate::options::{EngineOptions, SheafOptions};
use crate::session::SqlSession;
use crate::spill::SpillFolder;
use crate::stop::{Stop, cancelled};

/// The statements that may be under way at a time.
const MOST_STATEMENTS: usize = 256;

/// What a thread's stack may take: expressions are walked by recursion, as deep as
/// [`crate::words`] lets them be. Only what is used is taken.
const STACK_BYTES: usize = 256 << 20;

/// The statements that may be planned at a time, each on a thread of its own.
const MOST_PLANNED: usize = 64;

/// Answers SQL about the store at a socket.
#[derive(Debug)]
pub struct SqlEngine(Arc<Shared>);

/// What sessions and statements share.
pub(crate) struct Shared {
    url: String,
    client: Mutex<Option<Client>>,
    pub(crate) options: EngineOptions,
    pub(crate) memory: Arc<AllMemory>,
    pub(crate) known: Known,
    pub(crate) files: Files,
    base: SessionState,
    running: AtomicUsize,
    planned: AtomicUsize,
    threads: Option<Threads>,
    _spill: SpillFolder,
}

/// Ended without waiting, as they may be dropped by a thread that serves others.
struct Threads {
    /// Those that work, as many as there are cores; and beside them those that may wait or plan.
    work: Runtime,
    /// The one that waits for them: that a statement's time is over has to be noticed when all
    /// others are busy.
    watch: Runtime,
}

impl Threads {
    fn new(workers: usize) -> Result<Self> {
        let start = |name: &str, workers: usize| {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers).thread_name(name).enable_all();
            builder
                .thread_stack_size(STACK_BYTES)
                .build()
                .map_err(|error| Error::new(Kind::Internal, "no threads for SQL").because(error))
        };
        Ok(Self { work: start("sheaf-sql", workers)?, watch: start("sheaf-sql-watch", 1)? })
    }
}

impl SqlEngine {
    /// Makes an engine; the store need not serve yet.
    ///
    /// # Errors
    /// [`Kind::Internal`] when there are no threads to be had; [`Kind::Invalid`] for a folder that
    /// is not there.
    pub fn new(url: &str, options: EngineOptions) -> Result<Self> {
        let threads = Threads::new(options.num_threads())?;
        let files = Files::new(&options.folders)?;
        let own = url.to_owned();
        let known = Known::start(move || connect(&own));
        let spill = SpillFolder::new(&options.spill)?;
        let base = base_state(&options, &spill, &files)?;
        let memory = AllMemory::new(options.memory_bytes);
        Ok(Self(Arc::new(Shared {
            url: url.to_owned(),
            client: Mutex::default(),
            options,
            memory,
            known,
            files,
            base,
            running: AtomicUsize::new(0),
            planned: AtomicUsize::new(0),
            threads: Some(threads),
            _spill: spill,
        })))
    }
}

fn connect(url: &str) -> Result<Client> {
    let timeout = Duration::from_secs(5);
    let options =
        ConnectOptions { timeout, command: "sheaf sql".into(), ..ConnectOptions::default() };
    sheaf_store::connect_with(url, &options)
}

/// A state with everything but the catalog and the memory of a statement.
fn base_state(options: &EngineOptions, spill: &SpillFolder, files: &Files) -> Result<SessionState> {
    let disk = DiskManager::builder()
        .with_mode(DiskManagerMode::Directories(vec![spill.path()]))
        .with_max_temp_directory_size(options.spill_bytes);
    let runtime = RuntimeEnvBuilder::new()
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::new(OnlyFiles::new(files.clone())))
        .build_arc()
        .map_err(|error| error::of(&error))?;
    let config = SessionConfig::new()
        .with_target_partitions(options.num_threads())
        .with_default_catalog_and_schema(CATALOG, PUBLIC)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(true)
        // Strings stay what they are: half of all clients know no views.
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.optimizer.prefer_existing_sort", true)
        .with_option_extension(SheafOptions::default());
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features();
    Ok(bounded(builder).build())
}

impl Shared {
    /// The store, connected to when it is first needed.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when it is not there.
    pub(crate) fn client(&self) -> Result<Client> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(connect(&self.url)?).clone())
    }

    /// The settings that a session begins with.
    pub(crate) fn config(&self) -> SessionConfig {
        self.base.config().clone()
    }

    /// The state of one statement with these settings.
    pub(crate) fn state(&self, mut config: SessionConfig) -> SessionState {
        let mut limit = self.options.statement_memory();
        if let Some(own) = config.options_mut().extensions.get_mut::<SheafOptions>() {
            if own.memory_bytes > 0 {
                limit = limit.min(own.memory_bytes);
            }
            own.memory_bytes = limit; // What functions go by.
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let pool = StatementMemory::new(self.memory.clone(), limit);
        let base = self.base.runtime_env();
        let runtime = RuntimeEnv { memory_pool: Arc::new(pool), ..base.as_ref().clone() };
        let mut state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_config(config)
            .with_runtime_env(Arc::new(runtime))
            .build();
        state.mark_start_execution();
        state
    }

    /// Does work on the engine's threads. It ends when what this returns is dropped, or when its
    /// time is over; and a panic of it is an error.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        stop: &Stop,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Later<T> {
        let Some(threads) = &self.threads else { return over() };
        threads.wait(stop, limit, threads.work.spawn(work))
    }

    /// Does work that can't be ended in its middle, on a thread of its own: nobody waits longer
    /// than the limit for it, and it keeps no other from anything but time.
    ///
    /// # Errors
    /// [`Kind::Full`] when too much of the kind is under way.
    pub(crate) fn run_apart<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Later<T> {
        let Some(threads) = &self.threads else { return over() };
        let (own, handle) = (self.clone(), threads.work.handle().clone());
        let Some(place) = Place::take(own, |own| &own.planned, MOST_PLANNED) else {
            let message = format!("{MOST_PLANNED} statements are being planned: try again later");
            return Box::pin(async { Err(Error::new(Kind::Full, message)) });
        };
        let work = threads.work.spawn_blocking(move || {
            let outcome = handle.block_on(work);
            drop(place);
            outcome
        });
        threads.wait(&Stop::default(), limit, work)
    }

    /// Has somebody wait for work; whoever has the handle ends both.
    pub(crate) fn spawn(
        &self,
        stop: &Stop,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Work> {
        let task = self.threads.as_ref()?.watch.spawn(work);
        Some(Work::new(task.abort_handle(), Some(stop.flag())))
    }

    /// Drops something where nobody waits for it.
    pub(crate) fn let_go(&self, what: impl Send + 'static) {
        if let Some(threads) = &self.threads {
            threads.work.spawn_blocking(move || drop(what));
        }
    }

    /// How many statements are under way.
    pub(crate) fn num_running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// A place among the statements that are under way.
    ///
    /// # Errors
    /// [`Kind::Full`] when all are taken.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place> {
        Place::take(self.clone(), |own| &own.running, MOST_STATEMENTS).ok_or_else(|| {
            let message = format!("{MOST_STATEMENTS} statements are under way: try again later");
            Error::new(Kind::Full, message)
        })
    }
}

impl Threads {
    /// Waits for a task, which ends with whoever waits for it.
    fn wait<T: Send + 'static>(
        &self,
        stop: &Stop,
        limit: Option<Duration>,
        task: JoinHandle<Result<T>>,
    ) -> Later<T> {
        let ends = Work::new(task.abort_handle(), Some(stop.flag()));
        let waiting = self.watch.spawn(in_time(limit, async move {
            let outcome = task.await;
            drop(ends);
            outcome.unwrap_or_else(|error| Err(ended(error)))
        }));
        let left = Work::new(waiting.abort_handle(), None);
        Box::pin(async move {
            let outcome = waiting.await;
            drop(left);
            outcome.unwrap_or_else(|error| Err(ended(error)))
        })
    }
}

/// Work with an end: its own, or its time's.
async fn in_time<T>(limit: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(limit) = limit else { return work.await };
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let message = format!(
                "the statement took longer than {} ms: raise sheaf.timeout_ms, or --sql-timeout",
                limit.as_millis()
            );
            Err(Error::new(Kind::Timeout, message))
        }
    }
}

fn over<T>() -> Later<T> {
    Box::pin(async { Err(Error::new(Kind::Unavailable, "the engine has ended")) })
}

/// A task that ended in another way than by its own end.
pub(crate) fn ended(error: tokio::task::JoinError) -> Error {
    if error.is_cancelled() {
        return cancelled();
    }
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a statement panicked");
    Error::new(Kind::Internal, format!("the statement panicked ({text}); others go on"))
}

/// One of so many places.
pub(crate) struct Place {
    engine: Arc<Shared>,
    taken: fn(&Shared) -> &AtomicUsize,
}

impl Place {
    fn take(engine: Arc<Shared>, taken: fn(&Shared) -> &AtomicUsize, most: usize) -> Option<Self> {
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        let outcome = taken(&engine).fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        outcome.ok().map(|_| Self { engine, taken })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.taken)(&self.engine).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.watch.shutdown_background();
            threads.work.shutdown_background();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "engine of {}", self.url)
    }
}

impl sql::Engine for SqlEngine {
    fn session(&self, door: Door) -> Arc<dyn sql::Session> {
        Arc::new(SqlSession::new(self.0.clone(), door))
    }

    fn dialect(&self) -> Dialect {
        dialect::of(&self.0.base)
    }

    fn sealed(&self, name: &Name) {
        self.0.known.sealed(name);
    }
}
