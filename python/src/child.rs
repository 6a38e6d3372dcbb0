//! A store's process as a child of this one, which does not outlive it.
//!
//! The kernel can end a child when its parent dies, and takes the *thread* that started it for the
//! parent. So each child has a thread of its own, that starts it and waits for it.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError};
use pyo3::prelude::*;

use crate::args::limit;
use crate::interrupt;

/// How long a wait lasts before it is asked whether to go on.
const ASKING: Duration = Duration::from_millis(50);

/// How it ended, once it has: its exit status, or minus the signal.
#[derive(Default)]
struct End {
    status: Mutex<Option<i32>>,
    told: Condvar,
}

impl End {
    fn status(&self) -> MutexGuard<'_, Option<i32>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits that long at most; whether it has ended.
    fn wait(&self, limit: Duration) -> bool {
        let waited = self.told.wait_timeout_while(self.status(), limit, |status| status.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }
}

/// A child process.
#[pyclass(name = "Child", module = "sheaf._sheaf", frozen)]
pub(crate) struct Child {
    #[pyo3(get)]
    pid: u32,
    /// The process that started it, and that alone may end it.
    parent: u32,
    end: Arc<End>,
}

#[pymethods]
impl Child {
    /// Starts a program; what it prints goes to the file `log`.
    #[new]
    fn start(
        py: Python<'_>,
        program: std::path::PathBuf,
        args: Vec<std::ffi::OsString>,
        log: std::path::PathBuf,
    ) -> PyResult<Self> {
        let end = Arc::new(End::default());
        let theirs = end.clone();
        let (send, receive) = mpsc::channel();
        std::thread::Builder::new().name("sheaf-serve".into()).spawn(move || {
            run(&program, &args, &log, &send, &theirs);
        })?;
        let pid = py.detach(move || receive.recv());
        let pid = pid.map_err(|_| PyRuntimeError::new_err("the child's thread has ended"))?;
        Ok(Self { pid: pid.map_err(PyOSError::new_err)?, parent: std::process::id(), end })
    }

    /// Its exit status, or minus the signal that ended it; `None` while it runs.
    fn poll(&self) -> Option<i32> {
        *self.end.status()
    }

    /// Whether this process started it, and not one that this was forked from.
    #[getter]
    fn is_mine(&self) -> bool {
        self.parent == std::process::id()
    }

    /// Sends it a signal, if it still runs.
    fn signal(&self, number: i32) -> PyResult<()> {
        let status = self.end.status();
        if status.is_some() || !self.is_mine() {
            return Ok(());
        }
        // SAFETY: no preconditions. The lock keeps its thread from saying that it has ended; until
        // it is reaped, which `run` does under this lock too, its number is nobody else's.
        match unsafe { libc::kill(self.pid.cast_signed(), number) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error().into()),
        }
    }

    /// Waits until it has ended; whether it has. Ctrl-C ends the wait.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let limit = limit(py, Some(timeout))?.min(Duration::from_secs(1 << 30));
        let has_ended = py.detach(|| {
            let give_up = Instant::now() + limit;
            loop {
                let left = give_up.saturating_duration_since(Instant::now());
                if self.end.wait(left.min(ASKING)) {
                    return Some(true);
                }
                if interrupt::asked() {
                    return None;
                }
                if left <= ASKING {
                    return Some(false);
                }
            }
        });
        has_ended
            .ok_or_else(|| interrupt::take().unwrap_or_else(|| PyKeyboardInterrupt::new_err(())))
    }

    fn __repr__(&self) -> String {
        match self.poll() {
            Some(status) => format!("Child(pid {}, ended with {status})", self.pid),
            None => format!("Child(pid {})", self.pid),
        }
    }
}

type Started = mpsc::Sender<Result<u32, std::io::Error>>;

fn run(
    program: &std::path::Path,
    args: &[std::ffi::OsString],
    log: &std::path::Path,
    started: &Started,
    end: &End,
) {
    let child = File::create(log).and_then(|log| spawn(program, args, log));
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            *end.status() = Some(127);
            let _ = started.send(Err(error)); // Nobody listens: then nobody needs to know.
            return;
        }
    };
    let pid = child.id();
    let _ = started.send(Ok(pid));
    await_end(pid);
    let mut status = end.status();
    let ended = child.wait();
    *status = Some(
        ended.map_or(-1, |ended| ended.code().unwrap_or_else(|| -ended.signal().unwrap_or(1))),
    );
    end.told.notify_all();
}

/// Waits until a child has ended, and leaves it to be reaped.
fn await_end(pid: u32) {
    // SAFETY: a structure of plain numbers, for the kernel to fill.
    let mut told: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: `told` is ours.
        let waited =
            unsafe { libc::waitid(libc::P_PID, pid, &raw mut told, libc::WEXITED | libc::WNOWAIT) };
        let interrupted = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
        if waited == 0 || !interrupted {
            return;
        }
    }
}

fn spawn(
    program: &std::path::Path,
    args: &[std::ffi::OsString],
    log: File,
) -> std::io::Result<std::process::Child> {
    let parent = std::process::id();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C is for this process: it ends the store when it is done with it.
    command.process_group(0);
    // SAFETY: between fork and exec it makes two calls to the kernel and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            // Its parent may have died before that.
            if libc::getppid().cast_unsigned() != parent {
                libc::_exit(1);
            }
            Ok(())
        });
    }
    command.spawn()
}
