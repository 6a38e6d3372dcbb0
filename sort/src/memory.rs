//! Memory of the sort's own, for what is neither input nor output: zero at first, in huge pages
//! where the kernel has them, given back on drop.

use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use sheaf_ipc::ALIGNMENT;
use sheaf_store::{Error, Kind, Result};

/// Where memory comes from that is needed besides the output: spare bytes that somebody lent, and
/// when they are used up, mappings of its own.
#[derive(Debug, Default)]
pub(crate) struct Scratch<'a> {
    spare: &'a mut [u8],
    own: Vec<Memory>,
}

impl<'a> Scratch<'a> {
    /// Takes from `spare` first.
    pub(crate) fn new(spare: &'a mut [u8]) -> Self {
        Self { spare, own: Vec::new() }
    }

    /// What a piece takes, with what it takes to align it.
    pub(crate) fn padded(bytes: usize) -> usize {
        bytes + ALIGNMENT
    }

    /// A place for so many bytes, which lasts as long as this does. It begins at a multiple of
    /// [`ALIGNMENT`], and its bytes may be anything.
    ///
    /// # Errors
    /// [`Kind::Full`] when the kernel has no room for them.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<*mut u8> {
        let skip = self.spare.as_ptr().align_offset(ALIGNMENT);
        if let Some(end) = skip.checked_add(bytes)
            && end <= self.spare.len()
        {
            let (taken, rest) = std::mem::take(&mut self.spare).split_at_mut(end);
            self.spare = rest;
            return Ok(taken[skip..].as_mut_ptr());
        }
        let own = Memory::new(bytes)?;
        let place = own.as_ptr();
        self.own.push(own);
        Ok(place)
    }
}

/// A mapping of zeros.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is nobody's but its owner's, and any thread may give it back.
unsafe impl Send for Memory {}
// SAFETY: a shared reference gives no way to its bytes but a raw pointer.
unsafe impl Sync for Memory {}

impl Memory {
    /// `bytes` bytes of zeros.
    ///
    /// # Errors
    /// [`Kind::Full`] when the kernel has no room for them.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let len = bytes.max(1); // The kernel rounds it up to whole pages.
        let full = |error: rustix::io::Errno| {
            Error::new(Kind::Full, format!("the sort needs {bytes} bytes of its own: {error}"))
        };
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(full)?;
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| Error::new(Kind::Internal, "a mapping at address zero"))?;
        // SAFETY: the mapping just made. Advice: without huge pages it is slower, not wrong.
        let _ = unsafe { madvise(base.as_ptr().cast(), len, Advice::LinuxHugepage) };
        Ok(Self { base, len })
    }

    /// The first byte: a multiple of the page size.
    fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// All bytes.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `len` initialised bytes, and borrowed mutably through its owner.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }

    /// The bytes, as they are from now on.
    pub(crate) fn into_buffer(self) -> Buffer {
        let (base, len) = (self.base, self.len);
        // SAFETY: the mapping lasts as long as its owner, and nobody writes to it any more.
        unsafe { Buffer::from_custom_allocation(base, len, Arc::new(self)) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; whoever had a place in it borrowed `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
