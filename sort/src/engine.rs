//! The sort: count, scatter, sort.
//!
//! ```text
//!          codes                 bucket by bucket              within the cache
//! input ──────────▶ sample, counts ─────────────▶ every lane ──────────────────▶ every lane
//!         count                        scatter     in its final place    sort     in order
//! ```
//!
//! A lane is moved twice and read as often, whatever the number of rows: this is what makes it
//! faster than sorting indices and gathering by them. What is in order already, or in reverse, is
//! moved once.
//!
//! **Invariant:** rows are scattered in their order, and buckets sorted stably: rows of equal keys
//! stay in the order they came in.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_buffer::ToByteSlice;
use sheaf_store::Result;

use crate::bucket::Bucket;
use crate::kernels::combine::Combiner;
use crate::kernels::permute::permute;
use crate::keys::Keys;
use crate::lanes::{Lane, Staging};
use crate::map::Map;
use crate::memory::Scratch;
use crate::options::Stage;
use crate::source::{Run, Source};
use crate::target::Target;
use crate::workers::{Workers, pieces};

/// Rows of a bucket that fit the second-level cache, with all that is needed to order them.
const BUCKET: usize = 32 << 10;

/// The most buckets: their lines must stay in the cache too.
const BUCKETS: usize = 8 << 10;

/// Rows whose keys are encoded in one go.
const RUN: usize = 4096;

/// Rows of one lane scattered in one go.
const MORSEL: usize = 32 << 10;

/// The least rows that a thread is worth.
const PIECE: usize = 1 << 16;

/// Sampled codes for a bucket.
const SAMPLED: usize = 32;

/// Rows sampled side by side, as a line of the cache holds them.
const TOGETHER: usize = 8;

/// Outputs from here on, in bytes, go past the cache while they are scattered.
const STREAMED: usize = 32 << 20;

/// What is sorted, and where to.
pub(crate) struct Sorter<'a> {
    source: &'a Source,
    pub(crate) lanes: &'a [Lane],
    pub(crate) keys: &'a Keys,
    /// Where each lane goes.
    pub(crate) targets: &'a [Target],
    /// Where codes go that are kept.
    codes: Option<Kept>,
    /// Where the bucket of every row goes, if there are buckets.
    ids: Option<Target>,
    workers: &'a Workers<'a>,
}

/// Where codes are kept that cost much to make.
struct Kept {
    /// As rows come.
    found: Option<Target>,
    /// As rows are moved to buckets.
    moved: Target,
}

/// Whether the rows are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Sorted,
    /// Every row comes before the one above it, and none are equal.
    Reversed,
    None,
}

impl<'a> Sorter<'a> {
    /// `until_strings` is a place with room for 8 bytes a row that nobody else needs before the
    /// rows are sorted.
    ///
    /// # Errors
    /// [`Kind::Full`](sheaf_store::Kind::Full) when there is no memory for what it needs besides.
    pub(crate) fn new(
        source: &'a Source,
        lanes: &'a [Lane],
        keys: &'a Keys,
        targets: &'a [Target],
        workers: &'a Workers<'a>,
        until_strings: Option<*mut u8>,
        scratch: &mut Scratch<'_>,
    ) -> Result<Self> {
        let rows = source.num_rows();
        let scattered = rows > 2 * BUCKET;
        let ids = match scattered {
            true => Some(Target::one(scratch.take(rows * 2)?, 2, false)),
            false => None,
        };
        let codes = match (keys.costly(), until_strings) {
            (false, _) => None,
            (true, place) => {
                let moved = place.map_or_else(|| scratch.take(rows * 8), Ok)?;
                let found = match scattered {
                    true => Some(Target::one(scratch.take(rows * 8)?, 8, false)),
                    false => None,
                };
                Some(Kept { found, moved: Target::one(moved, 8, is_streamed(rows * 8)) })
            }
        };
        Ok(Self { source, lanes, keys, targets, codes, ids, workers })
    }

    /// How much memory a sort of so many rows needs for itself, in bytes: with codes that are kept
    /// or not.
    pub(crate) fn scratch_bytes(rows: usize, costly: bool) -> usize {
        match (rows > 2 * BUCKET, costly) {
            (false, _) => 0,
            (true, false) => Scratch::padded(rows * 2),
            (true, true) => Scratch::padded(rows * 2) + Scratch::padded(rows * 8),
        }
    }

    /// Where the codes of rows in buckets are, if they are kept.
    pub(crate) fn codes(&self) -> Option<&Target> {
        self.codes.as_ref().map(|kept| &kept.moved)
    }

    /// Writes every lane in the order of the keys.
    ///
    /// # Errors
    /// [`Kind::Interrupted`](sheaf_store::Kind::Interrupted) when it was cancelled.
    ///
    /// # Safety
    /// The targets must have room for all rows, and be nobody else's meanwhile.
    pub(crate) unsafe fn run(&self) -> Result<()> {
        let rows = self.source.num_rows();
        if rows == 0 {
            return Ok(());
        }
        // SAFETY: the caller's promise.
        unsafe {
            match self.find_order()? {
                Order::Sorted => self.copy(false),
                Order::Reversed => self.copy(true),
                Order::None => match &self.ids {
                    None => {
                        self.copy(false)?;
                        self.sort_buckets(&[0, rows as u64], |_| false)
                    }
                    Some(ids) => {
                        let map = self.map();
                        let starts = self.scatter(&map, ids)?;
                        self.sort_buckets(&starts, |bucket| map.is_single(bucket))
                    }
                },
            }
        }
    }

    /// Memory to stage every lane in, two at the least.
    fn stagings(&self) -> Vec<Staging> {
        (0..self.lanes.len().max(2)).map(|_| Staging::default()).collect()
    }

    fn encode(&self, run: Run, staging: &mut [Staging], codes: &mut Vec<u64>) {
        codes.resize(run.len, 0);
        self.keys.encode_run(self.source, self.lanes, run, staging, codes);
    }

    /// Whether the rows are in order already; stops looking where it is seen that they are not.
    fn find_order(&self) -> Result<Order> {
        let pieces = pieces(self.source.num_rows(), self.workers.threads(), PIECE);
        let (rising, falling) = (AtomicBool::new(true), AtomicBool::new(true));
        let make = || (self.stagings(), Vec::new());
        self.workers.run(Stage::Count, pieces.len(), make, |at, (staging, codes)| {
            // The row before the piece is looked at too.
            let rows = pieces[at].start.saturating_sub(1)..pieces[at].end;
            let mut before = None;
            for run in self.source.runs(rows, RUN) {
                self.encode(run, staging, codes);
                let pair = before.map_or([codes[0]; 2], |before| [before, codes[0]]);
                let seam = before.is_some().then_some(pair);
                let pairs = || codes.windows(2).map(|pair| [pair[0], pair[1]]).chain(seam);
                if !self.is_rising(pairs()) {
                    rising.store(false, Ordering::Relaxed);
                }
                if !pairs().all(|[a, b]| a > b) {
                    falling.store(false, Ordering::Relaxed);
                }
                if !rising.load(Ordering::Relaxed) && !falling.load(Ordering::Relaxed) {
                    break;
                }
                before = codes.last().copied();
            }
            Ok(0)
        })?;
        Ok(match (rising.into_inner(), falling.into_inner()) {
            (true, _) => Order::Sorted,
            (_, true) => Order::Reversed,
            _ => Order::None,
        })
    }

    /// Equal codes are in order only if that is all there is to the keys.
    fn is_rising(&self, mut pairs: impl Iterator<Item = [u64; 2]>) -> bool {
        let exact = self.keys.exact();
        pairs.all(|[a, b]| a < b || exact && a == b)
    }

    /// Writes the rows as they come, or in reverse.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn copy(&self, reverse: bool) -> Result<()> {
        let rows = self.source.num_rows();
        let pieces = pieces(rows, self.workers.threads(), PIECE);
        let make = || (self.stagings(), Vec::new());
        self.workers.run(Stage::Scatter, pieces.len(), make, |at, (staging, codes)| {
            for run in self.source.runs(pieces[at].clone(), RUN) {
                for (lane, target) in self.lanes.iter().zip(self.targets) {
                    let values = lane.stage(self.source, run, &mut staging[0]);
                    // SAFETY: each run has rows of its own, and so has its mirror image.
                    unsafe {
                        if reverse {
                            write_reversed(values, (rows - run.row - run.len) as u64, target);
                        } else {
                            write(values, run.row as u64, target);
                        }
                    }
                }
                if let (Some(Kept { moved, .. }), false) = (&self.codes, reverse) {
                    self.encode(run, staging, codes);
                    // SAFETY: as above.
                    unsafe { write(codes.to_byte_slice(), run.row as u64, moved) };
                }
            }
            Ok(pieces[at].len())
        })
    }

    /// Looks at a sample of the codes.
    fn map(&self) -> Map {
        let rows = self.source.num_rows();
        let buckets = (rows / BUCKET).clamp(2, BUCKETS);
        let places = buckets * SAMPLED / TOGETHER;
        let (mut staging, mut codes) = (self.stagings(), Vec::new());
        let mut sample = Vec::with_capacity(places * TOGETHER);
        for at in 0..places as u64 {
            // One place in each of as many equal ranges of rows, anywhere within it.
            let (start, end) = (part(at, places, rows), part(at + 1, places, rows));
            let row = start + (mix(at) % (end - start).max(1) as u64) as usize;
            let most = (row + TOGETHER).min(rows);
            for run in self.source.runs(row..most, TOGETHER) {
                self.encode(run, &mut staging, &mut codes);
                sample.extend_from_slice(&codes);
            }
        }
        sample.sort_unstable();
        Map::new(&sample, buckets)
    }

    /// Moves every row to its bucket; where buckets begin.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn scatter(&self, map: &Map, ids: &Target) -> Result<Vec<u64>> {
        let rows = self.source.num_rows();
        let pieces = pieces(rows, self.workers.threads(), PIECE);
        let counts = self.count(map, &pieces, ids)?;
        let (buckets, starts) = places(&counts);
        let (pairs, singles) = self.pairs();
        // SAFETY: `count` wrote an id for each row, in one piece.
        let ids = unsafe { std::slice::from_raw_parts(ids.row(0).cast::<u16>(), rows) };
        let codes = self.codes.as_ref().and_then(|kept| Some((kept.found.as_ref()?, &kept.moved)));
        let make = || self.stagings();
        self.workers.run(Stage::Scatter, pieces.len(), make, |at, staging| {
            let starts = starts[at].as_slice();
            let mut twos: Vec<_> = pairs
                .iter()
                .map(|[a, _]| Combiner::<2>::new(self.targets[*a].width(), starts))
                .collect();
            let mut ones: Vec<_> = singles
                .iter()
                .map(|lane| Combiner::<1>::new(self.targets[*lane].width(), starts))
                .collect();
            let mut coded = codes.map(|kept| (Combiner::<1>::new(8, starts), kept));
            for run in self.source.runs(pieces[at].clone(), MORSEL) {
                let ids = &ids[run.row..run.row + run.len];
                // SAFETY: `places` gives each piece rows of its own in each bucket, as many as
                // `count` found it to have. So for all that is sent.
                unsafe {
                    for (pair, combiner) in pairs.iter().zip(&mut twos) {
                        let (first, second) = staging.split_at_mut(1);
                        let values = [
                            self.lanes[pair[0]].stage(self.source, run, &mut first[0]),
                            self.lanes[pair[1]].stage(self.source, run, &mut second[0]),
                        ];
                        combiner.send(ids, values, pair.map(|lane| &self.targets[lane]));
                    }
                    for (lane, combiner) in singles.iter().zip(&mut ones) {
                        let values = self.lanes[*lane].stage(self.source, run, &mut staging[0]);
                        combiner.send(ids, [values], [&self.targets[*lane]]);
                    }
                    if let Some((combiner, (found, moved))) = &mut coded {
                        // `count` wrote a code for each row, in one piece.
                        let codes =
                            std::slice::from_raw_parts(found.row(run.row as u64), run.len * 8);
                        combiner.send(ids, [codes], [*moved]);
                    }
                }
            }
            // SAFETY: as above.
            unsafe {
                for (pair, combiner) in pairs.iter().zip(twos) {
                    combiner.finish(pair.map(|lane| &self.targets[lane]));
                }
                for (lane, combiner) in singles.iter().zip(ones) {
                    combiner.finish([&self.targets[*lane]]);
                }
                if let Some((combiner, (_, moved))) = coded {
                    combiner.finish([moved]);
                }
            }
            Ok(pieces[at].len())
        })?;
        Ok(buckets)
    }

    /// Lanes of one width, two and two, and those that are left over.
    fn pairs(&self) -> (Vec<[usize; 2]>, Vec<usize>) {
        let mut pairs = Vec::new();
        let mut alone: Vec<usize> = Vec::new();
        for lane in 0..self.lanes.len() {
            let width = self.targets[lane].width();
            match alone.iter().position(|other| self.targets[*other].width() == width) {
                Some(at) => pairs.push([alone.swap_remove(at), lane]),
                None => alone.push(lane),
            }
        }
        (pairs, alone)
    }

    /// Finds the bucket of every row, keeps its code if that is to be, and counts the rows of each
    /// bucket, piece by piece.
    fn count(&self, map: &Map, pieces: &[Range<usize>], ids: &Target) -> Result<Vec<Vec<u32>>> {
        let make = || (self.stagings(), Vec::new(), vec![0; RUN]);
        self.workers.collect(Stage::Count, pieces.len(), make, |at, (staging, codes, found)| {
            let mut counted = vec![0_u32; map.buckets()];
            for run in self.source.runs(pieces[at].clone(), RUN) {
                self.encode(run, staging, codes);
                let found = &mut found[..run.len];
                map.ids(codes, found);
                for id in found.iter() {
                    counted[usize::from(*id)] += 1;
                }
                let kept = self.codes.as_ref().and_then(|kept| kept.found.as_ref());
                // SAFETY: each run has rows of its own.
                unsafe {
                    write(found.to_byte_slice(), run.row as u64, ids);
                    if let Some(kept) = kept {
                        write(codes.to_byte_slice(), run.row as u64, kept);
                    }
                }
            }
            Ok((counted, pieces[at].len()))
        })
    }

    /// Sorts the rows between one start and the next, for each.
    ///
    /// # Safety
    /// As [`run`](Self::run), and all rows have been written.
    unsafe fn sort_buckets(
        &self,
        starts: &[u64],
        is_single: impl Fn(usize) -> bool + Sync,
    ) -> Result<()> {
        let make = || Bucket::new(self.lanes.len());
        self.workers.run(Stage::Sort, starts.len() - 1, make, |at, bucket| {
            let rows = starts[at]..starts[at + 1];
            let count = (rows.end - rows.start) as usize;
            // SAFETY: each bucket has rows of its own.
            unsafe {
                let exact = self.keys.exact();
                let done =
                    count <= 1 || is_single(at) && (exact || bucket.is_uniform(self, rows.clone()));
                if !done {
                    bucket.sort(self, rows);
                }
            }
            Ok(count)
        })
    }
}

/// Whether this many bytes are written past the cache.
pub(crate) fn is_streamed(bytes: usize) -> bool {
    bytes >= STREAMED
}

/// Where each bucket begins, the end last; and for each piece where its part of each bucket does.
fn places(counts: &[Vec<u32>]) -> (Vec<u64>, Vec<Vec<u64>>) {
    let buckets = counts.first().map_or(0, Vec::len);
    let mut begins = Vec::with_capacity(buckets + 1);
    let mut starts = vec![vec![0; buckets]; counts.len()];
    let mut next = 0;
    for bucket in 0..buckets {
        begins.push(next);
        for (starts, counts) in starts.iter_mut().zip(counts) {
            starts[bucket] = next;
            next += u64::from(counts[bucket]);
        }
    }
    begins.push(next);
    (begins, starts)
}

/// Writes values to the rows from `row` on.
///
/// # Safety
/// The rows must be writable, and nobody else's meanwhile.
unsafe fn write(mut values: &[u8], row: u64, target: &Target) {
    let count = (values.len() / target.width()) as u64;
    for (place, count) in target.pieces(row..row + count) {
        let (here, rest) = values.split_at(count * target.width());
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(here.as_ptr(), place, here.len()) };
        values = rest;
    }
}

/// Writes values to the rows from `row` on, the last one first.
///
/// # Safety
/// As [`write`].
unsafe fn write_reversed(values: &[u8], row: u64, target: &Target) {
    let width = target.width();
    let count = values.len() / width;
    let order: Vec<u32> = (0..count as u32).rev().collect();
    let mut order = order.as_slice();
    for (place, count) in target.pieces(row..row + count as u64) {
        let (here, rest) = order.split_at(count);
        // SAFETY: the caller's promise.
        unsafe { permute(width, values, here, place) };
        order = rest;
    }
}

/// The first row of a part, of so many equal ones.
fn part(at: u64, parts: usize, rows: usize) -> usize {
    (u128::from(at) * rows as u128 / parts as u128) as usize
}

/// Scatters numbers (the finaliser of SplitMix64), so that samples follow no pattern of the data.
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
