//! The daemon: one event loop for the near door, jobs beside it.
//!
//! ```text
//! listen ─▶ connection ─▶ requests ─▶ room ─▶ effects ─▶ outbox ─▶ connection
//!                             │                  ▲
//!                             └────── jobs ──────┘   (prepare, seal, check, give back)
//! ```

mod asking;
mod awake;
mod connection;
mod crowd;
mod effects;
mod keeper;
mod listen;
mod outbox;
mod preparing;
mod replay;
mod requests;
mod routes;
mod sealing;
mod vault;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use self::crowd::Crowd;
use self::keeper::Keeper;
pub use self::listen::{Claim, Listener};
use crate::error::{Error, Kind, Result};
use crate::memory::Probe;
use crate::object::Peer;
use crate::room::Config;
use crate::sql::Engine;

pub(crate) use requests::MAX_ITEMS;

/// How to serve a store.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The Unix socket's path.
    pub socket: PathBuf,
    /// The budget: sealed, drafts, retired but still held, segments and the pool, in bytes.
    pub memory_bytes: u64,
    /// The most that prepared memory may take, in bytes; a quarter of the budget when not given.
    pub pool_bytes: Option<u64>,
    /// How long a stopping store waits for the drafts that are being written.
    pub drain: Duration,
    /// What answers SQL; nothing does when there is none.
    pub engine: Option<Arc<dyn Engine>>,
}

impl ServeOptions {
    /// A store of this size on this socket.
    pub fn new(socket: impl Into<PathBuf>, memory_bytes: u64) -> Self {
        let drain = Duration::from_secs(5);
        Self { socket: socket.into(), memory_bytes, pool_bytes: None, drain, engine: None }
    }

    fn config(&self) -> Config {
        let mut config = Config::for_budget(self.memory_bytes);
        if let Some(pool_bytes) = self.pool_bytes {
            config.pool_bytes = pool_bytes.min(self.memory_bytes);
        }
        config
    }
}

/// Serves a store until SIGTERM or SIGINT, then drains and returns.
///
/// # Errors
/// [`Kind::Exists`] when another store serves the socket, [`Kind::Invalid`] for a budget below
/// 1 MiB, [`Kind::Unavailable`] when the socket can't be bound.
pub fn serve(options: ServeOptions) -> Result<()> {
    serve_beside(options, || {})
}

/// As [`serve`], beside something else in this process that must know when the store is told to
/// end: `ending` is called then, before it waits for drafts.
///
/// # Errors
/// As [`serve`].
pub fn serve_beside(options: ServeOptions, ending: impl FnOnce()) -> Result<()> {
    let (runtime, Listener { socket, claim }) = open(&options)?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let fail = |error| Error::new(Kind::Internal, "no signal handler").because(error);
        let mut terminate = signal(SignalKind::terminate()).map_err::<Error, _>(fail)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err::<Error, _>(fail)?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            ending();
        };
        run(&options, socket, &claim, stop).await
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// A store on a thread of this process: for tests, notebooks and programs that bring their own.
/// Stops, drained, when dropped.
pub struct Server {
    options: ServeOptions,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts serving.
    ///
    /// # Errors
    /// As [`serve`].
    pub fn spawn(options: ServeOptions) -> Result<Self> {
        let (runtime, Listener { socket, claim }) = open(&options)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let own = options.clone();
        let thread = std::thread::Builder::new()
            .name("sheaf-store".into())
            .spawn(move || {
                let stop = async {
                    let _ = stopped.await;
                };
                if let Err(error) = runtime.block_on(run(&own, socket, &claim, stop)) {
                    tracing::error!(%error, "the store ended");
                }
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .map_err(|error| {
                Error::new(Kind::Internal, "no thread for the store").because(error)
            })?;
        Ok(Self { options, stop: Some(stop), thread: Some(thread) })
    }

    /// The URL that clients connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix:{}", self.options.socket.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(options: &ServeOptions) -> Result<(Runtime, Listener)> {
    const LEAST_BYTES: u64 = 1 << 20;
    if options.memory_bytes < LEAST_BYTES {
        let message = format!(
            "a store of {} bytes; the least is {LEAST_BYTES}: raise --memory",
            options.memory_bytes
        );
        return Err(Error::new(Kind::Invalid, message));
    }
    let listener = Listener::bind(&options.socket, "--socket")?;
    raise_descriptor_limit();
    let _ = Probe::get(); // Now rather than under the first put.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name("sheaf-job")
        .build()
        .map_err(|error| Error::new(Kind::Internal, "no event loop").because(error))?;
    Ok((runtime, listener))
}

async fn run(
    options: &ServeOptions,
    socket: std::os::unix::net::UnixListener,
    claim: &Claim,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let internal = |error| Error::new(Kind::Internal, "the socket failed").because(error);
    let socket = UnixListener::from_std(socket).map_err::<Error, _>(internal)?;
    let keeper =
        Keeper::new(options.config(), tokio::runtime::Handle::current(), options.engine.clone())?;
    let clock = tokio::spawn(keeper.clone().run_clock());
    let awake = keeper.clone();
    let awake = tokio::spawn(async move { awake.awake.run().await });
    tokio::select! {
        () = accept(&socket, &keeper) => {}
        () = stop => {}
    }
    // Who comes now is refused by the kernel at once, instead of waiting for a hello in vain.
    claim.unlink();
    drop(socket);
    keeper.drain();
    let drained = async {
        while keeper.has_drafts() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(options.drain, drained).await;
    keeper.close();
    clock.abort();
    awake.abort();
    // The connections send what is queued and end; their tasks end with the runtime at the latest.
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}

/// Accepts for ever. Out of descriptors, it waits for some to come back.
async fn accept(socket: &UnixListener, keeper: &Arc<Keeper>) {
    let crowd = Crowd::new();
    loop {
        match socket.accept().await {
            Ok((stream, _)) => welcome(stream, keeper, &crowd),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn welcome(stream: UnixStream, keeper: &Arc<Keeper>, crowd: &Crowd) {
    let Ok(credentials) = stream.peer_cred() else { return };
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    let peer = Peer { pid, uid: credentials.uid(), command: command(pid) };
    let own = rustix::process::geteuid().as_raw();
    if peer.uid != own && peer.uid != 0 {
        tracing::warn!(pid, uid = peer.uid, "a foreign user was refused");
        return;
    }
    let Some(seat) = crowd.seat() else { return crowd.turn_away(stream) };
    let keeper = keeper.clone();
    tokio::spawn(async move {
        connection::serve(stream, peer, keeper).await;
        drop(seat);
    });
}

/// The command's name, as `/proc` has it.
fn command(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map(|name| name.trim_end().to_owned())
        .unwrap_or_default()
}

/// Each large object takes two descriptors: the soft limit of 1024 would end a store early.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%errno, "the descriptor limit could not be raised");
    }
}
