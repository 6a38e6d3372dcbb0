//! The near door: a store's objects in this process, mapped and not copied.
//!
//! ```text
//! Client ─▶ Link (socket, replies) ─▶ Maps (each container once)
//!   ├─ put, create, build, writer ─▶ Draft: memory that becomes an object
//!   ├─ get ─▶ Object ─▶ Table: batches that point into the mapping
//!   └─ list, info, wait, watch, delete, stat
//! ```
//!
//! Blocking, thread-safe (one client serves all threads), fork-safe (a child connects anew), and
//! reconnecting: when the store is back, the next call finds it. Tables that are mapped stay valid
//! whatever happens to the store.

mod build;
mod draft;
mod get;
mod growing;
mod link;
mod lookup;
mod maps;
mod object;
mod patience;
mod put;
mod stat;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::build::TableBuilder;
pub use self::draft::{Draft, View};
pub use self::growing::GrowingDraft;
pub use self::object::{Object, Table};
pub use self::put::{Item, Payload};
pub use self::stat::Stat;
pub use self::watch::Watch;
pub use self::writer::TableWriter;

use self::link::{Arrived, Link};
use crate::error::{Error, Kind, Result};
use crate::protocol::message::{FOR_EVER_MS, Request};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How long to keep trying while nobody listens there.
    pub timeout: Duration,
    /// What this client calls itself in `sheaf ls --holders`; the process's own name when empty.
    pub command: String,
    /// How many threads copy a large object into the store; by its size and the machine's cores
    /// when not given.
    pub copy_threads: Option<usize>,
    /// Keep the descriptor of every container that is mapped, for [`Object::file`]: for programs
    /// that send objects from the file and have descriptors enough.
    pub keep_descriptors: bool,
    /// Asked some twenty times a second by a thread that waits for the store; true ends the wait
    /// with [`Kind::Interrupted`]. For programs whose signals are handled between two steps of
    /// theirs, as Python's are.
    pub interrupted: Option<fn() -> bool>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(200),
            command: String::new(),
            copy_threads: None,
            keep_descriptors: false,
            interrupted: None,
        }
    }
}

/// A store, through the near door. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    path: PathBuf,
    options: ConnectOptions,
    link: Mutex<Option<Arc<Link>>>,
}

/// The URL of the store when none is named: `$SHEAF_STORE`, else the socket in
/// `$XDG_RUNTIME_DIR/sheaf`, else in `/tmp/sheaf-UID`.
#[must_use]
pub fn default_url() -> String {
    let named = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
    if let Some(url) = named("SHEAF_STORE") {
        return url;
    }
    match named("XDG_RUNTIME_DIR") {
        Some(folder) => format!("unix:{folder}/sheaf/store.sock"),
        None => {
            let uid = rustix::process::getuid().as_raw();
            format!("unix:/tmp/sheaf-{uid}/store.sock")
        }
    }
}

/// Connects to the store at `url` (`unix:/path`, or the path alone).
///
/// # Errors
/// [`Kind::Unavailable`] when no store answers there, [`Kind::Invalid`] for another kind of URL.
pub fn connect(url: &str) -> Result<Client> {
    connect_with(url, &ConnectOptions::default())
}

/// Connects as the options say.
///
/// # Errors
/// As [`connect`].
pub fn connect_with(url: &str, options: &ConnectOptions) -> Result<Client> {
    let path = socket_path(url)?;
    let client = Client(Arc::new(Inner { path, options: options.clone(), link: Mutex::default() }));
    client.link()?;
    Ok(client)
}

/// The socket's path in a URL.
fn socket_path(url: &str) -> Result<PathBuf> {
    if let Some(path) = url.strip_prefix("unix://").or_else(|| url.strip_prefix("unix:")) {
        return Ok(path.into());
    }
    match url.split_once("://") {
        Some((scheme, _)) => Err(Error::new(
            Kind::Invalid,
            format!("the near door has no {scheme}:// URLs ({url}): use unix:/path/of/the/socket"),
        )),
        None => Ok(url.into()),
    }
}

impl Client {
    /// The connection, made anew when it was lost or when this is a forked child.
    fn link(&self) -> Result<Arc<Link>> {
        let current = self.slot().clone();
        if let Some(link) = current.filter(|link| link.is_usable()) {
            return Ok(link);
        }
        // Outside the lock: others with a usable connection need not wait for this one.
        let fresh = self.connect_patiently()?;
        let mut slot = self.slot();
        if let Some(link) = slot.as_ref().filter(|link| link.is_usable()) {
            return Ok(link.clone());
        }
        if let Some(old) = slot.replace(fresh.clone())
            && old.is_foreign()
        {
            // A forked child: the parent's connection is left as it is, locks and all.
            std::mem::forget(old);
        }
        Ok(fresh)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Link>>> {
        self.0.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect_patiently(&self) -> Result<Arc<Link>> {
        let deadline = Instant::now() + self.0.options.timeout;
        let mut pause = Duration::from_millis(1);
        loop {
            match Link::connect(&self.0.path, &self.0.options) {
                Err(error) if error.kind() == Kind::Unavailable && Instant::now() < deadline => {
                    if self.0.options.interrupted.is_some_and(|asked| asked()) {
                        return Err(Error::interrupted());
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends a request that must not happen twice; the connection that took it is returned.
    fn send(&self, request: &Request) -> Result<(Arc<Link>, u64)> {
        let link = self.link()?;
        match link.send(request) {
            Ok(id) => Ok((link, id)),
            // The store has not got it: a new connection may take it.
            Err(_) => {
                let link = self.link()?;
                let id = link.send(request)?;
                Ok((link, id))
            }
        }
    }

    /// A request that must not happen twice.
    fn call_once(&self, request: impl Into<Request>) -> Result<(Arc<Link>, Arrived)> {
        let (link, id) = self.send(&request.into())?;
        let arrived = link.receive(id)?;
        Ok((link, arrived))
    }

    /// A request that may be asked again on a new connection when the old one breaks.
    fn call(&self, request: impl Into<Request>) -> Result<(Arc<Link>, Arrived)> {
        let request = request.into();
        let (link, id) = self.send(&request)?;
        match link.receive(id) {
            Err(error) if error.kind() == Kind::Unavailable && !link.is_usable() => {
                let (link, id) = self.send(&request)?;
                let arrived = link.receive(id)?;
                Ok((link, arrived))
            }
            outcome => outcome.map(|arrived| (link, arrived)),
        }
    }

    /// The socket this client connects to.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.0.path
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client(unix:{})", self.0.path.display())
    }
}

/// A time limit as the protocol has it; longer than it can say is for ever.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(FOR_EVER_MS)
}
