//! What a get takes beyond the round trip that it is.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use sheaf_store::PutOptions;

use super::{Row, Scale};
use crate::clock::{median, timed};
use crate::process::{self, Store, next_line, settle};
use crate::tables::batch;
use crate::{MIB, Outcome};

/// About as long as a get and its reply.
const PING_BYTES: usize = 64;

/// Gets of a table that is mapped and of tables that are not, the least that can be asked of the
/// store, and the least that a socket between two processes can do: all in turn.
pub(super) fn round_trips(scale: Scale) -> Outcome<Vec<Row>> {
    let tables = scale.calls / 10;
    let store = Store::start((tables + 64) * MIB, 0)?;
    let client = store.client()?;
    let table = batch(MIB);
    for index in 0..tables {
        let name = format!("table-{index}");
        client.put(name, &table.schema(), std::slice::from_ref(&table), &PutOptions::default())?;
    }
    settle(&client)?;
    let mapped = client.get("table-0")?;
    let mut ping = Ping::start()?;
    let mut samples: [Vec<f64>; 4] = Default::default();
    for call in 0..scale.calls {
        samples[0].push(ping.seconds()?);
        let (info, seconds) = timed(|| client.info("table-0", false));
        info?;
        samples[1].push(seconds);
        let (got, seconds) = timed(|| client.get("table-0")?.table()?.batch(0));
        got?;
        samples[2].push(seconds);
        if call % 10 == 0 && call > 0 {
            let name = format!("table-{}", call / 10);
            let (got, seconds) = timed(|| client.get(name)?.table()?.batch(0));
            got?;
            samples[3].push(seconds);
        }
    }
    drop(mapped);
    let [bare, least, again, new] = samples.map(|samples| median(&samples) * 1e6);
    let row = |what: &str, us: f64, reach| {
        let beyond = format!("trip {:+.1} us", us - least);
        Row::new(what, format!("{us:.1} us"), beyond, reach)
    };
    Ok(vec![
        row("round trip: bare socket", bare, "(yardstick)"),
        row("round trip: the store's least request", least, "(yardstick)"),
        row("get, table mapped already", again, "one round trip"),
        row("get, table new to this client", new, "one round trip + 10 us"),
    ])
}

/// A process that sends back what it is sent.
struct Ping {
    socket: UnixStream,
    _child: process::Reaped,
}

impl Ping {
    fn start() -> Outcome<Self> {
        let mut child = process::start("pong", &[])?;
        let output = child.stdout.take().ok_or("a child without an output")?;
        let child = process::Reaped(child);
        let path = next_line(&mut BufReader::new(output))?;
        Ok(Self { socket: UnixStream::connect(path)?, _child: child })
    }

    fn seconds(&mut self) -> Outcome<f64> {
        let mut bytes = [0; PING_BYTES];
        let (done, seconds) = timed(|| {
            self.socket.write_all(&bytes)?;
            self.socket.read_exact(&mut bytes)
        });
        done?;
        Ok(seconds)
    }
}

/// The role of the other end: prints its socket's path and sends back what it is sent.
///
/// # Errors
/// When there is no socket to be had.
pub fn pong() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pong.sock");
    let listener = UnixListener::bind(&path)?;
    println!("{}", path.display());
    let (mut socket, _) = listener.accept()?;
    let mut bytes = [0; PING_BYTES];
    while socket.read_exact(&mut bytes).is_ok() {
        socket.write_all(&bytes)?;
    }
    Ok(())
}
