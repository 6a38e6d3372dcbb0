//! Values scattered to buckets, each in its order, a cache line at a time.
//!
//! ```text
//! values ─▶ a line of 128 bytes a bucket and lane ─ full ─▶ the bucket's place, past the cache
//! ```
//!
//! Written straight, a value to each of thousands of buckets costs a page walk and two transfers
//! of a line each. Gathered by lines in the cache, each line is written once, whole. (A line here
//! is two of the processor's: memory takes neighbours faster than strangers.)
//! (Software write-combining: Wassenberg and Sanders, "Engineering a multi-core radix sort", 2011.)
//!
//! Lanes of one width go in pairs: both values of a row are put beside each other, and taken apart
//! when the lines are written. That is one line to fetch a row where it would be two.

use std::ops::Range;

use self::store::Store;
#[cfg(target_arch = "x86_64")]
use super::wide::has_avx512;
use crate::target::Target;

/// Bytes in a line.
const LINE: usize = 128;

/// Bytes that a line begins at a multiple of, and that are stored at once.
#[cfg(target_arch = "x86_64")]
const ALIGNED: usize = 64;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; LINE]);

/// Where one run of a source's rows goes, bucket by bucket, in `N` lanes of one width.
pub(crate) struct Combiner<const N: usize> {
    width: usize,
    /// For each bucket as many lines as lanes: rows, of a value for each lane.
    lines: Vec<Line>,
    /// Rows put into each bucket so far, counted from where its first line begins.
    fill: Vec<u32>,
    /// The row that each bucket's first line begins with.
    base: Vec<u64>,
    /// How many rows of the first line belong to somebody else.
    skip: Vec<u8>,
}

/// Calls a method for the type of a lane's values.
macro_rules! for_width {
    ($self:ident.$method:ident $(::<$store:ty>)? ($($argument:expr),*)) => {
        match $self.width {
            1 => $self.$method::<$($store,)? u8>($($argument),*),
            2 => $self.$method::<$($store,)? u16>($($argument),*),
            4 => $self.$method::<$($store,)? u32>($($argument),*),
            8 => $self.$method::<$($store,)? u64>($($argument),*),
            16 => $self.$method::<$($store,)? u128>($($argument),*),
            32 => $self.$method::<$($store,)? [u128; 2]>($($argument),*),
            64 => $self.$method::<$($store,)? [u128; 4]>($($argument),*),
            other => unreachable!("no lane is {other} bytes wide"),
        }
    };
}

impl<const N: usize> Combiner<N> {
    /// A combiner of values of this width, of which those of bucket `b` go to the rows from
    /// `starts[b]` on.
    pub(crate) fn new(width: usize, starts: &[u64]) -> Self {
        let mask = (LINE / width) as u64 - 1;
        Self {
            width,
            lines: vec![Line([0; LINE]); starts.len() * N],
            fill: starts.iter().map(|start| (start & mask) as u32).collect(),
            base: starts.iter().map(|start| start & !mask).collect(),
            skip: starts.iter().map(|start| (start & mask) as u8).collect(),
        }
    }

    /// Sends the lanes' values, one per bucket id.
    ///
    /// # Panics
    /// If an id is no bucket's, or values and ids don't agree in number.
    ///
    /// # Safety
    /// The rows that follow each bucket's start in the targets, as many as are sent there, must be
    /// writable, and nobody else's meanwhile.
    pub(crate) unsafe fn send(&mut self, ids: &[u16], values: [&[u8]; N], targets: [&Target; N]) {
        assert!(values.iter().all(|v| v.len() == ids.len() * self.width), "one value an id");
        let most = ids.iter().copied().max().map_or(0, |id| usize::from(id) + 1);
        assert!(most <= self.fill.len(), "ids are those of buckets");
        // SAFETY: ids are in bounds, values as many as ids; the targets are the caller's promise.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if targets.iter().all(|target| target.is_streamed()) {
                if has_avx512() {
                    return self.send_by_512(ids, values, targets);
                }
                return self.send_by::<store::Streamed128>(ids, values, targets);
            }
            self.send_by::<store::Cached>(ids, values, targets);
        }
    }

    /// # Safety
    /// As [`send_by`](Self::send_by), and the processor has AVX-512.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi2")]
    unsafe fn send_by_512(&mut self, ids: &[u16], values: [&[u8]; N], targets: [&Target; N]) {
        // SAFETY: the caller's promise.
        unsafe { self.send_by::<store::Streamed512>(ids, values, targets) };
    }

    /// # Safety
    /// As [`send`](Self::send), ids in bounds, values as many as ids, and the processor has what
    /// `S` needs.
    #[inline(always)]
    unsafe fn send_by<S: Store>(&mut self, ids: &[u16], values: [&[u8]; N], targets: [&Target; N]) {
        // SAFETY: the caller's promise.
        unsafe { for_width!(self.each::<S>(ids, values, targets)) }
    }

    /// # Safety
    /// As [`send_by`](Self::send_by).
    #[inline(always)]
    unsafe fn each<S: Store, T: Copy>(
        &mut self,
        ids: &[u16],
        values: [&[u8]; N],
        targets: [&Target; N],
    ) {
        let per_line = const { (LINE / size_of::<T>()) as u32 };
        let values = values.map(|values| values.as_ptr().cast::<T>());
        let lines = self.lines.as_mut_ptr();
        let fill = self.fill.as_mut_ptr();
        for (at, id) in ids.iter().enumerate() {
            let bucket = usize::from(*id);
            // SAFETY: `bucket` and `at` are in bounds; a slot is below the rows of a line.
            let slot = unsafe {
                let filled = *fill.add(bucket);
                *fill.add(bucket) = filled + 1;
                let slot = filled & (per_line - 1);
                let row = values.map(|values| values.add(at).read_unaligned());
                lines.add(bucket * N).cast::<[T; N]>().add(slot as usize).write(row);
                slot
            };
            if slot == per_line - 1 {
                // SAFETY: the lines are full, and their rows are this bucket's.
                unsafe { self.flush::<S, T>(bucket, targets) };
            }
        }
    }

    /// Writes the lines that became full.
    ///
    /// # Safety
    /// As [`send_by`](Self::send_by).
    #[inline(always)]
    unsafe fn flush<S: Store, T: Copy>(&self, bucket: usize, targets: [&Target; N]) {
        let rows = const { LINE / size_of::<T>() };
        let first = self.fill[bucket] as usize - rows;
        if first == 0 && self.skip[bucket] > 0 {
            let skip = usize::from(self.skip[bucket]);
            // SAFETY: the rows from `skip` on are this bucket's.
            unsafe { self.write::<T>(bucket, 0, skip..rows, targets) };
            return;
        }
        let row = self.base[bucket] + first as u64;
        let filled = self.lines[bucket * N..].as_ptr().cast::<T>();
        for (lane, target) in targets.iter().enumerate() {
            let mut line = Line([0; LINE]);
            let apart = line.0.as_mut_ptr().cast::<T>();
            for at in 0..rows {
                // SAFETY: the bucket has `N` lines, of as many rows as a line has values.
                unsafe { apart.add(at).write(filled.add(at * N + lane).read()) };
            }
            // SAFETY: the whole line's rows are this bucket's, and lines never straddle a batch.
            unsafe { S::store(&line, target.row(row)) };
        }
    }

    /// Writes some rows of a bucket's lines, one by one.
    ///
    /// # Safety
    /// As [`send`](Self::send).
    #[cold]
    unsafe fn write<T: Copy>(
        &self,
        bucket: usize,
        first: usize,
        rows: Range<usize>,
        targets: [&Target; N],
    ) {
        let filled = self.lines[bucket * N..].as_ptr().cast::<T>();
        for at in rows {
            let row = self.base[bucket] + (first + at) as u64;
            for (lane, target) in targets.iter().enumerate() {
                // SAFETY: the bucket has `N` lines; the row is this bucket's.
                unsafe {
                    let value = filled.add(at * N + lane).read();
                    target.row(row).cast::<T>().write_unaligned(value);
                }
            }
        }
    }

    /// Writes what is left in the lines.
    ///
    /// # Safety
    /// As [`send`](Self::send).
    pub(crate) unsafe fn finish(self, targets: [&Target; N]) {
        // SAFETY: the caller's promise.
        unsafe { for_width!(self.write_rest(targets)) };
        targets.iter().for_each(|target| target.fence());
    }

    /// # Safety
    /// As [`send`](Self::send).
    unsafe fn write_rest<T: Copy>(&self, targets: [&Target; N]) {
        let rows = LINE / size_of::<T>();
        for bucket in 0..self.fill.len() {
            let filled = self.fill[bucket] as usize;
            let rest = filled % rows;
            let first = filled - rest;
            let skip = if first == 0 { usize::from(self.skip[bucket]) } else { 0 };
            if rest > skip {
                // SAFETY: these rows are this bucket's.
                unsafe { self.write::<T>(bucket, first, skip..rest, targets) };
            }
        }
    }
}

/// How a line is written.
mod store {
    #[cfg(target_arch = "x86_64")]
    use super::ALIGNED;
    use super::{LINE, Line};

    /// Writes a line.
    pub(super) trait Store {
        /// # Safety
        /// The place must be writable and nobody else's, at a multiple of 64 bytes if the line is
        /// streamed, and the processor must have the instruction.
        unsafe fn store(line: &Line, place: *mut u8);
    }

    /// Through the cache.
    pub(super) struct Cached;

    impl Store for Cached {
        #[inline(always)]
        unsafe fn store(line: &Line, place: *mut u8) {
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(line.0.as_ptr(), place, LINE) };
        }
    }

    /// Past it, by 16 bytes.
    #[cfg(target_arch = "x86_64")]
    pub(super) struct Streamed128;

    #[cfg(target_arch = "x86_64")]
    impl Store for Streamed128 {
        #[inline(always)]
        unsafe fn store(line: &Line, place: *mut u8) {
            use std::arch::x86_64::{__m128i, _mm_load_si128, _mm_stream_si128};
            let (from, to) = (line.0.as_ptr().cast::<__m128i>(), place.cast::<__m128i>());
            for part in 0..LINE / 16 {
                // SAFETY: the caller's promise; lines are aligned.
                unsafe { _mm_stream_si128(to.add(part), _mm_load_si128(from.add(part))) };
            }
        }
    }

    /// Past it, by 64 bytes.
    #[cfg(target_arch = "x86_64")]
    pub(super) struct Streamed512;

    #[cfg(target_arch = "x86_64")]
    impl Store for Streamed512 {
        #[inline(always)]
        unsafe fn store(line: &Line, place: *mut u8) {
            use std::arch::x86_64::{__m512i, _mm512_load_si512, _mm512_stream_si512};
            let (from, to) = (line.0.as_ptr().cast::<__m512i>(), place.cast::<__m512i>());
            for part in 0..LINE / ALIGNED {
                // SAFETY: the caller's promise; lines are aligned.
                unsafe { _mm512_stream_si512(to.add(part), _mm512_load_si512(from.add(part))) };
            }
        }
    }
}
