//! `sheaf serve`: the daemon.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sheaf_flight::{FlightListener, FlightServer};
use sheaf_store::sql::Engine;
use sheaf_store::{Client, ConnectOptions, ServeOptions};

use crate::args::Global;
use crate::error::Result;
use crate::flight;
use crate::heap;
use crate::machine::Memory;
use crate::sql::Sql;
use crate::units::{human_bytes, parse_bytes, parse_duration};

/// Serve a store until SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The socket's folder is made with mode 0700 and the socket with 0600: the store is its owner's.
A store that is stopped takes no more puts, waits for the drafts being written, then ends. Those
who still map its objects keep them.

Arrow Flight is served beside it, on this machine and to this user (and root) alone unless told
otherwise. Others are let in by tokens (--token-file) or client certificates (--tls-client-ca).

Examples:
  sheaf serve
  sheaf serve --socket /run/user/1000/lab.sock --memory 4GiB
  sheaf serve --flight off
  sheaf serve --sql-memory 8GiB --sql-timeout 60s --sql-dir /data/exports
  sheaf serve --flight unix:/run/user/1000/flight.sock --flight 127.0.0.1:8816
  sheaf serve --flight 0.0.0.0:8815 --tls-cert lab.crt --tls-key lab.key --token-file tokens
  SHEAF_STORE=unix:/tmp/lab/store.sock sheaf serve --log debug")]
pub(crate) struct Serve {
    /// The socket [default: that of --store].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The most memory that objects may take, such as 4GiB or 512MiB [default: half of what the
    /// control group or the machine has].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// How much of it may be kept prepared for puts to come [default: a quarter].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pool: Option<u64>,
    /// How long to wait for unfinished drafts, and for Flight's calls, at the end.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    drain: Duration,
    #[command(flatten)]
    flight: flight::Flight,
    #[command(flatten)]
    sql: Sql,
}

impl Serve {
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        heap::keep_buffers();
        let socket = match &self.socket {
            Some(path) => path.clone(),
            None => global.socket()?,
        };
        // Clients are told this path; it must hold wherever they are.
        let socket = std::path::absolute(socket)?;
        let memory_bytes = self.memory.unwrap_or_else(|| Memory::read().default_store_bytes());
        let mut options = ServeOptions::new(&socket, memory_bytes);
        options.pool_bytes = self.pool;
        options.drain = self.drain;
        let engine = self.sql.engine(&socket)?;
        options.engine = engine.clone();
        let flight = self.flight.bind(self.drain)?;
        let attached = attach(&socket, memory_bytes, flight.map(|flight| (flight, engine)));
        let served = sheaf_store::serve_beside(options, || attached.stop());
        // The endpoint ends before the process does, whatever it is in the middle of.
        attached.end();
        served?;
        eprintln!("sheaf: stopped");
        Ok(())
    }
}

/// An endpoint that is to serve, and what answers SQL there.
type Flight = (FlightListener, Option<Arc<dyn Engine>>);

/// The Flight endpoint of a store, from before there is a store.
#[derive(Clone, Default)]
struct Attached(Arc<Mutex<Flying>>);

/// What the endpoint is at.
#[derive(Default)]
enum Flying {
    #[default]
    NotYet,
    Serving(FlightServer),
    /// The store ends, or has ended.
    Over,
}

impl Attached {
    fn flying(&self) -> MutexGuard<'_, Flying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves Flight, unless the store has been told to end in the meantime.
    fn begin(&self, (listener, engine): Flight, client: Client) {
        let mut flying = self.flying();
        if matches!(*flying, Flying::Over) {
            return;
        }
        match listener.serve(client, engine) {
            Ok(server) => {
                server.urls().for_each(|url| eprintln!("sheaf: Arrow Flight at {url}"));
                *flying = Flying::Serving(server);
            }
            Err(error) => eprintln!("sheaf: no Arrow Flight: {error}"),
        }
    }

    /// Lets no more calls in.
    fn stop(&self) {
        let mut flying = self.flying();
        match &*flying {
            Flying::Serving(server) => server.stop(),
            _ => *flying = Flying::Over,
        }
    }

    /// Ends, in the time that running calls are given.
    fn end(&self) {
        let flying = std::mem::replace(&mut *self.flying(), Flying::Over);
        drop(flying);
    }
}

/// Waits until the store serves, attaches the Flight endpoint to it, and says on stderr that both
/// are there: scripts wait for the last of these lines.
fn attach(socket: &Path, memory_bytes: u64, flight: Option<Flight>) -> Attached {
    let url = format!("unix:{}", socket.display());
    let attached = Attached::default();
    let own = attached.clone();
    let attach = move || {
        let timeout = Duration::from_secs(10);
        let options = ConnectOptions {
            timeout,
            command: "sheaf flight".into(),
            keep_descriptors: true,
            ..ConnectOptions::default()
        };
        let Ok(client) = sheaf_store::connect_with(&url, &options) else { return };
        let pid = std::process::id();
        // Another store may live on the socket: then `serve` fails, and this is not our answer.
        if !client.stat().is_ok_and(|stat| stat.store_pid == pid) {
            return;
        }
        if let Some(listener) = flight {
            own.begin(listener, client);
        }
        let memory = human_bytes(memory_bytes);
        eprintln!("sheaf: serving at {url} with {memory} (pid {pid})");
    };
    // Its only failure is that there is no thread to be had, which `serve` will say better.
    let _ = std::thread::Builder::new().name("attach".into()).spawn(attach);
    attached
}
