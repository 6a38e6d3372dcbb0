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
use crate::kernels::past::copy_past;
use crate::kernels::permute;
use crate::keys::Keys;
use crate::lanes::{Lane, Staging};
use crate::map::Map;
use crate::memory::Scratch;
use crate::options::Stage;
use crate::source::{Run, Source};
use crate::tally::Tally;
use crate::target::Target;
use crate::workers::{Workers, pieces};

/// Rows of a bucket that fit the second-level cache, with all that is needed to order them.
const BUCKET: usize = 32 << 10;

/// The most buckets: their lines must stay in the cache too.
const BUCKETS: usize = 8 << 10;

/// Rows whose keys are encoded in one go.
const RUN: usize = 4096;

/// Rows of one lane copied in one go, where rows are in order: memory is the faster the longer it
/// is read from one place and written to another.
const COPIED: usize = 128 << 10;

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
            if self.copy_if_ordered()? {
                return Ok(());
            }
            match &self.ids {
                None => {
                    self.copy()?;
                    self.sort_buckets(&[0, rows as u64], |_| false)
                }
                Some(ids) => {
                    let map = self.map();
                    let starts = self.scatter(&map, ids)?;
                    self.sort_buckets(&starts, |bucket| map.is_single(bucket))
                }
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

    /// Whether the rows are in order already, or in reverse: they are written as long as they seem
    /// to be, and nobody looks further where it is seen that they are not.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn copy_if_ordered(&self) -> Result<bool> {
        let rows = self.source.num_rows();
        let pieces = pieces(rows, self.workers.threads(), PIECE);
        let reverse = self.begins_falling();
        let ordered = AtomicBool::new(true);
        let make = || (self.stagings(), Vec::new(), Vec::new());
        self.workers.run(Stage::Count, pieces.len(), make, |at, (staging, codes, reversed)| {
            let Range { start, end } = pieces[at];
            let mut before = start.checked_sub(1).map(|row| self.code(row, staging));
            let mut written = 0;
            // Few rows tell of most tables that they are not in order.
            let first = (start + RUN).min(end);
            let runs = self.source.runs(start..first, RUN);
            for run in runs.chain(self.source.runs(first..end, COPIED)) {
                self.encode(run, staging, codes);
                let seam = before.map(|before| [before, codes[0]]);
                let mut pairs = codes.windows(2).map(|pair| [pair[0], pair[1]]).chain(seam);
                if !pairs.all(|pair| self.is_step(pair, reverse)) {
                    ordered.store(false, Ordering::Relaxed);
                }
                if !ordered.load(Ordering::Relaxed) {
                    break;
                }
                for (lane, target) in self.lanes.iter().zip(self.targets) {
                    let values = lane.stage(self.source, run, &mut staging[0]);
                    // SAFETY: each run has rows of its own, and so has its mirror image.
                    unsafe {
                        if reverse {
                            permute::reverse(target.width(), values, reversed);
                            write(reversed, (rows - run.row - run.len) as u64, target);
                        } else {
                            write(values, run.row as u64, target);
                        }
                    }
                }
                before = codes.last().copied();
                written += run.len;
            }
            self.targets.iter().for_each(Target::fence);
            Ok(written)
        })?;
        Ok(ordered.into_inner())
    }

    /// Whether the second row comes before the first.
    fn begins_falling(&self) -> bool {
        let mut staging = self.stagings();
        self.source.num_rows() > 1 && self.code(0, &mut staging) > self.code(1, &mut staging)
    }

    /// Whether two rows, one after the other, are in order, or in reverse and not equal. Equal
    /// codes are in order only if that is all there is to the keys.
    fn is_step(&self, [a, b]: [u64; 2], reverse: bool) -> bool {
        match reverse {
            true => a > b,
            false => a < b || self.keys.exact() && a == b,
        }
    }

    /// A row's code.
    fn code(&self, row: usize, staging: &mut [Staging]) -> u64 {
        let mut codes = Vec::new();
        self.source.runs(row..row + 1, 1).for_each(|run| self.encode(run, staging, &mut codes));
        codes.first().copied().unwrap_or_default()
    }

    /// Writes the rows as they come, and their codes if they are kept.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn copy(&self) -> Result<()> {
        let pieces = pieces(self.source.num_rows(), self.workers.threads(), PIECE);
        let make = || (self.stagings(), Vec::new());
        self.workers.run(Stage::Scatter, pieces.len(), make, |at, (staging, codes)| {
            for run in self.source.runs(pieces[at].clone(), RUN) {
                for (lane, target) in self.lanes.iter().zip(self.targets) {
                    let values = lane.stage(self.source, run, &mut staging[0]);
                    // SAFETY: each run has rows of its own.
                    unsafe { write(values, run.row as u64, target) };
                }
                if let Some(Kept { moved, .. }) = &self.codes {
                    self.encode(run, staging, codes);
                    // SAFETY: as above.
                    unsafe { write(codes.to_byte_slice(), run.row as u64, moved) };
                }
            }
            self.targets.iter().for_each(Target::fence);
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
        // SAFETY: `count` wrote an id for each row, in one piece.
        let ids = unsafe { std::slice::from_raw_parts(ids.row(0).cast::<u16>(), rows) };
        let filled = |bucket: &usize| buckets[*bucket] < buckets[bucket + 1];
        let told = match (0..map.buckets()).filter(filled).all(|bucket| map.is_single(bucket)) {
            true => self.keys.told(),
            false => Vec::new(),
        };
        // SAFETY: the caller's promise.
        unsafe { self.fill(&told, &buckets, ids)? };
        let (pairs, singles) = self.pairs(&told);
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

    /// Writes lanes that have one value throughout each bucket.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn fill(&self, lanes: &[usize], starts: &[u64], ids: &[u16]) -> Result<()> {
        if lanes.is_empty() {
            return Ok(());
        }
        let firsts = first_rows(ids, starts);
        let jobs: Vec<_> = starts
            .windows(2)
            .enumerate()
            .flat_map(|(bucket, range)| {
                let parts = (range[0]..range[1]).step_by(PIECE);
                parts.map(move |start| (bucket, start..range[1].min(start + PIECE as u64)))
            })
            .collect();
        let make = || (Staging::default(), Vec::new());
        self.workers.run(Stage::Scatter, jobs.len(), make, |at, (staging, values)| {
            let (bucket, rows) = &jobs[at];
            for (lane, target) in lanes.iter().map(|at| (&self.lanes[*at], &self.targets[*at])) {
                values.clear();
                for run in self.source.runs(firsts[*bucket]..firsts[*bucket] + 1, 1) {
                    values.extend_from_slice(lane.stage(self.source, run, staging));
                }
                *values = values.repeat(RUN);
                for start in rows.clone().step_by(RUN) {
                    let count = (rows.end - start).min(RUN as u64) as usize;
                    // SAFETY: each job has rows of its own.
                    unsafe { write(&values[..count * target.width()], start, target) };
                }
                target.fence();
            }
            Ok(0)
        })
    }

    /// Lanes of one width, two and two, and those that are left over; without `but`.
    fn pairs(&self, but: &[usize]) -> (Vec<[usize; 2]>, Vec<usize>) {
        let mut pairs = Vec::new();
        let mut alone: Vec<usize> = Vec::new();
        for lane in (0..self.lanes.len()).filter(|lane| !but.contains(lane)) {
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
            let mut tally = Tally::new(map.buckets());
            for run in self.source.runs(pieces[at].clone(), RUN) {
                self.encode(run, staging, codes);
                let found = &mut found[..run.len];
                map.ids(codes, found);
                tally.count(found);
                let kept = self.codes.as_ref().and_then(|kept| kept.found.as_ref());
                // SAFETY: each run has rows of its own.
                unsafe {
                    write(found.to_byte_slice(), run.row as u64, ids);
                    if let Some(kept) = kept {
                        write(codes.to_byte_slice(), run.row as u64, kept);
                    }
                }
            }
            Ok((tally.finish(), pieces[at].len()))
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

/// The first row of each bucket that has any.
fn first_rows(ids: &[u16], starts: &[u64]) -> Vec<usize> {
    let mut firsts = vec![None; starts.len() - 1];
    let mut missing = starts.windows(2).filter(|range| range[0] < range[1]).count();
    for (row, id) in ids.iter().enumerate() {
        if missing == 0 {
            break;
        }
        let first = &mut firsts[usize::from(*id)];
        if first.is_none() {
            *first = Some(row);
            missing -= 1;
        }
    }
    firsts.into_iter().map(Option::unwrap_or_default).collect()
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
        unsafe {
            if target.is_streamed() {
                copy_past(here, place);
            } else {
                std::ptr::copy_nonoverlapping(here.as_ptr(), place, here.len());
            }
        }
        values = rest;
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
