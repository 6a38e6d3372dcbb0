//! One bucket, sorted while it lies in the cache.

use std::ops::Range;

use crate::engine::Sorter;
use crate::kernels::permute::permute;
use crate::order::Orderer;
use crate::ties::Ties;

/// Rows of a bucket of one code that are looked at in one go.
const PART: u64 = 32 << 10;

/// What a thread needs to sort a bucket.
pub(crate) struct Bucket {
    /// The bucket's rows as they were, lane by lane; empty if not read yet.
    lanes: Vec<Vec<u8>>,
    codes: Vec<u64>,
    order: Vec<u32>,
    orderer: Orderer,
    ties: Ties,
}

impl Bucket {
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            lanes: vec![Vec::new(); lanes],
            codes: Vec::new(),
            order: Vec::new(),
            orderer: Orderer::default(),
            ties: Ties::default(),
        }
    }

    /// Whether all rows of a bucket have equal keys. A bucket of one code may be as large as the
    /// table: it is looked at in parts, two of which have a row in common.
    ///
    /// # Safety
    /// As [`sort`](Self::sort).
    pub(crate) unsafe fn is_uniform(&mut self, sorter: &Sorter<'_>, rows: Range<u64>) -> bool {
        let mut start = rows.start;
        while start + 1 < rows.end {
            let part = start..rows.end.min(start + PART);
            self.lanes.iter_mut().for_each(Vec::clear);
            // SAFETY: the caller's promise.
            unsafe { self.read_keys(sorter, &part) };
            let lanes: Vec<&[u8]> = self.lanes.iter().map(Vec::as_slice).collect();
            let equal = |at: usize| sorter.keys.compare(sorter.lanes, &lanes, at - 1, at).is_eq();
            if !(1..(part.end - part.start) as usize).all(equal) {
                return false;
            }
            start = part.end - 1;
        }
        true
    }

    /// Sorts the rows of a bucket.
    ///
    /// # Safety
    /// The rows must have been written, and be nobody else's.
    pub(crate) unsafe fn sort(&mut self, sorter: &Sorter<'_>, rows: Range<u64>) {
        self.lanes.iter_mut().for_each(Vec::clear);
        // SAFETY: the caller's promise, here and below.
        unsafe { self.read_codes(sorter, &rows) };
        let mut ties = false;
        let sorted = self.codes.windows(2).all(|pair| {
            ties |= pair[0] == pair[1];
            pair[0] <= pair[1]
        });
        if sorted && (sorter.keys.exact() || !ties) {
            return;
        }
        self.orderer.order(&self.codes, &mut self.order);
        if !sorter.keys.exact() {
            // SAFETY: as above.
            unsafe { self.refine(sorter, &rows) };
        }
        for (at, target) in sorter.targets.iter().enumerate() {
            let lane = &mut self.lanes[at];
            // SAFETY: as above; the order is one of the bucket's rows.
            unsafe {
                if lane.is_empty() {
                    target.read(rows.clone(), lane);
                }
                let mut order = self.order.as_slice();
                for (place, count) in target.pieces(rows.clone()) {
                    let (here, rest) = order.split_at(count);
                    permute(target.width(), lane, here, place);
                    order = rest;
                }
            }
        }
    }

    /// Reads the codes that were kept, or makes them again.
    ///
    /// # Safety
    /// As [`sort`](Self::sort).
    unsafe fn read_codes(&mut self, sorter: &Sorter<'_>, rows: &Range<u64>) {
        self.codes.resize((rows.end - rows.start) as usize, 0);
        match sorter.codes() {
            Some(target) => {
                let mut codes = self.codes.as_mut_slice();
                for (place, count) in target.pieces(rows.clone()) {
                    let (here, rest) = codes.split_at_mut(count);
                    // SAFETY: the rows of the target have been written; a code is 8 bytes.
                    unsafe {
                        std::ptr::copy_nonoverlapping(
                            place,
                            here.as_mut_ptr().cast::<u8>(),
                            count * 8,
                        );
                    }
                    codes = rest;
                }
            }
            None => {
                // SAFETY: as in `sort`.
                unsafe { self.read_keys(sorter, rows) };
                let lanes: Vec<&[u8]> = self.lanes.iter().map(Vec::as_slice).collect();
                sorter.keys.encode(sorter.lanes, &lanes, &mut self.codes);
            }
        }
    }

    /// Reads the lanes that keys are made from.
    ///
    /// # Safety
    /// As [`sort`](Self::sort).
    unsafe fn read_keys(&mut self, sorter: &Sorter<'_>, rows: &Range<u64>) {
        for lane in sorter.keys.lanes() {
            if self.lanes[lane].is_empty() {
                // SAFETY: as in `sort`.
                unsafe { sorter.targets[lane].read(rows.clone(), &mut self.lanes[lane]) };
            }
        }
    }

    /// Compares the rows whose codes are equal.
    ///
    /// # Safety
    /// As [`sort`](Self::sort).
    unsafe fn refine(&mut self, sorter: &Sorter<'_>, rows: &Range<u64>) {
        let Self { codes, order, .. } = self;
        let tied = |pair: &[u32]| codes[pair[0] as usize] == codes[pair[1] as usize];
        if !order.windows(2).any(tied) {
            return;
        }
        // SAFETY: as in `sort`.
        unsafe { self.read_keys(sorter, rows) };
        let lanes: Vec<&[u8]> = self.lanes.iter().map(Vec::as_slice).collect();
        let codes = &self.codes;
        let same = |a: &u32, b: &u32| codes[*a as usize] == codes[*b as usize];
        let compare =
            |a: &u32, b: &u32| sorter.keys.compare(sorter.lanes, &lanes, *a as usize, *b as usize);
        let deciding = sorter.keys.deciding(sorter.lanes, &lanes);
        for tied in self.order.chunk_by_mut(same).filter(|tied| tied.len() > 1) {
            match &deciding {
                Some(deciding) => self.ties.sort(tied, deciding, compare),
                None => tied.sort_by(compare),
            }
        }
    }
}
