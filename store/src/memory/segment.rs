//! A segment: where small objects lie, side by side, written by the store alone.
//!
//! The one writable mapping is made first; then `F_SEAL_FUTURE_WRITE` keeps everyone, the store
//! included, from ever making another.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result, human_bytes};

use super::place::Place;
use super::{Memfd, Probe, fill, seals};

/// A container that the store appends to while others read what is in it already.
#[derive(Debug)]
pub struct Segment {
    memfd: Memfd,
    place: Place,
    allocated: u64,
}

impl Segment {
    /// Creates an empty segment of `capacity` bytes, not yet backed by memory.
    ///
    /// # Errors
    /// As [`Memfd::create`].
    pub fn create(capacity: u64) -> Result<Self> {
        let memfd = Memfd::create("sheaf-segment", capacity)?;
        let len = usize::try_from(capacity)
            .map_err(|_| Error::new(Kind::Invalid, "a segment larger than the address space"))?;
        let place = Place::writable(memfd.as_fd(), 0, len)?;
        seals::seal_segment(&memfd)?;
        Ok(Self { memfd, place, allocated: 0 })
    }

    /// The bytes it can hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.memfd.bytes()
    }

    /// The bytes backed by memory, from the start on.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Backs the bytes up to `upto` with memory, in huge pages as far as they are whole.
    ///
    /// # Errors
    /// [`Kind::Full`] past the capacity, or if the machine is out of memory.
    pub fn allocate(&mut self, upto: u64) -> Result<()> {
        if upto <= self.allocated {
            return Ok(());
        }
        let capacity = self.capacity();
        if upto > capacity {
            let (wants, has) = (human_bytes(upto), human_bytes(capacity));
            return Err(Error::new(Kind::Full, format!("a segment of {has} cannot hold {wants}")));
        }
        let from = self.allocated;
        match fill::fill(&self.place, from as usize, upto as usize, Probe::get()) {
            // The seals allow this: it changes neither bytes nor length.
            Err(Errno::OPNOTSUPP) => {
                fallocate(&self.memfd, FallocateFlags::KEEP_SIZE, from, upto - from)
            }
            other => other,
        }
        .map_err(|errno| match errno {
            Errno::FAULT => Error::os("backing a segment", Errno::NOMEM),
            _ => Error::os("backing a segment", errno),
        })?;
        self.allocated = upto;
        Ok(())
    }

    /// Writes the parts one after the other from `offset` on.
    ///
    /// Readers may look at anything that was published: never write there again.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for bytes that [`Segment::allocate`] has not backed.
    pub fn write(&mut self, offset: u64, parts: &[&[u8]]) -> Result<()> {
        let len = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.len() as u64));
        let end = len.and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| end > self.allocated) {
            return Err(self.outside(offset));
        }
        let mut at = offset as usize;
        for part in parts {
            // SAFETY: `at + part.len()` is at most `allocated`, which is at most the mapping's
            // length. The source is a slice and so no part of this segment: `&mut self` excludes
            // those. Readers elsewhere do not look at unpublished bytes.
            unsafe {
                let to = self.place.base().add(at).as_ptr();
                std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
            }
            at += part.len();
        }
        Ok(())
    }

    /// Stores a word at `offset`, a multiple of 8, with release order: who reads it by
    /// [`ReadMap::load`](super::ReadMap::load) sees everything written before.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for bytes that [`Segment::allocate`] has not backed.
    pub fn publish(&self, offset: u64, word: u64) -> Result<()> {
        let end = offset.checked_add(8);
        if !offset.is_multiple_of(8) || end.is_none_or(|end| end > self.allocated) {
            return Err(self.outside(offset));
        }
        // SAFETY: aligned and backed, as just checked; such words are only touched atomically.
        let place =
            unsafe { &*self.place.base().add(offset as usize).as_ptr().cast::<AtomicU64>() };
        // Release: pairs with the acquire in `ReadMap::load`.
        place.store(word, Ordering::Release);
        Ok(())
    }

    /// The bytes at `offset`; `None` if they are not all backed.
    #[must_use]
    pub fn read(&self, offset: u64, len: u64) -> Option<&[u8]> {
        if offset.checked_add(len)? > self.allocated {
            return None;
        }
        // SAFETY: within the mapping, which lives as long as `self`; `write` needs `&mut self`.
        unsafe {
            let from = self.place.base().add(offset as usize).as_ptr();
            Some(std::slice::from_raw_parts(from, len as usize))
        }
    }

    /// A read-only description for a reader: close it once it is sent.
    ///
    /// # Errors
    /// As [`Memfd::reopen_read`].
    pub fn reopen_read(&self) -> Result<OwnedFd> {
        self.memfd.reopen_read()
    }

    /// Whether any reader holds it: see [`Memfd::is_held`].
    #[must_use]
    pub fn is_held(&self) -> Option<bool> {
        self.memfd.is_held()
    }

    fn outside(&self, offset: u64) -> Error {
        let backed = human_bytes(self.allocated);
        Error::new(Kind::Invalid, format!("a write at {offset}: the segment has {backed} backed"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MIB, pattern};
    use super::super::{Expect, ReadMap, WriteMap};
    use super::*;

    #[test]
    fn a_reader_that_mapped_early_sees_what_is_published_later() {
        let mut segment = Segment::create(8 * MIB).unwrap();
        let reader = segment.reopen_read().unwrap();
        let map = ReadMap::new(reader.as_fd(), 8 << 20, Expect::Segment).unwrap();
        segment.allocate(3 * MIB).unwrap();
        assert_eq!(map.load(0), Some(0));

        segment.write(64, &[b"header", b"", &pattern(2 * MIB)]).unwrap();
        segment.publish(0, 1).unwrap();

        assert_eq!(map.load(0), Some(1));
        assert_eq!(map.get(64, 6), Some(&b"header"[..]));
        assert!(map.get(70, 2 * MIB).unwrap() == pattern(2 * MIB));
        assert_eq!(map.get(64, 6), segment.read(64, 6));
    }

    #[test]
    fn nobody_can_make_another_writable_map() {
        let segment = Segment::create(MIB).unwrap();

        assert!(WriteMap::new(segment.memfd.reopen_write().unwrap(), 4096).is_err());
        assert_eq!(rustix::io::pwrite(&segment.memfd, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&segment.memfd, 1), Err(Errno::PERM));
    }

    #[test]
    fn memory_is_taken_in_steps_and_is_resident() {
        let mut segment = Segment::create(8 * MIB).unwrap();
        assert_eq!(segment.memfd.resident_bytes().unwrap(), 0);

        for upto in [4096, 5000, MIB, 3 * MIB, 2 * MIB, 8 * MIB] {
            segment.allocate(upto).unwrap();

            assert!(segment.memfd.resident_bytes().unwrap() >= upto);
        }
        assert_eq!(segment.allocated(), 8 * MIB);
    }

    #[test]
    fn nothing_outside_the_backed_bytes_is_read_or_written() {
        let mut segment = Segment::create(MIB).unwrap();
        segment.allocate(4096).unwrap();

        for offset in [4090, 4096, MIB, u64::MAX] {
            assert!(segment.write(offset, &[b"too long"]).is_err());
            assert!(segment.publish(offset & !7, 1).is_err() || offset == 4090);
            assert_eq!(segment.read(offset, 8), None);
        }
        assert!(segment.publish(4, 1).is_err());
        assert_eq!(segment.allocate(MIB + 1).unwrap_err().kind(), Kind::Full);
        assert_eq!(segment.write(4096, &[]).ok(), Some(()));
    }
}
