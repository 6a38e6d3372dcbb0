//! The lease oracle: does anyone still hold a container?
//!
//! A write lease is granted only while nobody but the asking description has the file open. The
//! kernel counts descriptions made by `open`, wherever they are: in a descriptor, in a mapping of
//! any kind, in a forked child, on its way through a socket. It does not count the description
//! that `memfd_create` made, so that one, and any `dup` of it, must never leave the store.
//!
//! Each container keeps one description of its own for asking, the *keeper*. While it is open no
//! client can take a write lease itself, which would make the store's next `open` wait.
//!
//! Blind spots: pages spliced into a pipe, and an `O_PATH` descriptor that is opened later. So a
//! lease is for a store whose clients are one user, and the store's own books must agree.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::Result;

use super::memfd::reopen;

/// `libc` has no name for it on Linux; the number is the same wherever Rust runs.
const F_SETSIG: i32 = 10;

/// Opens the description through which a container's leases are asked for.
pub(super) fn keeper(original: BorrowedFd<'_>) -> Result<OwnedFd> {
    reopen(original, rustix::fs::OFlags::RDONLY)
}

/// Whether any description but the keeper and the original is open; `None` if the kernel refuses
/// to say.
pub(super) fn is_held(keeper: impl AsFd) -> Option<bool> {
    // Whoever opens the file in the instant that the lease is held makes the kernel signal us. That
    // signal is SIGIO by default, which ends the process; SIGURG is ignored by default. Giving a
    // lease back resets the choice, so it is made each time.
    fcntl(keeper.as_fd(), F_SETSIG, libc::SIGURG).ok()?;
    match fcntl(keeper.as_fd(), libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => {
            // An error would mean that the kernel has broken the lease already.
            let _ = fcntl(keeper.as_fd(), libc::F_SETLEASE, libc::F_UNLCK);
            Some(false)
        }
        Err(rustix::io::Errno::AGAIN) => Some(true),
        Err(_) => None,
    }
}

/// The two commands used here, which rustix does not have.
fn fcntl(fd: BorrowedFd<'_>, command: i32, value: i32) -> rustix::io::Result<()> {
    // SAFETY: the descriptor is open, and both F_SETSIG and F_SETLEASE take an integer.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, value) } {
        -1 => Err(last_errno()),
        _ => Ok(()),
    }
}

fn last_errno() -> rustix::io::Errno {
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    rustix::io::Errno::from_raw_os_error(code)
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::unix::net::UnixStream;

    use rustix::fs::OFlags;
    use rustix::mm::{MapFlags, ProtFlags};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::super::place::Place;
    use super::super::testing::{Forked, MIB, pattern, prepared, quiet, sealed};
    use super::super::{Memfd, Probe, Segment, WriteMap};
    use super::*;

    /// Asserts that the oracle sees what `hold` returns, and sees it gone.
    fn sees<T>(memfd: &Memfd, hold: impl FnOnce() -> T) {
        let _quiet = quiet();
        if !Probe::get().leases {
            assert_eq!(memfd.is_held(), None);
            return;
        }
        assert_eq!(memfd.is_held(), Some(false));
        let holder = hold();
        assert_eq!(memfd.is_held(), Some(true));
        drop(holder);
        assert_eq!(memfd.is_held(), Some(false));
    }

    fn mapped(memfd: &Memfd, offset: u64, len: usize, flags: MapFlags) -> Place {
        let reader = memfd.reopen_read().unwrap();
        Place::new(reader.as_fd(), offset, len, ProtFlags::READ, flags).unwrap()
    }

    #[test]
    fn a_descriptor_holds() {
        let memfd = prepared(4096);

        sees(&memfd, || memfd.reopen_read().unwrap());
        sees(&memfd, || memfd.reopen_write().unwrap());
    }

    #[test]
    fn a_mapping_of_any_kind_holds() {
        let memfd = sealed(&pattern(4 * MIB));

        sees(&memfd, || mapped(&memfd, 0, 4 << 20, MapFlags::SHARED));
        sees(&memfd, || mapped(&memfd, 0, 4 << 20, MapFlags::PRIVATE));
        sees(&memfd, || mapped(&memfd, 2 << 20, 4096, MapFlags::SHARED));
    }

    #[test]
    fn a_writers_mapping_and_its_private_successor_hold() {
        let memfd = prepared(4096);
        let map = || WriteMap::new(memfd.reopen_write().unwrap(), 4096).unwrap();

        sees(&memfd, map);
        if rustix::process::geteuid().is_root() {
            // Only root may reopen for writing twice.
            sees(&memfd, || map().into_private().unwrap());
        }
    }

    #[test]
    fn a_forked_childs_mapping_holds() {
        let memfd = sealed(&pattern(4096));

        sees(&memfd, || {
            let map = mapped(&memfd, 0, 4096, MapFlags::SHARED);
            let child = Forked::new();
            drop(map); // The child still has it.
            child
        });
    }

    #[test]
    fn a_descriptor_on_its_way_through_a_socket_holds() {
        let memfd = sealed(&pattern(4096));

        sees(&memfd, || {
            let (from, to) = UnixStream::pair().unwrap();
            let reader = memfd.reopen_read().unwrap();
            let descriptors = [reader.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
            sendmsg(&from, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
            (from, to)
        });
    }

    #[test]
    fn a_segments_own_writable_map_does_not_count() {
        let _quiet = quiet();
        let mut segment = Segment::create(MIB).unwrap();
        segment.allocate(4096).unwrap();
        segment.write(0, &[b"bytes"]).unwrap();

        if Probe::get().leases {
            assert_eq!(segment.is_held(), Some(false));
            let reader = segment.reopen_read().unwrap();
            assert_eq!(segment.is_held(), Some(true));
            drop(reader);
        }
    }

    #[test]
    fn a_client_cannot_lease_what_the_store_will_open() {
        let memfd = sealed(&pattern(1));
        let client = memfd.reopen_read().unwrap();

        assert!(fcntl(client.as_fd(), libc::F_SETLEASE, libc::F_WRLCK).is_err());
    }

    #[test]
    fn an_open_that_meets_the_lease_does_not_end_the_store() {
        let memfd = sealed(&pattern(1));

        std::thread::scope(|scope| {
            let asking = scope.spawn(|| (0..20_000).filter_map(|_| memfd.is_held()).count());
            while !asking.is_finished() {
                // Past our lock, as another process would.
                let _ = reopen(memfd.as_fd(), OFlags::RDONLY);
            }
        });

        // Getting here is the claim: SIGIO would have ended the process.
    }
}
