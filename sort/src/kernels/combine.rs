//! Values scattered to buckets, each in its order, a cache line at a time.
//!
//! ```text
//! values ─▶ one line of 64 bytes a bucket ─ full ─▶ the bucket's place, past the cache
//! ```
//!
//! Written straight, a value to each of thousands of buckets costs a page walk and two transfers
//! of a line each. Gathered by lines in the cache, each line is written once, whole.
//! (Software write-combining: Wassenberg and Sanders, "Engineering a multi-core radix sort", 2011.)

use crate::target::Target;

const LINE: usize = 64;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; LINE]);

/// Where one run of a source's rows goes, bucket by bucket, in one lane.
pub(crate) struct Combiner {
    width: usize,
    /// Rows in a line.
    rows: usize,
    lines: Vec<Line>,
    /// Rows put into each bucket so far, counted from where its first line begins.
    fill: Vec<u32>,
    /// The row that each bucket's first line begins with.
    base: Vec<u64>,
    /// How many rows of the first line belong to somebody else.
    skip: Vec<u8>,
}

impl Combiner {
    /// A combiner of values of this width, of which those of bucket `b` go to the rows from
    /// `starts[b]` on.
    pub(crate) fn new(width: usize, starts: &[u64]) -> Self {
        let rows = LINE / width;
        let mask = rows as u64 - 1;
        Self {
            width,
            rows,
            lines: vec![Line([0; LINE]); starts.len()],
            fill: starts.iter().map(|start| (start & mask) as u32).collect(),
            base: starts.iter().map(|start| start & !mask).collect(),
            skip: starts.iter().map(|start| (start & mask) as u8).collect(),
        }
    }

    /// Sends `values`, one per bucket id.
    ///
    /// # Panics
    /// If an id is no bucket's, or values and ids don't agree in number.
    ///
    /// # Safety
    /// The rows that follow each bucket's start in `target`, as many as are sent there, must be
    /// writable, and nobody else's meanwhile.
    pub(crate) unsafe fn send(&mut self, ids: &[u16], values: &[u8], target: &Target) {
        assert_eq!(values.len(), ids.len() * self.width, "one value an id");
        let most = ids.iter().copied().max().map_or(0, |id| usize::from(id) + 1);
        assert!(most <= self.lines.len(), "ids are those of buckets");
        // SAFETY: ids are in bounds, values as many as ids; the target is the caller's promise.
        unsafe {
            match self.width {
                1 => self.each::<u8>(ids, values, target),
                2 => self.each::<u16>(ids, values, target),
                4 => self.each::<u32>(ids, values, target),
                8 => self.each::<u64>(ids, values, target),
                16 => self.each::<u128>(ids, values, target),
                32 => self.each::<[u128; 2]>(ids, values, target),
                64 => self.each::<[u128; 4]>(ids, values, target),
                other => unreachable!("no lane is {other} bytes wide"),
            }
        }
    }

    /// # Safety
    /// As [`send`](Self::send), ids in bounds, values as many as ids.
    unsafe fn each<T: Copy>(&mut self, ids: &[u16], values: &[u8], target: &Target) {
        let per_line = const { (LINE / size_of::<T>()) as u32 };
        let values = values.as_ptr().cast::<T>();
        let lines = self.lines.as_mut_ptr();
        let fill = self.fill.as_mut_ptr();
        for (at, id) in ids.iter().enumerate() {
            let bucket = usize::from(*id);
            // SAFETY: `bucket` and `at` are in bounds; a slot is below the rows of a line.
            let slot = unsafe {
                let filled = *fill.add(bucket);
                *fill.add(bucket) = filled + 1;
                let slot = filled & (per_line - 1);
                let value = values.add(at).read_unaligned();
                lines.add(bucket).cast::<T>().add(slot as usize).write(value);
                slot
            };
            if slot == per_line - 1 {
                // SAFETY: the line is full, and its rows are this bucket's.
                unsafe { self.flush(bucket, target) };
            }
        }
    }

    /// Writes the line that became full.
    ///
    /// # Safety
    /// As [`send`](Self::send).
    #[inline]
    unsafe fn flush(&self, bucket: usize, target: &Target) {
        let first = self.fill[bucket] as usize - self.rows;
        if first == 0 && self.skip[bucket] > 0 {
            // SAFETY: the rows from `skip` on are this bucket's.
            unsafe { self.write(bucket, 0, usize::from(self.skip[bucket])..self.rows, target) };
            return;
        }
        let place = target.row(self.base[bucket] + first as u64);
        // SAFETY: the whole line's rows are this bucket's, and lines never straddle a batch.
        unsafe { target.write_line(place, &self.lines[bucket].0) };
    }

    /// Writes some rows of a bucket's line.
    ///
    /// # Safety
    /// As [`send`](Self::send).
    unsafe fn write(
        &self,
        bucket: usize,
        first: usize,
        rows: std::ops::Range<usize>,
        target: &Target,
    ) {
        let bytes = &self.lines[bucket].0[rows.start * self.width..rows.end * self.width];
        let place = target.row(self.base[bucket] + (first + rows.start) as u64);
        // SAFETY: the rows are this bucket's, and lie in one batch as their line does.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
    }

    /// Writes what is left in the lines.
    ///
    /// # Safety
    /// As [`send`](Self::send).
    pub(crate) unsafe fn finish(self, target: &Target) {
        for bucket in 0..self.lines.len() {
            let filled = self.fill[bucket] as usize;
            let rest = filled % self.rows;
            let first = filled - rest;
            let skip = if first == 0 { usize::from(self.skip[bucket]) } else { 0 };
            if rest > skip {
                // SAFETY: these rows are this bucket's.
                unsafe { self.write(bucket, first, skip..rest, target) };
            }
        }
        target.fence();
    }
}
