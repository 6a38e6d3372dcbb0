//! Other processes: the store, and readers that have seen no object yet.
//!
//! A program here runs itself again as `PROGRAM --as ROLE ARGUMENTS…`. A child dies with its
//! parent, however that ends, so nothing needs to be cleaned up.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use sheaf_store::{Client, ConnectOptions, ServeOptions, Stat, connect_with};
use tempfile::TempDir;

use crate::Outcome;

/// How long a child may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The role and arguments of a child; `None` in the program that the user started.
#[must_use]
pub fn role() -> Option<(String, Vec<String>)> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != "--as" {
        return None;
    }
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    Some((arguments.next()?, arguments.collect()))
}

/// A child's argument.
///
/// # Errors
/// When it is missing or of another form.
pub fn argument<T: FromStr>(arguments: &[String], index: usize) -> Outcome<T> {
    let text = arguments.get(index).ok_or("an argument is missing")?;
    text.parse().map_err(|_| format!("{text:?} is no such argument").into())
}

/// This program again, in another role.
///
/// # Errors
/// When it can't be started.
pub fn start(role: &str, arguments: &[&str]) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--as", role]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command.spawn()?)
}

/// Runs a child to its end; the lines that it printed.
///
/// # Errors
/// When it fails, with its reason on standard error.
pub fn run(role: &str, arguments: &[&str]) -> Outcome<Vec<String>> {
    let mut child = start(role, arguments)?;
    let output = child.stdout.take().ok_or("a child without an output")?;
    let lines = BufReader::new(output).lines().collect::<Result<_, _>>()?;
    let status = child.wait()?;
    if status.success() { Ok(lines) } else { Err(format!("the {role} failed: {status}").into()) }
}

/// Waits for a child's next line.
///
/// # Errors
/// When it has ended.
pub fn next_line(output: &mut BufReader<ChildStdout>) -> Outcome<String> {
    let mut line = String::new();
    match output.read_line(&mut line)? {
        0 => Err("a child ended early".into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

/// The role of a store: serves until it is told to end.
///
/// # Errors
/// As [`sheaf_store::serve`].
pub fn serve(arguments: &[String]) -> Outcome<()> {
    let socket: PathBuf = argument(arguments, 0)?;
    let mut options = ServeOptions::new(socket, argument(arguments, 1)?);
    options.pool_bytes = Some(argument(arguments, 2)?);
    options.drain = Duration::ZERO;
    Ok(sheaf_store::serve(options)?)
}

/// A store in a process of its own, ended on drop.
pub struct Store {
    // In this order: the process ends before its folder goes.
    _child: Reaped,
    folder: TempDir,
}

impl Store {
    /// Starts a store of this size that prepares at most `pool_bytes` ahead.
    ///
    /// # Errors
    /// When the process can't be started, or no store answers.
    pub fn start(memory_bytes: usize, pool_bytes: usize) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("store.sock");
        let socket = socket.to_str().ok_or("a temporary folder whose name is not UTF-8")?;
        let sizes = [memory_bytes.to_string(), pool_bytes.to_string()];
        let child = Reaped(start("store", &[socket, &sizes[0], &sizes[1]])?);
        let store = Self { _child: child, folder };
        store.client()?;
        Ok(store)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix:{}", self.folder.path().join("store.sock").display())
    }

    /// A new client.
    ///
    /// # Errors
    /// When no store answers.
    pub fn client(&self) -> Outcome<Client> {
        client(&self.url(), None)
    }
}

/// A child that is ended on drop.
pub struct Reaped(pub Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A client of the store at `url` that copies with this many threads.
///
/// # Errors
/// When no store answers.
pub fn client(url: &str, copy_threads: Option<usize>) -> Outcome<Client> {
    let options = ConnectOptions { timeout: PATIENCE, copy_threads, ..ConnectOptions::default() };
    Ok(connect_with(url, &options)?)
}

/// Waits until deleted memory is back and the pool holds what it wants.
///
/// # Errors
/// When the store is gone.
pub fn settle(client: &Client) -> Outcome<Stat> {
    loop {
        let stat = client.stat()?;
        if stat.get("retiring") == 0 && stat.get("pooled") == stat.get("pooled_ready") {
            return Ok(stat);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
