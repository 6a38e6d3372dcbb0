//! Where a lane's rows go: the output's memory, batch by batch, or memory of the sort's own.
//!
//! A row's place follows from its number alone. Batches have a power of two of rows, and their
//! columns begin at multiples of 64 bytes, so that no line of a combiner straddles two of them.

use std::ops::Range;

/// Rows in a batch that is all there is, as a power of two.
pub(crate) const WHOLE: u32 = 62;

/// Places of values of one width, by row.
pub(crate) struct Target {
    bases: Vec<*mut u8>,
    /// Rows in a batch, as a power of two.
    shift: u32,
    width: usize,
    /// Whether lines go past the cache, straight to memory.
    streamed: bool,
}

// SAFETY: a target is a list of places. Who writes there promises that nobody else does.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The place of all rows, in one piece.
    pub(crate) fn one(base: *mut u8, width: usize, streamed: bool) -> Self {
        Self::many(vec![base], WHOLE, width, streamed)
    }

    /// The places of batches of `2^shift` rows each.
    pub(crate) fn many(bases: Vec<*mut u8>, shift: u32, width: usize, streamed: bool) -> Self {
        let aligned = bases.iter().all(|base| base.addr().is_multiple_of(64));
        Self { bases, shift, width, streamed: streamed && aligned }
    }

    /// Bytes in a value.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Where a row's value goes.
    pub(crate) fn row(&self, row: u64) -> *mut u8 {
        let base = self.bases[(row >> self.shift) as usize];
        let within = (row & ((1 << self.shift) - 1)) as usize;
        base.wrapping_add(within * self.width)
    }

    /// The places of a range of rows, with how many rows each has.
    pub(crate) fn pieces(&self, rows: Range<u64>) -> impl Iterator<Item = (*mut u8, usize)> {
        let mut start = rows.start;
        std::iter::from_fn(move || {
            if start >= rows.end {
                return None;
            }
            let end = rows.end.min(((start >> self.shift) + 1) << self.shift);
            let piece = (self.row(start), (end - start) as usize);
            start = end;
            Some(piece)
        })
    }

    /// Whether lines are to go past the cache, straight to memory.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// Makes streamed lines visible to other threads before what this one does next.
    pub(crate) fn fence(&self) {
        #[cfg(target_arch = "x86_64")]
        if self.streamed {
            // SAFETY: every processor of this architecture has SSE.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }

    /// Reads the values of a range of rows.
    ///
    /// # Safety
    /// The rows must have been written, and nobody may write them meanwhile.
    pub(crate) unsafe fn read(&self, rows: Range<u64>, into: &mut Vec<u8>) {
        into.clear();
        into.reserve((rows.end - rows.start) as usize * self.width);
        for (place, count) in self.pieces(rows) {
            // SAFETY: the caller's promise.
            into.extend_from_slice(unsafe {
                std::slice::from_raw_parts(place, count * self.width)
            });
        }
    }
}
