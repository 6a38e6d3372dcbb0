//! What the tests of this folder share.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Expect, Memfd, Outcome, Probe, ReadMap, Threads, WriteMap, prepare};

pub(super) const MIB: u64 = 1 << 20;

/// A container of `bytes` bytes, all backed.
pub(super) fn prepared(bytes: u64) -> Memfd {
    let memfd = Memfd::create("sheaf-test", bytes).unwrap();
    prepare(&memfd, 0, bytes, &Threads::new(1), Probe::get()).unwrap();
    memfd
}

/// Bytes that differ from their neighbours.
pub(super) fn pattern(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

/// A sealed container of these bytes.
pub(super) fn sealed(bytes: &[u8]) -> Memfd {
    let memfd = prepared(bytes.len() as u64);
    let mut map = WriteMap::new(memfd.reopen_write().unwrap(), bytes.len()).unwrap();
    map.as_mut_slice().copy_from_slice(bytes);
    drop(map);
    assert_eq!(memfd.seal().unwrap(), Outcome::Sealed);
    memfd
}

/// What a reader sees of a sealed container.
pub(super) fn read(memfd: &Memfd) -> ReadMap {
    let reader = memfd.reopen_read().unwrap();
    ReadMap::new(reader.as_fd(), memfd.bytes() as usize, Expect::Sealed).unwrap()
}

/// A field of `/proc/self/smaps` for the mapping that starts at `base`, in bytes.
pub(super) fn smaps(base: *const u8, field: &str) -> u64 {
    let start = format!("{:x}-", base.addr());
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with(&start));
    lines.skip(1).find_map(|line| kib(line, field)).unwrap()
}

/// All shared memory of the machine.
pub(super) fn shared_memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    text.lines().find_map(|line| kib(line, "Shmem:")).unwrap()
}

fn kib(line: &str, field: &str) -> Option<u64> {
    let value = line.strip_prefix(field)?.split_whitespace().next()?;
    Some(value.parse::<u64>().unwrap() * 1024)
}

/// Held by tests that fork, and by those that a child of another test would disturb: it inherits
/// every descriptor.
pub(super) fn quiet() -> MutexGuard<'static, ()> {
    static QUIET: Mutex<()> = Mutex::new(());
    QUIET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child of this process, alive until it is dropped.
pub(super) struct Forked {
    pid: i32,
    lifeline: UnixStream,
}

impl Forked {
    pub(super) fn new() -> Self {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        // SAFETY: the child calls nothing but `write`, `read` and `_exit`, which are safe after
        // fork in a process of several threads.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            use std::os::fd::AsRawFd as _;
            let mut byte = 0u8;
            // SAFETY: as above; `byte` outlives both calls. It ends when our side is dropped.
            unsafe {
                libc::close(ours.as_raw_fd());
                libc::write(theirs.as_raw_fd(), (&raw const byte).cast(), 1);
                libc::read(theirs.as_raw_fd(), (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
        }
        assert!(pid > 0, "fork failed");
        ours.read_exact(&mut [0]).unwrap();
        Self { pid, lifeline: ours }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let _ = self.lifeline.write_all(&[0]);
        // SAFETY: waits for our own child and takes no pointer that it would write to.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}
