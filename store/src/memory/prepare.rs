//! Preparing memory ahead of its writer, so that running out is an error here and no SIGBUS there.
//!
//! The kernel zeroes pages when it backs them, so that is what preparing costs. Ways compared on
//! 1 GiB (2 virtual cores, Linux 6.18, `shmem_enabled` never; other work ran beside it, so the
//! ratios matter):
//!
//! | way | one thread | two |
//! |---|---|---|
//! | one page of each 2 MiB, then `MADV_COLLAPSE` | 5.6 to 7.4 GB/s | 6.6 to 10.7 GB/s |
//! | `MADV_POPULATE_WRITE`, 4 KiB pages | 1.6 GB/s | 1.4 GB/s |
//! | copying into an unprepared memfd, page faults | 0.9 to 1.2 GB/s | |
//! | `pwrite` into an unprepared memfd | 1.7 to 2.1 GB/s | |
//!
//! Collapsing is bound by the memory's bandwidth: a second thread adds what the first leaves. The
//! bytes per call, 2 MiB to 1 GiB, made no difference beyond the noise, so a call takes a chunk
//! small enough to share out evenly. Copying each 4 MiB right after preparing them, while the
//! zeroes lie in the cache, gained nothing over preparing all first (both 3 to 4 GB/s).

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result, human_bytes};

use super::place::Place;
use super::{HUGE_PAGE_BYTES, Memfd, Probe, fill, seals};

/// One call to the kernel.
const CHUNK_BYTES: u64 = 8 << 20;

/// Only requests of this size or more are compared with what the machine has, in bytes.
const LARGE_BYTES: u64 = 32 << 20;

/// How many threads may prepare at once: can be raised while they do, when somebody begins to wait
/// for what was prepared in the background.
#[derive(Debug)]
pub struct Threads(AtomicUsize);

impl Threads {
    /// This many, and at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count.max(1)))
    }

    /// From the next chunk on, at least this many.
    pub fn raise(&self, count: usize) {
        // Relaxed: a number that orders nothing else.
        self.0.fetch_max(count, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Backs bytes `[from, to)` of the container with memory, in huge pages where the machine can,
/// with as many threads as `threads` says. What is backed already keeps its bytes, the rest is
/// zero. No mapping stays behind.
///
/// # Errors
/// [`Kind::Full`] if the machine or the store's control group is out of memory;
/// [`Kind::Invalid`] for a range that is empty or past the container's end.
pub fn prepare(memfd: &Memfd, from: u64, to: u64, threads: &Threads, probe: &Probe) -> Result<()> {
    if from >= to || to > memfd.bytes() {
        let has = human_bytes(memfd.bytes());
        return Err(Error::new(
            Kind::Invalid,
            format!("bytes {from} to {to} are no part of a container of {has}"),
        ));
    }
    // Past what the machine has, the kernel ends a process of its choice instead of failing. Only
    // large requests are worth the look.
    let large = to - from >= LARGE_BYTES;
    if large && available_bytes().is_some_and(|available| to - from > available) {
        return Err(out_of_memory(to - from, Errno::NOMEM));
    }
    let base = from - from % HUGE_PAGE_BYTES;
    let len = usize::try_from(to - base).map_err(|_| out_of_memory(to - from, Errno::NOMEM))?;
    let place = Place::writable(memfd.as_fd(), base, len)?;

    let work = Work { place: &place, next: AtomicU64::new(from - base), end: to - base, probe };
    let done = std::thread::scope(|scope| {
        let mut helpers = Vec::new();
        let mine = loop {
            if helpers.len() + 1 < threads.get() && work.has_more_than(helpers.len() + 1) {
                let helper = std::thread::Builder::new().spawn_scoped(scope, || work.run());
                helpers.extend(helper);
            }
            match work.step() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(errno) => break Err(errno),
            }
        };
        helpers
            .into_iter()
            .fold(mine, |done, helper| done.and(helper.join().unwrap_or(Err(Errno::IO))))
    });
    drop(place);
    match done {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => allocate(memfd, from, to),
        Err(errno) => Err(explain(memfd, from, to, errno)),
    }
}

/// Chunks of one range, taken in turn by several threads.
struct Work<'a> {
    place: &'a Place,
    next: AtomicU64,
    end: u64,
    probe: &'a Probe,
}

impl Work<'_> {
    /// Chunk after chunk, to the end.
    fn run(&self) -> Result<(), Errno> {
        while self.step()? {}
        Ok(())
    }

    /// The next chunk; false when there is none.
    fn step(&self) -> Result<bool, Errno> {
        // Relaxed: the counter hands out ranges and orders nothing else.
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            (at < self.end).then(|| self.after(at))
        });
        let Ok(from) = taken else { return Ok(false) };
        let to = self.after(from);
        fill::fill(self.place, from as usize, to as usize, self.probe).inspect_err(|_| {
            self.next.store(self.end, Ordering::Relaxed); // The others need not go on.
        })?;
        Ok(true)
    }

    /// Whether each of so many threads, and one more, finds a chunk.
    fn has_more_than(&self, threads: usize) -> bool {
        let left = self.end.saturating_sub(self.next.load(Ordering::Relaxed));
        left > threads as u64 * CHUNK_BYTES
    }

    /// The end of the chunk at `at`: chunks end at multiples of their size.
    fn after(&self, at: u64) -> u64 {
        (at - at % CHUNK_BYTES + CHUNK_BYTES).min(self.end)
    }
}

/// For kernels before 5.14: the pages are allocated, and zeroed when they are first touched.
fn allocate(memfd: &Memfd, from: u64, to: u64) -> Result<()> {
    fallocate(memfd, FallocateFlags::KEEP_SIZE, from, to - from)
        .map_err(|errno| explain(memfd, from, to, errno))
}

fn explain(memfd: &Memfd, from: u64, to: u64, errno: Errno) -> Error {
    match errno {
        // What would have been SIGBUS: past the end, if a writer moved it, or out of memory.
        Errno::FAULT if seals::file_bytes(memfd).is_ok_and(|bytes| bytes < to) => {
            let had = human_bytes(memfd.bytes());
            let message = format!("the writer shrank its memory; it had {had}");
            Error::new(Kind::Invalid, message).because(errno)
        }
        Errno::NOMEM | Errno::NOSPC | Errno::FAULT => out_of_memory(to - from, errno),
        _ => Error::os(format_args!("preparing {}", human_bytes(to - from)), errno),
    }
}

fn out_of_memory(bytes: u64, errno: Errno) -> Error {
    let asked = human_bytes(bytes);
    let free = available_bytes().map_or_else(|| "less".to_owned(), human_bytes);
    Error::new(
        Kind::Full,
        format!("preparing {asked} of shared memory: {free} is free: lower --memory or free some"),
    )
    .because(errno)
}

/// What the machine could still give, swap apart.
fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MIB, prepared, smaps};
    use super::super::{HugePages, WriteMap};
    use super::*;

    fn small_pages(populate: bool) -> Probe {
        Probe {
            collapse: false,
            faults_huge: false,
            populate,
            huge: HugePages::Never,
            ..Probe::get().clone()
        }
    }

    #[test]
    fn prepared_bytes_are_resident_and_zero() {
        for bytes in [1, 4097, MIB - 1, 3 * MIB, 3 * MIB + 1, 64 * MIB + 4095] {
            let memfd = prepared(bytes);

            assert!(memfd.resident_bytes().unwrap() >= bytes, "{bytes}");
            let mut map = WriteMap::new(memfd.reopen_write().unwrap(), bytes as usize).unwrap();
            assert!(map.as_mut_slice().iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn every_way_to_prepare_backs_the_range_and_no_more() {
        for probe in [small_pages(true), small_pages(false), Probe::get().clone()] {
            for threads in [0, 1, 2, 9] {
                let memfd = Memfd::create("ways", 96 * MIB).unwrap();

                prepare(&memfd, 2 * MIB, 70 * MIB, &Threads::new(threads), &probe).unwrap();

                assert_eq!(memfd.resident_bytes().unwrap(), 68 * MIB, "{probe} {threads}");
            }
        }
    }

    #[test]
    fn what_was_written_survives_a_second_preparation() {
        let memfd = Memfd::create("twice", 8 * MIB).unwrap();
        rustix::io::pwrite(&memfd, b"kept", 5 * MIB + 7).unwrap();

        for probe in [small_pages(false), small_pages(true), Probe::get().clone()] {
            prepare(&memfd, 1, 8 * MIB, &Threads::new(2), &probe).unwrap();
        }

        let mut bytes = [0; 4];
        rustix::io::pread(&memfd, &mut bytes, 5 * MIB + 7).unwrap();
        assert_eq!(&bytes, b"kept");
    }

    #[test]
    fn huge_pages_are_mapped_as_such_up_to_a_ragged_end() {
        if !Probe::get().collapse {
            return; // Nothing to claim on this machine.
        }
        let bytes = 7 * MIB + 100;
        let memfd = prepared(bytes);

        let mut map = WriteMap::new(memfd.reopen_write().unwrap(), bytes as usize).unwrap();

        assert!(map.as_mut_ptr().addr().is_multiple_of(HUGE_PAGE_BYTES as usize));
        assert_eq!(smaps(map.as_mut_ptr(), "ShmemPmdMapped:"), 8 * MIB);
    }

    #[test]
    fn nothing_stays_mapped_that_would_keep_the_seal_away() {
        for probe in [small_pages(true), Probe::get().clone()] {
            let memfd = Memfd::create("gone", 4 * MIB).unwrap();
            prepare(&memfd, 0, 4 * MIB, &Threads::new(2), &probe).unwrap();

            assert_eq!(memfd.seal().unwrap(), super::super::Outcome::Sealed);
        }
    }

    #[test]
    fn a_range_that_is_no_part_of_the_container_is_invalid() {
        let memfd = Memfd::create("range", 4 * MIB).unwrap();

        for (from, to) in [(0, 0), (5, 4), (0, 4 * MIB + 1), (u64::MAX, u64::MAX), (0, u64::MAX)] {
            let error = prepare(&memfd, from, to, &Threads::new(1), Probe::get()).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{from} {to}");
        }
    }

    #[test]
    fn a_writer_that_shrinks_its_draft_gets_an_error_and_kills_nobody() {
        let memfd = Memfd::create("hostile", 8 * MIB).unwrap();
        let writer = memfd.reopen_write().unwrap();
        rustix::fs::ftruncate(&writer, 4096).unwrap();

        for probe in [small_pages(true), Probe::get().clone()] {
            let error = prepare(&memfd, 0, 8 * MIB, &Threads::new(1), &probe).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
        }
    }

    #[test]
    fn more_than_the_machine_has_is_full_with_both_numbers() {
        let bytes = 1 << 46;
        let memfd = Memfd::create("vast", bytes).unwrap();

        let error = prepare(&memfd, 0, bytes, &Threads::new(1), Probe::get()).unwrap_err();

        assert_eq!(error.kind(), Kind::Full);
        assert!(error.message().contains("64 TiB"), "{error}");
        assert!(error.message().contains("is free"), "{error}");
        assert_eq!(memfd.resident_bytes().unwrap(), 0);
    }
}
