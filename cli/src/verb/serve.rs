//! `sheaf serve`: the daemon.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use sheaf_flight::{FlightListener, FlightServer};
use sheaf_store::{ConnectOptions, ServeOptions};

use crate::args::Global;
use crate::error::Result;
use crate::flight::Flight;
use crate::machine::Memory;
use crate::units::{human_bytes, parse_bytes, parse_duration};

/// Serve a store until SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The socket's folder is made with mode 0700 and the socket with 0600: the store is its owner's.
A store that is stopped takes no more puts, waits for the drafts being written, then ends. Those
who still map its objects keep them.

Examples:
  sheaf serve
  sheaf serve --socket /run/user/1000/lab.sock --memory 4GiB
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
    /// How long to wait for unfinished drafts at the end.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    drain: Duration,
    #[command(flatten)]
    flight: Flight,
}

impl Serve {
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
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
        let attached = attach(&socket, memory_bytes, self.flight.bind()?);
        let served = sheaf_store::serve(options);
        // The endpoint ends before the process does, whatever it is in the middle of.
        drop(attached.and_then(|attached| attached.join().ok()));
        served?;
        eprintln!("sheaf: stopped");
        Ok(())
    }
}

/// Waits until the store serves, attaches the Flight endpoint to it, and says on stderr that both
/// are there: scripts wait for the last of these lines.
fn attach(
    socket: &Path,
    memory_bytes: u64,
    flight: Option<FlightListener>,
) -> Option<JoinHandle<Option<FlightServer>>> {
    let url = format!("unix:{}", socket.display());
    // Its only failure is that there is no thread to be had, which `serve` will say better.
    let builder = std::thread::Builder::new().name("attach".into());
    let attach = move || {
        let timeout = Duration::from_secs(10);
        let options = ConnectOptions {
            timeout,
            command: "sheaf flight".into(),
            keep_descriptors: true,
            ..ConnectOptions::default()
        };
        let client = sheaf_store::connect_with(&url, &options).ok()?;
        let pid = std::process::id();
        // Another store may live on the socket: then `serve` fails, and this is not our answer.
        if client.stat().is_ok_and(|stat| stat.store_pid != pid) {
            return None;
        }
        let server = flight.and_then(|listener| match listener.serve(client) {
            Ok(server) => Some(server),
            Err(error) => {
                eprintln!("sheaf: no Arrow Flight: {error}");
                None
            }
        });
        for address in server.iter().flat_map(FlightServer::urls) {
            eprintln!("sheaf: Arrow Flight at {address}");
        }
        let memory = human_bytes(memory_bytes);
        eprintln!("sheaf: serving at {url} with {memory} (pid {pid})");
        server
    };
    builder.spawn(attach).ok()
}
