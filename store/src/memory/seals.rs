//! Seals: what the kernel promises about a container, added once and checked by every reader.
//!
//! A reader trusts no word of the sender: it asks the kernel which seals hold and how long the
//! file is, and maps only if both say that nothing can change or vanish under it.

use std::os::fd::AsFd;

use rustix::fs::{SealFlags, fcntl_add_seals, fcntl_get_seals, fstat};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result, human_bytes};

/// What a reader demands of a container before it maps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A finished object: nobody, the store included, can write, shrink or grow it.
    Sealed,
    /// A segment: nobody but the store's one mapping can write it, nobody can resize it.
    Segment,
}

impl Expect {
    /// The seals that must hold; more may. A finished object satisfies a segment's reader too.
    fn satisfied_by(self, seals: SealFlags) -> bool {
        let size = SealFlags::SHRINK | SealFlags::GROW;
        let write = match self {
            Self::Sealed => SealFlags::WRITE,
            Self::Segment => SealFlags::WRITE | SealFlags::FUTURE_WRITE,
        };
        seals.contains(size) && seals.intersects(write)
    }
}

/// What came of an attempt to seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a busy container is not sealed"]
pub enum Outcome {
    /// The bytes can never change again.
    Sealed,
    /// Someone can still write: a shared writable mapping lives, or a page of it is pinned.
    Busy,
}

/// Seals a finished object. The kernel answers at once if a writable mapping lives, and waits at
/// most about 0.2 s for pinned pages.
pub(super) fn seal_object(fd: impl AsFd) -> Result<Outcome> {
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    match fcntl_add_seals(&fd, seals) {
        Ok(()) => Ok(Outcome::Sealed),
        Err(Errno::BUSY) => Ok(Outcome::Busy),
        // A writer holds a writable descriptor, so it may have added seals of its own. If they
        // are the right ones that is as good; if not, the object can never become one.
        Err(Errno::PERM) if held(&fd)?.contains(seals) => Ok(Outcome::Sealed),
        Err(Errno::PERM) => Err(Error::new(
            Kind::Invalid,
            "the writer sealed its memory itself and left it writable: abort and create it again",
        )),
        Err(errno) => Err(Error::os("sealing a container", errno)),
    }
}

/// Seals a segment whose one writable mapping exists.
pub(super) fn seal_segment(fd: impl AsFd) -> Result<()> {
    let seals = SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(fd, seals).map_err(|errno| Error::os("sealing a segment", errno))
}

/// Checks that the container behind `fd` is what a reader expects and at least `len` bytes long;
/// returns its length.
pub(super) fn check(fd: impl AsFd, len: usize, expect: Expect) -> Result<u64> {
    let seals = held(&fd)?;
    if !expect.satisfied_by(seals) {
        return Err(Error::new(
            Kind::Invalid,
            format!("the container is not sealed as {expect:?} demands: it has {seals:?}"),
        ));
    }
    let bytes = file_bytes(&fd)?;
    if bytes < len as u64 {
        let (has, wants) = (human_bytes(bytes), human_bytes(len as u64));
        return Err(Error::new(
            Kind::Invalid,
            format!("the container has {has}; {wants} were to be mapped"),
        ));
    }
    Ok(bytes)
}

/// The length of the file behind `fd`.
pub(super) fn file_bytes(fd: impl AsFd) -> Result<u64> {
    let stat = fstat(fd).map_err(|errno| Error::os("asking for a container's size", errno))?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

fn held(fd: impl AsFd) -> Result<SealFlags> {
    match fcntl_get_seals(fd) {
        Ok(seals) => Ok(seals),
        // Not a memfd at all: it has no seals, and the caller's check says so.
        Err(Errno::INVAL) => Ok(SealFlags::empty()),
        Err(errno) => Err(Error::os("asking for a container's seals", errno)),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FallocateFlags, OFlags, fallocate, ftruncate};
    use rustix::io::pwrite;
    use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mprotect};

    use super::super::memfd::reopen;
    use super::super::place::Place;
    use super::super::testing::{MIB, pattern, prepared, read, sealed};
    use super::super::{Memfd, ReadMap, Segment};
    use super::*;

    #[test]
    fn no_kind_of_write_reaches_a_sealed_object() {
        let bytes = pattern(3 * MIB);
        let memfd = sealed(&bytes);
        let map = read(&memfd);
        let reopened = reopen(memfd.as_fd(), OFlags::RDWR).ok(); // Only root may.
        let base = map.as_ptr().cast_mut().cast();

        for fd in [Some(memfd.as_fd()), reopened.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
            assert_eq!(pwrite(fd, b"x", 0), Err(Errno::PERM));
            assert_eq!(ftruncate(fd, 1), Err(Errno::PERM));
            assert_eq!(ftruncate(fd, 9 * MIB), Err(Errno::PERM));
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            assert_eq!(fallocate(fd, hole, 0, MIB), Err(Errno::PERM));
            let access = ProtFlags::READ | ProtFlags::WRITE;
            assert!(Place::new(fd, 0, 4096, access, MapFlags::SHARED).is_err());
        }
        // SAFETY: both are meant to fail, and change nothing if they do.
        unsafe {
            let write = MprotectFlags::READ | MprotectFlags::WRITE;
            assert_eq!(mprotect(base, 4096, write), Err(Errno::ACCESS));
            assert!(madvise(base, 4096, Advice::LinuxRemove).is_err());
        }
        assert!(map.as_slice() == bytes);
    }

    #[test]
    fn a_reader_refuses_what_could_still_change() {
        let draft = prepared(4096);
        let reader = draft.reopen_read().unwrap();
        let segment = Segment::create(4096).unwrap();
        let of_segment = segment.reopen_read().unwrap();
        let pipe = std::io::pipe().unwrap();

        for expect in [Expect::Sealed, Expect::Segment] {
            let refused = ReadMap::new(reader.as_fd(), 4096, expect).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid);
            let refused = ReadMap::new(pipe.0.as_fd(), 4096, expect).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid);
        }
        assert!(ReadMap::new(of_segment.as_fd(), 4096, Expect::Sealed).is_err());
        assert!(ReadMap::new(of_segment.as_fd(), 4096, Expect::Segment).is_ok());
    }

    #[test]
    fn a_reader_refuses_lengths_that_the_file_does_not_have() {
        let memfd: Memfd = sealed(&pattern(5000));
        let reader = memfd.reopen_read().unwrap();

        for len in [0, 5001, 8193, usize::MAX] {
            let refused = ReadMap::new(reader.as_fd(), len, Expect::Sealed).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid, "{len}");
        }
        assert_eq!(ReadMap::new(reader.as_fd(), 5000, Expect::Sealed).unwrap().len(), 5000);
    }
}
