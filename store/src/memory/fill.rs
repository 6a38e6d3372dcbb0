//! Backs pages of a mapping with zeroed memory, in huge pages where the machine can.
//!
//! Nothing here touches memory itself. While a draft has a writer, that writer can shrink the file
//! under us, and a touch would then kill the store with SIGBUS; `madvise` returns an error.

use rustix::io::Errno;
use rustix::mm::{Advice, madvise};

use super::place::Place;
use super::{HUGE_PAGE_BYTES, Probe};

const HUGE: usize = HUGE_PAGE_BYTES as usize;

/// Neither rustix nor older headers know it (Linux 6.1).
const MADV_COLLAPSE: i32 = 25;

/// Backs bytes `[from, to)` of the mapping. What is backed already keeps its bytes.
///
/// `Errno::OPNOTSUPP` means that this kernel can only do it through the file, by `fallocate`.
pub(super) fn fill(place: &Place, from: usize, to: usize, probe: &Probe) -> Result<(), Errno> {
    if !probe.populate {
        return Err(Errno::OPNOTSUPP);
    }
    if probe.faults_huge {
        // The kernel takes huge pages by itself; `advise` wants to be asked.
        let _ = advise(place, from, to, Advice::LinuxHugepage);
        return populate(place, from, to);
    }
    let (head, tail) = (from.next_multiple_of(HUGE).min(to), huge_end(to, place.span()));
    if !probe.collapse || head >= tail {
        return populate(place, from, to);
    }
    populate(place, from, head)?;
    if !collapses(place, head, tail) {
        // No huge page is free just now, or the group's limit is near: small ones do too.
        populate(place, head, tail.min(to))?;
    }
    populate(place, tail.min(to), to)
}

/// Where huge pages end: past `to`, if at least half of the last one is wanted. Small pages for
/// 1 MiB take 530 µs and a huge page 200 µs, so at most 1 MiB is spent to save that time, and the
/// readers' faults.
fn huge_end(to: usize, span: usize) -> usize {
    let end = if to % HUGE < HUGE / 2 { to - to % HUGE } else { to.next_multiple_of(HUGE) };
    if end > span { to - to % HUGE } else { end }
}

/// Backs pages for writing, and enters them in our page tables.
pub(super) fn populate(place: &Place, from: usize, to: usize) -> Result<(), Errno> {
    advise(place, from, to, Advice::LinuxPopulateWrite)
}

/// Whether huge pages can be made of `[from, to)`.
pub(super) fn collapses(place: &Place, from: usize, to: usize) -> bool {
    seed(place, from, to).and_then(|()| collapse(place, from, to)).is_ok()
}

/// One small page per huge one: an empty range cannot be collapsed.
fn seed(place: &Place, from: usize, to: usize) -> Result<(), Errno> {
    let page = rustix::param::page_size();
    (from..to).step_by(HUGE).try_for_each(|at| populate(place, at, at + page))
}

fn collapse(place: &Place, from: usize, to: usize) -> Result<(), Errno> {
    if from >= to || to > place.span() {
        return Ok(());
    }
    // SAFETY: the range lies within the mapping. Collapsing moves bytes between physical pages and
    // changes none.
    let done =
        unsafe { libc::madvise(place.base().add(from).as_ptr().cast(), to - from, MADV_COLLAPSE) };
    if done == 0 {
        return Ok(());
    }
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(code))
}

/// Advice that changes no byte, on the whole pages around `[from, to)`.
pub(super) fn advise(place: &Place, from: usize, to: usize, advice: Advice) -> Result<(), Errno> {
    let page = rustix::param::page_size();
    let (from, to) = (from - from % page, to.next_multiple_of(page).min(place.span()));
    if from >= to {
        return Ok(());
    }
    loop {
        // SAFETY: the range lies within the mapping, and the callers in this module's parent pass
        // only advice that changes no byte.
        let done = unsafe { madvise(place.base().add(from).as_ptr().cast(), to - from, advice) };
        if done != Err(Errno::INTR) {
            return done;
        }
    }
}
