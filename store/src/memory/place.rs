//! A mapping of a file at an address that huge pages can be mapped at.
//!
//! The kernel maps a huge page as one only if address and offset agree modulo 2 MiB, which it
//! does not arrange for by itself where huge shared memory is off. So: ask for an aligned address
//! far from everybody else's, which is one call; where that is taken, reserve, then map over the
//! reservation, which is four and twice as slow. Nothing here knows who may write what.

use std::hash::{BuildHasher, RandomState};
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, mmap, mmap_anonymous, mremap, munmap};

use crate::error::{Error, Kind, Result, human_bytes};

use super::{HUGE_PAGE_BYTES, fill};
use crate::fork;

const HUGE: usize = HUGE_PAGE_BYTES as usize;

/// Access of a writer.
pub(super) const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// Pages of a file in our address space, unmapped on drop.
#[derive(Debug)]
pub(super) struct Place {
    base: NonNull<u8>,
    /// Whole pages; whole huge pages if one fits the purpose.
    span: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; what may be read or written through
// it is the business of the types that own a `Place`.
unsafe impl Send for Place {}
// SAFETY: as above; `Place` itself reads and writes nothing.
unsafe impl Sync for Place {}

impl Place {
    /// Maps `len` bytes from `offset`, a multiple of 2 MiB. The mapping may end past `len` and
    /// past the file's end: a huge page across the end is mapped as one only if it is mapped whole.
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        offset: u64,
        len: usize,
        prot: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self> {
        debug_assert!(offset.is_multiple_of(HUGE_PAGE_BYTES));
        let span = span_of(len)?;
        if span < HUGE {
            // SAFETY: a null hint without MAP_FIXED can replace no other mapping.
            let base = unsafe { mmap(ptr::null_mut(), span, prot, flags, fd, offset) };
            return Self::wrap(base, span);
        }
        // SAFETY: a hint without MAP_FIXED can replace no other mapping.
        let base = unsafe { mmap(hint(span), span, prot, flags, fd, offset) };
        let place = Self::wrap(base, span)?;
        if place.is_aligned() {
            return Ok(place);
        }
        drop(place);
        let reserved = Self::reserve(span)?;
        // SAFETY: MAP_FIXED replaces pages of our own reservation only, which nobody else uses.
        let base = unsafe {
            mmap(reserved.base.as_ptr().cast(), span, prot, flags | MapFlags::FIXED, fd, offset)
        };
        let place = Self::wrap(base, span)?;
        std::mem::forget(reserved); // Its pages are `place` now.
        Ok(place)
    }

    fn is_aligned(&self) -> bool {
        self.base.as_ptr().addr().is_multiple_of(HUGE)
    }

    /// Maps for writing, shared. A forked child does not inherit it: it would keep the container
    /// from being sealed.
    pub(super) fn writable(fd: BorrowedFd<'_>, offset: u64, len: usize) -> Result<Self> {
        let _no_fork = fork::held_off();
        let place = Self::new(fd, offset, len, READ_WRITE, MapFlags::SHARED)?;
        fill::advise(&place, 0, place.span, Advice::LinuxDontFork)
            .map_err(|errno| Error::os("keeping a mapping from forked children", errno))?;
        Ok(place)
    }

    /// Address space of `span` bytes at a multiple of 2 MiB, backed by nothing.
    fn reserve(span: usize) -> Result<Self> {
        let wide = span.checked_add(HUGE).ok_or_else(|| too_long(span))?;
        // SAFETY: a null hint without MAP_FIXED can replace no other mapping.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                wide,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        let wide = Self::wrap(base, wide)?;
        let skip = wide.base.as_ptr().align_offset(HUGE);
        let (start, total) = (wide.base, wide.span);
        std::mem::forget(wide); // Taken apart here.
        // SAFETY: `skip < HUGE`, so both trimmings and what stays lie inside the reservation made
        // above, which nobody else knows of; multiples of a page all.
        unsafe {
            let base = start.add(skip);
            unmap(start, skip);
            unmap(base.add(span), total - skip - span);
            Ok(Self { base, span })
        }
    }

    fn wrap(base: rustix::io::Result<*mut std::ffi::c_void>, span: usize) -> Result<Self> {
        match base.map(|base| NonNull::new(base.cast::<u8>())) {
            Ok(Some(base)) => Ok(Self { base, span }),
            Ok(None) => Err(Error::new(Kind::Internal, "the kernel mapped memory at address 0")),
            Err(errno) => Err(map_error(span, errno)),
        }
    }

    /// The first byte.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The bytes mapped: whole pages.
    pub(super) fn span(&self) -> usize {
        self.span
    }

    /// Maps the same addresses anew.
    ///
    /// # Safety
    /// Nothing may rely on the old pages: no reference into them lives, or the new pages show the
    /// same bytes.
    pub(super) unsafe fn replace(
        self,
        fd: BorrowedFd<'_>,
        prot: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self> {
        let span = self.span;
        // SAFETY: MAP_FIXED replaces our own pages only; the caller answers for who looks at them.
        let base =
            unsafe { mmap(self.base.as_ptr().cast(), span, prot, flags | MapFlags::FIXED, fd, 0) };
        // On failure the kernel may have unmapped the addresses already, and another thread may
        // have got them: they must not be unmapped again. On success the new `Place` has them.
        std::mem::forget(self);
        Self::wrap(base, span)
    }

    /// Makes the mapping longer or shorter if that needs no move; says whether it did.
    ///
    /// # Safety
    /// Nothing may refer to bytes past the new end.
    pub(super) unsafe fn resize_in_place(&mut self, len: usize) -> Result<bool> {
        let span = span_of(len)?;
        let base = self.base.as_ptr();
        if span >= HUGE && !self.is_aligned() {
            return Ok(false);
        }
        if span != self.span {
            // SAFETY: the mapping is ours, and without MREMAP_MAYMOVE it stays where it is; the
            // caller answers for what is cut off.
            let resized = unsafe { mremap(base.cast(), self.span, span, MremapFlags::empty()) };
            if resized.is_err() {
                return Ok(false);
            }
            self.span = span;
        }
        Ok(true)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // SAFETY: the pages are ours, and whoever refers to them borrows from an owner of `self`.
        unsafe { unmap(self.base, self.span) };
    }
}

/// An aligned address at which `span` bytes are likely free; each is given once, so that pages
/// unmapped here are not soon another thread's. A hint that is no good costs a call to the kernel.
fn hint(span: usize) -> *mut std::ffi::c_void {
    /// Between what the kernel places from the bottom up and what from the top down, on machines
    /// with 47 bits of addresses; beyond what others have it is ignored.
    const LOW: usize = 1 << 44;
    const REACH: usize = 1 << 45;
    static START: OnceLock<usize> = OnceLock::new();
    static GIVEN: AtomicUsize = AtomicUsize::new(0);

    // Random, as the kernel's own choice is: who can write somewhere should not know where.
    let start = *START.get_or_init(|| RandomState::new().hash_one(0) as usize);
    let given = GIVEN.fetch_add(span, Ordering::Relaxed);
    let within = start.wrapping_add(given) % REACH / HUGE * HUGE;
    ptr::without_provenance_mut(LOW + within)
}

/// Unmaps `span` bytes; nothing if 0.
///
/// # Safety
/// The pages are the caller's own, and nothing refers to them any more.
unsafe fn unmap(base: NonNull<u8>, span: usize) {
    if span > 0 {
        // SAFETY: passed on to the caller. It fails only if splitting a mapping exceeds
        // vm.max_map_count; the pages then stay mapped, which is a leak and no danger.
        let _ = unsafe { munmap(base.as_ptr().cast(), span) };
    }
}

/// What a mapping of `len` bytes takes: whole pages, and whole huge pages from half a one on.
fn span_of(len: usize) -> Result<usize> {
    if len == 0 {
        return Err(Error::new(Kind::Invalid, "a mapping needs at least one byte"));
    }
    let unit = if len < HUGE / 2 { rustix::param::page_size() } else { HUGE };
    // Past isize::MAX no slice could cover it.
    len.checked_next_multiple_of(unit)
        .filter(|span| isize::try_from(*span).is_ok())
        .ok_or_else(|| too_long(len))
}

fn too_long(len: usize) -> Error {
    let asked = human_bytes(len as u64);
    Error::new(Kind::Invalid, format!("{asked} are more than can be mapped"))
}

fn map_error(span: usize, errno: Errno) -> Error {
    let asked = human_bytes(span as u64);
    match errno {
        Errno::NOMEM => Error::new(
            Kind::Full,
            format!("mapping {asked}: out of address space, memory or vm.max_map_count"),
        )
        .because(errno),
        _ => Error::os(format_args!("mapping {asked}"), errno),
    }
}
