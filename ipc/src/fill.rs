//! Writing into memory that is initialised already, such as a mapping.

use std::mem::MaybeUninit;

use crate::copy::{self, Way};
use crate::{Part, Plan};

impl Plan {
    /// As [`Plan::write`], into initialised memory.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn fill(&self, target: &mut [u8], threads: usize) {
        self.write(as_uninit(target), threads);
    }
}

impl Part {
    /// As [`Part::write`], into initialised memory.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn fill(&self, target: &mut [u8]) {
        self.write(as_uninit(target));
    }
}

/// Private to this file, whose callers write initialised bytes and nothing else.
fn as_uninit(target: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let len = target.len();
    // SAFETY: both have the same layout, and whoever gets the slice writes every byte of it with an
    // initialised one (`Part::write`, `Plan::write`, `copy`), so `target` never holds another kind.
    unsafe { std::slice::from_raw_parts_mut(target.as_mut_ptr().cast(), len) }
}

/// Copies `source` into `target`, shared by up to `threads` threads when it is worth it.
///
/// # Panics
/// If they are not of one length.
pub fn copy_bytes(source: &[u8], target: &mut [u8], threads: usize) {
    assert_eq!(source.len(), target.len(), "source and target are of one length");
    let share = source.len().div_ceil(threads.max(1)).max(LEAST_SHARE).next_multiple_of(64);
    let way = Way::of(source.len());
    if share >= source.len() {
        copy::copy(source, as_uninit(target), way);
        return;
    }
    std::thread::scope(|scope| {
        for (from, to) in source.chunks(share).zip(target.chunks_mut(share)) {
            scope.spawn(move || copy::copy(from, as_uninit(to), way));
        }
    });
}

/// Copies a piece of something large: past the cache, where that is worth it.
///
/// # Panics
/// If they are not of one length.
pub fn copy_through(source: &[u8], target: &mut [u8]) {
    copy::copy(source, as_uninit(target), Way::Streamed);
}

/// Less than this is copied sooner than a thread starts, in bytes.
const LEAST_SHARE: usize = 4 << 20;
