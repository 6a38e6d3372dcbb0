//! The daemon's heap: buffers that come and go are kept.
//!
//! What arrives by Flight passes large buffers, and glibc gives those back to the kernel as soon as
//! they are free: every frame then costs the kernel fresh pages, and the processor faults. That was
//! a third of a put. (Uploads of 268 MB, batches of 1M rows, one stream: 0.9 GB/s and 1.2 s of CPU
//! a GB before, 1.6 GB/s and 0.65 s after; a pyarrow server beside it 1.1 and 1.0.)

/// Blocks from this size on are mapped one by one, in bytes.
const MAPPED_BYTES: libc::c_int = 32 << 20;

/// What an arena keeps free, in bytes.
const KEPT_BYTES: libc::c_int = 32 << 20;

/// How many arenas there are for all threads: so many times as much may be kept.
const ARENAS: libc::c_int = 4;

/// Has the allocator keep what is freed, up to a bound.
pub(crate) fn keep_buffers() {
    let settings = [
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES),
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
        (libc::M_ARENA_MAX, ARENAS),
    ];
    for (setting, value) in settings {
        // SAFETY: it sets a number of the allocator's, under its lock; one that it does not know
        // changes nothing.
        unsafe { libc::mallopt(setting, value) };
    }
}
