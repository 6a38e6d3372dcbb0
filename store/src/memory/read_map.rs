//! What a reader maps: bytes that the kernel keeps from changing and from going away.
//!
//! Pages enter the page tables as they are touched. With huge pages a first read of 64 MiB or
//! more, mapping and unmapping included, runs at 0.92 to 1.0 of the speed of a warm one; with small
//! pages at half. `MADV_POPULATE_READ` beforehand changed neither: the kernel maps small pages
//! around a fault anyway.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::error::Result;

use super::place::Place;
use super::seals::{self, Expect};

/// A read-only mapping of a container, at a multiple of 2 MiB, unmapped on drop.
///
/// It keeps the container's memory alive by itself: the descriptor may be closed, or kept for
/// those who send from it.
#[derive(Debug)]
pub struct ReadMap {
    place: Place,
    len: usize,
    expect: Expect,
    file: Option<OwnedFd>,
}

impl ReadMap {
    /// Maps the first `len` bytes, after asking the kernel for the seals and the length.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::error::Kind::Invalid) for 0 bytes, for a container that is shorter
    /// or not sealed as `expect` says; [`Kind::Full`](crate::error::Kind::Full) if no address
    /// space is left.
    pub fn new(fd: BorrowedFd<'_>, len: usize, expect: Expect) -> Result<Self> {
        seals::check(fd, len, expect)?;
        let shared = Place::new(fd, 0, len, ProtFlags::READ, MapFlags::SHARED);
        let place = match shared {
            // Before Linux 6.7 a write-sealed file cannot be mapped shared by a descriptor that
            // could write. Private shows the same pages: nobody will ever write either.
            Err(error) if expect == Expect::Sealed && is_perm(&error) => {
                Place::new(fd, 0, len, ProtFlags::READ, MapFlags::PRIVATE)?
            }
            other => other?,
        };
        Ok(Self { place, len, expect, file: None })
    }

    /// Keeps the descriptor that the mapping was made from.
    #[must_use]
    pub fn with_file(mut self, file: OwnedFd) -> Self {
        self.file = Some(file);
        self
    }

    /// The descriptor, if it was kept: byte 0 of the file is byte 0 of the mapping.
    #[must_use]
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// The first byte; `len` bytes from it stay mapped until `self` drops.
    #[must_use]
    pub fn as_ptr(&self) -> *const u8 {
        self.place.base().as_ptr()
    }

    /// The bytes mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: there is no mapping of nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes of a finished object. Of a segment take what the store published, by
    /// [`ReadMap::get`].
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        debug_assert_eq!(self.expect, Expect::Sealed, "the end of a segment may still be written");
        // SAFETY: `len` bytes stay mapped until `self` drops, the file was no shorter, and
        // F_SEAL_SHRINK keeps it so. F_SEAL_WRITE keeps the bytes from changing.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    /// The bytes at `offset`; `None` if they are not all mapped.
    ///
    /// Of a segment only ranges that the store published hold still: it appends, and never writes
    /// a published byte again.
    #[must_use]
    pub fn get(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        let len = usize::try_from(len).ok()?;
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: in bounds, as just checked, and mapped until `self` drops (see `as_slice`). What
        // is published in a segment is not written again (see `Segment::write`).
        unsafe { Some(std::slice::from_raw_parts(self.as_ptr().add(offset), len)) }
    }

    /// The word at `offset`, a multiple of 8, read with acquire order: everything that the store
    /// wrote before the [`Segment::publish`](super::Segment::publish) of this value is visible.
    #[must_use]
    pub fn load(&self, offset: u64) -> Option<u64> {
        let offset = usize::try_from(offset).ok()?;
        if !offset.is_multiple_of(8) || offset.checked_add(8)? > self.len {
            return None;
        }
        // SAFETY: aligned and in bounds, as just checked. Everyone touches such words atomically
        // only; a 64-bit atomic load writes nothing, so read-only pages will do.
        let word = unsafe { &*self.as_ptr().add(offset).cast::<AtomicU64>() };
        // Acquire: pairs with the release in `Segment::publish`.
        Some(word.load(Ordering::Acquire))
    }
}

impl AsRef<[u8]> for ReadMap {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

fn is_perm(error: &crate::error::Error) -> bool {
    use std::error::Error as _;
    error.source().and_then(|source| source.downcast_ref::<Errno>()) == Some(&Errno::PERM)
}
