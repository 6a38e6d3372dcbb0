//! The harness of the whole-system tests: daemons as processes, clients as processes, and ways
//! to end them without a goodbye.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use sheaf_store::{Client, ConnectOptions, PutOptions, ServeOptions, Server, Stat};
use tempfile::TempDir;

/// How long anything that must happen may take before the test gives up. Never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder that cargo builds programs into.
#[must_use]
pub fn built() -> PathBuf {
    let this = std::env::current_exe().expect("this test has a path");
    let folder = this.parent().and_then(Path::parent).expect("tests lie in target/*/deps");
    folder.to_owned()
}

/// The `sheaf` program: `cargo build --profile test -p sheaf` makes it.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn sheaf_bin() -> PathBuf {
    let program = built().join("sheaf");
    assert!(program.exists(), "build it first: cargo build --profile test --package sheaf");
    program
}

/// A daemon as a process of its own, on a socket in a folder of its own. Killed on drop.
pub struct Daemon {
    folder: TempDir,
    child: Child,
    memory: String,
}

impl Daemon {
    /// Starts a daemon with this much memory (as `--memory` takes it) and waits until it answers.
    #[must_use]
    pub fn start(memory: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let child = serve(&folder.path().join("store.sock"), memory);
        let daemon = Self { folder, child, memory: memory.to_owned() };
        let _ = daemon.connect();
        daemon
    }

    /// As [`Daemon::start`], with at most this many descriptors.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn with_descriptors(memory: &str, most: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let program = sheaf_bin();
        let child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")])
            .arg(program)
            .args(["serve", "--flight", "off", "--memory", memory, "--socket"])
            .arg(folder.path().join("store.sock"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let daemon = Self { folder, child, memory: memory.to_owned() };
        let _ = daemon.connect();
        daemon
    }

    /// Whether it has not ended yet.
    ///
    /// # Panics
    /// When the kernel does not say.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child of ours").is_none()
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("store.sock")
    }

    /// The store's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The daemon's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new client.
    ///
    /// # Panics
    /// When the daemon does not answer.
    #[must_use]
    pub fn connect(&self) -> Client {
        let options = ConnectOptions { timeout: PATIENCE, ..ConnectOptions::default() };
        sheaf_store::connect_with(&self.url(), &options).expect("the daemon answers")
    }

    /// Ends the daemon as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the daemon to end and waits for it.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        signal(self.child.id(), Signal::TERM);
        self.child.wait().expect("the daemon ends")
    }

    /// Starts it again on the same socket, after it was ended.
    pub fn restart(&mut self) {
        self.child = serve(&self.socket(), &self.memory);
        let _ = self.connect();
    }

    /// Starts a second daemon on the same socket and returns how it ended and what it said.
    ///
    /// # Panics
    /// When the program can't be started.
    #[must_use]
    pub fn second(&self) -> (ExitStatus, String) {
        let output = Command::new(sheaf_bin())
            .args(["serve", "--flight", "off", "--memory", "16MiB", "--socket"])
            .arg(self.socket())
            .output()
            .expect("the program starts");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(socket: &Path, memory: &str) -> Child {
    Command::new(sheaf_bin())
        .args(["serve", "--flight", "off", "--memory", memory, "--socket"])
        .arg(socket)
        // What a killed one leaves goes with the socket's folder.
        .env("TMPDIR", socket.parent().unwrap_or(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Starts this test binary again to run one ignored test as a process of its own: a client that
/// can be killed. It finds the daemon's URL in `SHEAF_STORE` and its task in `SHEAF_TASK`.
///
/// # Panics
/// When it can't be started.
#[must_use]
pub fn actor(test: &str, daemon: &Daemon, task: &str) -> Child {
    Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("SHEAF_STORE", daemon.url())
        .env("SHEAF_TASK", task)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("this test starts again")
}

/// Runs one ignored test as a process of its own, as [`actor`] does, to its end.
///
/// # Panics
/// When it fails.
pub fn act(test: &str, daemon: &Daemon, task: &str) {
    let ended = actor(test, daemon, task).wait_with_output().expect("the actor ends");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{test} failed:\n{said}");
    assert!(said.contains("1 passed"), "there is no such test as {test}:\n{said}");
}

/// A client and the task, for a test that was started by [`actor`]; `None` for one that was not.
#[must_use]
pub fn as_actor() -> Option<(Client, String)> {
    let task = std::env::var("SHEAF_TASK").ok()?;
    let options = ConnectOptions { timeout: PATIENCE, ..ConnectOptions::default() };
    let store = sheaf_store::connect_with(&sheaf_store::default_url(), &options);
    Some((store.expect("the daemon answers"), task))
}

/// A store on a thread of this process, for what a process of its own would not show better.
pub struct Room {
    server: Server,
    _folder: TempDir,
}

impl Room {
    /// A store with this budget and without a pool of prepared memory, so that every byte of the
    /// budget is where a test has put it.
    #[must_use]
    pub fn without_pool(memory_bytes: u64) -> Self {
        Self::with_pool(memory_bytes, Some(0))
    }

    /// A store with this budget and this much for the pool; the store's own choice if `None`.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn with_pool(memory_bytes: u64, pool_bytes: Option<u64>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the socket");
        let options = ServeOptions::new(folder.path().join("store.sock"), memory_bytes);
        let server = Server::spawn(ServeOptions { pool_bytes, ..options }).expect("it starts");
        Self { server, _folder: folder }
    }

    /// A new client.
    ///
    /// # Panics
    /// When the store does not answer.
    #[must_use]
    pub fn connect(&self) -> Client {
        sheaf_store::connect(&self.server.url()).expect("the store answers")
    }
}

/// Options of a put that replaces.
#[must_use]
pub fn replacing() -> PutOptions {
    PutOptions { replace: true, ..PutOptions::default() }
}

/// Bytes that differ from place to place and from seed to seed.
#[must_use]
pub fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ seed).collect()
}

/// Numbers that look random and are the same every time.
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn roll(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(0x14057b7ef767814f);
        (self.0 >> 33) as usize % end
    }
}

/// The first invariant of the books: the parts amount to the budget.
///
/// # Panics
/// When they do not.
pub fn assert_amounts_to_budget(stat: &Stat) {
    let parts = ["free", "sealed", "draft", "retired", "slack", "pool"];
    let sum: u64 = parts.map(|part| stat.get(&format!("{part}_bytes"))).iter().sum();
    let all: Vec<_> = stat.fields().collect();
    assert_eq!(sum, stat.get("budget_bytes"), "{all:?}");
}

/// How many descriptors a process has open.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process lives").count()
}

/// The lines of `/proc/self/maps`.
///
/// # Panics
/// Where there is no `/proc`.
#[must_use]
pub fn own_maps() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("this process lives");
    maps.lines().map(str::to_owned).collect()
}

/// Waits until `happened` is true.
///
/// # Panics
/// When it does not become true within [`PATIENCE`].
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
