//! Memory of the sort's own, for what is neither input nor output: zero at first, in huge pages
//! where the kernel has them, given back on drop.

use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use sheaf_store::{Error, Kind, Result};

/// The size of a huge page, which a mapping begins and ends with, in bytes.
const HUGE: usize = 2 << 20;

/// A mapping of zeros.
#[derive(Debug)]
pub(crate) struct Memory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory, owned by the value.
unsafe impl Send for Memory {}
// SAFETY: as above; shared, it gives out places only.
unsafe impl Sync for Memory {}

impl Memory {
    /// `bytes` bytes of zeros.
    ///
    /// # Errors
    /// [`Kind::Full`] when the kernel has no room for them.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let len =
            bytes.max(1).next_multiple_of(HUGE.min(bytes.max(1).next_power_of_two().max(4096)));
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
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; whoever had a place in it borrowed `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}
