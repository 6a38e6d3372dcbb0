//! The order of one bucket's codes, while they lie in the cache.
//!
//! ```text
//! code ─▶ 12 bits: a run of 16 slots, about 7 of them used │ 16 bits ─▶ word: bits, index
//!         all runs are sorted at once (kernels::network), indices read off, inversions mended
//! ```
//!
//! Stable for free: words of equal bits are in order of their indices.

use crate::kernels::network::{EMPTY, GROUP, SLOTS, put_words, sort_runs};
use crate::kernels::wide::wide;

/// The most codes that words have room to number.
const MOST: usize = 1 << 16;

/// Slots used on average, of [`SLOTS`].
const USED: usize = 7;

/// Runs in a group.
const RUNS: usize = GROUP / SLOTS;

/// Codes that are scaled before the first of them is put into its run.
const AHEAD: usize = 32;

/// Codes in one part of a bucket that is too large for the cache.
const PART: usize = 16 << 10;

/// Memory to find an order with; used again and again.
#[derive(Debug, Default)]
pub(crate) struct Orderer {
    words: Vec<u32>,
    counts: Vec<u32>,
    /// Slots used, run by run.
    used: Vec<u8>,
    /// Whether words of a group agree in all bits of their codes.
    ties: Vec<bool>,
    /// What found no slot: its run, and its index.
    over: Vec<u64>,
    packed: Vec<u64>,
}

impl Orderer {
    /// The indices of `codes` in their order; equal ones in order of their indices.
    pub(crate) fn order(&mut self, codes: &[u64], order: &mut Vec<u32>) {
        order.clear();
        if codes.is_empty() {
            return;
        }
        assert!(u32::try_from(codes.len()).is_ok(), "a bucket has fewer than 2^32 rows");
        let (least, most) = wide(|| extent(codes));
        let span = most - least;
        if span == 0 {
            order.extend(0..codes.len() as u32);
        } else if span < MOST as u64 && span < 2 * codes.len() as u64 {
            self.by_counting(codes, least, span as usize, order);
        } else if codes.len() > MOST {
            self.by_parts(codes, least, span, order);
        } else if !self.by_runs(codes, least, span, order) {
            self.by_comparing(codes, least, span, order);
        }
    }

    /// Counts every code there may be.
    fn by_counting(&mut self, codes: &[u64], least: u64, span: usize, order: &mut Vec<u32>) {
        self.counts.clear();
        self.counts.resize(span + 1, 0);
        codes.iter().for_each(|code| self.counts[(code - least) as usize] += 1);
        let mut start = 0;
        for count in &mut self.counts {
            start += std::mem::replace(count, start);
        }
        order.resize(codes.len(), 0);
        for (index, code) in codes.iter().enumerate() {
            let place = &mut self.counts[(code - least) as usize];
            order[*place as usize] = index as u32;
            *place += 1;
        }
    }

    /// Spreads codes to short runs; `false` if they are too uneven for that.
    fn by_runs(&mut self, codes: &[u64], least: u64, span: u64, order: &mut Vec<u32>) -> bool {
        let runs = (codes.len() / USED + 1).next_multiple_of(GROUP / SLOTS);
        self.words.clear();
        self.words.resize(runs * SLOTS, EMPTY);
        self.used.clear();
        self.used.resize(runs, 0);
        self.over.clear();
        let room = (runs as u64) << 16;
        if span >= room {
            // The greatest code comes to just below `room`.
            let scale = ((u128::from(room) << 64) / (u128::from(span) + 1)) as u64;
            let scaled = move |code| ((u128::from(code - least) * u128::from(scale)) >> 64) as u64;
            wide(|| self.spread(codes, scaled));
        } else {
            let scale = room / (span + 1);
            wide(|| self.spread(codes, move |code| (code - least) * scale));
        }
        if self.over.len() > codes.len() / 8 + SLOTS {
            return false;
        }
        sort_runs(&mut self.words, &mut self.ties);
        self.over.sort_unstable();
        wide(|| self.read_off(codes, order));
        true
    }

    #[inline(always)]
    fn spread(&mut self, codes: &[u64], scaled: impl Fn(u64) -> u64) {
        let mut ahead = [0; AHEAD];
        let mut index = 0;
        for codes in codes.chunks(AHEAD) {
            for (code, ahead) in codes.iter().zip(&mut ahead) {
                *ahead = scaled(*code);
            }
            put_words(
                &ahead[..codes.len()],
                index,
                &mut self.words,
                &mut self.used,
                &mut self.over,
            );
            index += codes.len() as u32;
        }
    }

    /// The indices of all words, run by run.
    #[inline(always)]
    fn read_off(&self, codes: &[u64], order: &mut Vec<u32>) {
        // Every run is written whole, over what the one before it had no words for.
        order.resize(codes.len() + SLOTS, 0);
        let (mut place, mut over) = (0, self.over.as_slice());
        let groups = self.words.as_chunks::<GROUP>().0.iter().zip(self.used.as_chunks::<RUNS>().0);
        for (group, ((words, used), ties)) in groups.zip(&self.ties).enumerate() {
            let start = place;
            for (words, used) in words.as_chunks::<SLOTS>().0.iter().zip(used) {
                let target = &mut order[place..place + SLOTS];
                for (target, word) in target.iter_mut().zip(words) {
                    *target = word & 0xffff;
                }
                place += usize::from(*used);
            }
            let more = over.partition_point(|entry| (entry >> 32) as usize / RUNS == group);
            if more > 0 {
                for entry in &over[..more] {
                    order[place] = *entry as u32;
                    place += 1;
                }
                over = &over[more..];
                order[start..place].sort_unstable_by_key(|index| (codes[*index as usize], *index));
            } else if *ties {
                mend(codes, &mut order[start..place]);
            }
        }
        order.truncate(codes.len());
    }

    /// Any codes at all.
    fn by_comparing(&mut self, codes: &[u64], least: u64, span: u64, order: &mut Vec<u32>) {
        if codes.len() <= MOST && span < 1 << 48 {
            self.packed.clear();
            let packed =
                codes.iter().enumerate().map(|(at, code)| (code - least) << 16 | at as u64);
            self.packed.extend(packed);
            self.packed.sort_unstable();
            order.extend(self.packed.iter().map(|word| (word & 0xffff) as u32));
        } else {
            order.extend(0..codes.len() as u32);
            order.sort_unstable_by_key(|index| (codes[*index as usize], *index));
        }
    }

    /// A bucket that is too large: cut into parts by code, each ordered by itself.
    fn by_parts(&mut self, codes: &[u64], least: u64, span: u64, order: &mut Vec<u32>) {
        let parts = (codes.len() / PART).min(4096) as u64;
        let part = |code: u64| {
            (u128::from(code - least) * u128::from(parts) / (u128::from(span) + 1)) as usize
        };
        let mut starts = vec![0_usize; parts as usize + 1];
        codes.iter().for_each(|code| starts[part(*code) + 1] += 1);
        if starts.iter().any(|count| *count > codes.len() / 2) {
            return self.by_comparing(codes, least, span, order);
        }
        for at in 0..parts as usize {
            starts[at + 1] += starts[at];
        }
        let mut places = starts.clone();
        let mut indices = vec![0_u32; codes.len()];
        let mut sorted = vec![0_u64; codes.len()];
        for (index, code) in codes.iter().enumerate() {
            let place = &mut places[part(*code)];
            (indices[*place], sorted[*place]) = (index as u32, *code);
            *place += 1;
        }
        let mut within = Vec::new();
        for part in starts.windows(2) {
            self.order(&sorted[part[0]..part[1]], &mut within);
            order.extend(within.iter().map(|index| indices[part[0] + *index as usize]));
        }
    }
}

/// The least and the greatest.
#[inline(always)]
fn extent(codes: &[u64]) -> (u64, u64) {
    codes.iter().fold((u64::MAX, 0), |(least, most), code| (least.min(*code), most.max(*code)))
}

/// Moves what stands behind a greater code to its place: codes whose words agree in all bits are
/// in order of their indices, not of their codes.
fn mend(codes: &[u64], order: &mut [u32]) {
    let code = |index: u32| codes[index as usize];
    let Some(first) = order.first() else { return };
    let mut before = code(*first);
    for at in 1..order.len() {
        let index = order[at];
        let here = code(index);
        if here >= before {
            before = here;
            continue;
        }
        // The greatest so far moves up: it stays what the next ones are held against.
        let mut place = at;
        while place > 0 && code(order[place - 1]) > here {
            order[place] = order[place - 1];
            place -= 1;
        }
        order[place] = index;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(codes: &[u64]) {
        let mut expected: Vec<u32> = (0..codes.len() as u32).collect();
        expected.sort_by_key(|index| codes[*index as usize]);
        let mut order = Vec::new();

        Orderer::default().order(codes, &mut order);

        assert!(order == expected, "{} codes", codes.len());
    }

    fn mixed(seed: u64, rows: u64) -> impl Iterator<Item = u64> {
        (0..rows).map(move |at| {
            let mixed = (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ mixed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        })
    }

    #[test]
    fn every_shape_is_ordered() {
        for rows in [1, 2, 15, 16, 17, 300, 5_000, 65_535, 65_536, 65_537, 200_000] {
            check(&mixed(1, rows).collect::<Vec<_>>());
            check(&mixed(2, rows).map(|code| code % 7).collect::<Vec<_>>());
            check(&mixed(3, rows).map(|code| code % (rows * 50)).collect::<Vec<_>>());
            check(&mixed(4, rows).map(|code| code >> (code % 64)).collect::<Vec<_>>());
            check(&mixed(5, rows).map(|code| ((code % 3) << 60) | (code % 40)).collect::<Vec<_>>());
            check(&(0..rows).rev().collect::<Vec<_>>());
            let one = |code| if code % 20 > 0 { 42 } else { code };
            check(&mixed(6, rows).map(one).collect::<Vec<_>>());
            let crowd = |code: u64| {
                if code.is_multiple_of(9) { code } else { (1 << 40) | (code % (1 << 30)) }
            };
            check(&mixed(7, rows).map(crowd).collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn any_codes_are_ordered(codes in proptest::collection::vec(any::<u64>(), 0..400)) {
            check(&codes);
        }

        #[test]
        fn codes_of_few_bits_are_ordered(
            codes in proptest::collection::vec(0_u64..5000, 0..400),
            shift in 0_u32..50,
        ) {
            check(&codes.iter().map(|code| code << shift).collect::<Vec<_>>());
        }
    }
}
