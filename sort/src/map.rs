//! From codes to buckets: ranges of codes that hold about equally many rows.
//!
//! A sample says how codes are spread. Where they are spread evenly within each of 1024 equal
//! ranges, a bucket is found by a multiplication ([`Linear`]). Where they are not, or where one
//! value is a bucket of its own, by a search among splitters ([`Splitters`]).

/// Ranges that a [`Linear`] map knows the spread of.
const RANGES: usize = 1024;

/// How much fuller than the average a bucket of a [`Linear`] map may be, in the sample.
const UNEVEN: usize = 3;

/// Codes looked up side by side.
const SIDE_BY_SIDE: usize = 8;

/// From codes to buckets.
#[derive(Debug)]
pub(crate) enum Map {
    Linear(Linear),
    Splitters(Splitters),
}

/// A cumulative distribution, a line in each of [`RANGES`] equal ranges.
#[derive(Debug)]
pub(crate) struct Linear {
    least: u64,
    most: u64,
    /// A range has `2^shift` codes.
    shift: u32,
    /// For each range the bucket that it begins in and how many it spans, with 16 bits behind the
    /// point.
    lines: Vec<(u32, u32)>,
    buckets: usize,
}

/// The least code of every bucket but the first, in order.
#[derive(Debug)]
pub(crate) struct Splitters {
    /// Padded with the greatest code, to one less than a power of two.
    splitters: Vec<u64>,
    /// Without the padding.
    count: usize,
}

impl Map {
    /// A map to about this many buckets, for codes of which `sample` is a sample, in order.
    pub(crate) fn new(sample: &[u64], buckets: usize) -> Self {
        let share = (sample.len() / buckets).max(1);
        let heavy = sample.chunk_by(|a, b| a == b).any(|same| same.len() >= 2 * share);
        if !heavy && let Some(linear) = Linear::new(sample, buckets) {
            return Self::Linear(linear);
        }
        Self::Splitters(Splitters::new(sample, share))
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.buckets,
            Self::Splitters(splitters) => splitters.count + 1,
        }
    }

    /// Whether a bucket holds one code only.
    pub(crate) fn is_single(&self, bucket: usize) -> bool {
        match self {
            Self::Linear(_) => false,
            Self::Splitters(Splitters { splitters, count }) => {
                (1..*count).contains(&bucket) && splitters[bucket] - splitters[bucket - 1] == 1
            }
        }
    }

    /// The bucket of each code.
    ///
    /// # Panics
    /// If there are not as many ids as codes.
    pub(crate) fn ids(&self, codes: &[u64], ids: &mut [u16]) {
        assert_eq!(codes.len(), ids.len(), "one id a code");
        match self {
            Self::Linear(linear) => linear.ids(codes, ids),
            Self::Splitters(splitters) => splitters.ids(codes, ids),
        }
    }
}

impl Linear {
    /// `None` if the sample is too uneven within a range.
    fn new(sample: &[u64], buckets: usize) -> Option<Self> {
        let (least, most) = (*sample.first()?, *sample.last()?);
        let bits = u64::BITS - (most - least).leading_zeros();
        let shift = bits.saturating_sub(RANGES.ilog2());
        let mut counts = vec![0_u64; ((most - least) >> shift) as usize + 1];
        sample.iter().for_each(|code| counts[((code - least) >> shift) as usize] += 1);
        let scale = (buckets as u64) << 16;
        let (mut seen, total) = (0, sample.len() as u64);
        let lines = counts
            .iter()
            .map(|count| {
                let start = seen * scale / total;
                seen += count;
                (start as u32, (seen * scale / total - start) as u32)
            })
            .collect();
        let linear = Self { least, most, shift, lines, buckets };
        linear.is_even(sample).then_some(linear)
    }

    fn is_even(&self, sample: &[u64]) -> bool {
        let mut ids = vec![0; sample.len()];
        self.ids(sample, &mut ids);
        let share = sample.len() / self.buckets + 8;
        ids.chunk_by(|a, b| a == b).all(|bucket| bucket.len() <= UNEVEN * share)
    }

    fn ids(&self, codes: &[u64], ids: &mut [u16]) {
        let Self { least, most, shift, .. } = *self;
        let lines = self.lines.as_slice();
        // Bits of a code within its range that count, and those below them.
        let (fine, coarse) = (shift.min(16), shift - shift.min(16));
        let mask = (1_u64 << fine) - 1;
        let last = self.buckets as u64 - 1;
        for (code, id) in codes.iter().zip(ids) {
            let delta = (*code).clamp(least, most) - least;
            let (start, span) = lines[(delta >> shift) as usize];
            let within = (delta >> coarse & mask) << (16 - fine);
            let place = u64::from(start) + (u64::from(span) * within >> 16);
            *id = (place >> 16).min(last) as u16;
        }
    }
}

impl Splitters {
    /// Splitters at every `share`th of the sample. What occurs as often has a bucket to itself.
    fn new(sample: &[u64], share: usize) -> Self {
        let mut splitters: Vec<u64> = Vec::new();
        let mut push = |code: u64| {
            // Nothing is below zero, and splitters ascend.
            if code > splitters.last().copied().unwrap_or(0) && splitters.len() < 0xffff {
                splitters.push(code);
            }
        };
        let mut filled = 0;
        for same in sample.chunk_by(|a, b| a == b) {
            let code = same[0];
            if same.len() >= share {
                push(code);
                push(code.saturating_add(1));
                filled = 0;
                continue;
            }
            if filled >= share {
                push(code);
                filled = 0;
            }
            filled += same.len();
        }
        let count = splitters.len();
        splitters.resize((count + 1).next_power_of_two() - 1, u64::MAX);
        Self { splitters, count }
    }

    fn ids(&self, codes: &[u64], ids: &mut [u16]) {
        let (codes, rest) = codes.as_chunks::<SIDE_BY_SIDE>();
        let (ids, rest_ids) = ids.as_chunks_mut::<SIDE_BY_SIDE>();
        for (codes, ids) in codes.iter().zip(ids) {
            self.search(*codes, ids);
        }
        for (code, id) in rest.iter().zip(rest_ids) {
            let mut one = [0];
            self.search([*code], &mut one);
            *id = one[0];
        }
    }

    /// How many splitters each code has reached; several searches in step hide each other's waits.
    #[inline]
    fn search<const N: usize>(&self, codes: [u64; N], ids: &mut [u16; N]) {
        let mut found = [0_usize; N];
        let mut step = self.splitters.len().div_ceil(2);
        while step > 0 {
            for (found, code) in found.iter_mut().zip(codes) {
                // `found + step` never exceeds the padded length, which is one below a power of two.
                let reached = self.splitters[*found + step - 1] <= code;
                *found += if reached { step } else { 0 };
            }
            step /= 2;
        }
        for (id, found) in ids.iter_mut().zip(found) {
            // The greatest code has reached the padding too.
            *id = found.min(self.count) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every bucket's codes lie below the next one's, and single buckets have one code.
    fn check(map: &Map, mut codes: Vec<u64>) {
        codes.sort_unstable();
        let mut ids = vec![0; codes.len()];
        map.ids(&codes, &mut ids);
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| usize::from(*id) < map.buckets()));
        let pairs: Vec<_> = ids.into_iter().zip(codes).collect();
        for bucket in pairs.chunk_by(|a, b| a.0 == b.0) {
            if map.is_single(bucket[0].0.into()) {
                assert!(bucket.iter().all(|(_, code)| *code == bucket[0].1));
            }
        }
    }

    fn codes() -> impl Strategy<Value = Vec<u64>> {
        prop_oneof![
            proptest::collection::vec(any::<u64>(), 1..600),
            proptest::collection::vec(0_u64..20, 1..600),
            proptest::collection::vec((0_u32..64).prop_map(|bits| u64::MAX >> bits), 1..600),
            proptest::collection::vec(u64::MAX - 40..=u64::MAX, 1..600),
        ]
    }

    proptest! {
        #[test]
        fn buckets_are_ranges_of_codes(sample in codes(), all in codes(), buckets in 1_usize..50) {
            let mut sample = sample;
            sample.sort_unstable();
            let share = (sample.len() / buckets).max(1);

            check(&Map::new(&sample, buckets), all.clone());
            check(&Map::Splitters(Splitters::new(&sample, share)), all.clone());
            if let Some(linear) = Linear::new(&sample, buckets) {
                check(&Map::Linear(linear), all);
            }
        }
    }

    #[test]
    fn evenly_spread_codes_fill_buckets_evenly() {
        let sample: Vec<u64> = (64_000..128_000_u64).map(|at| at * at << 12).collect();
        let map = Map::new(&sample, 500);
        let mut ids = vec![0; sample.len()];

        map.ids(&sample, &mut ids);

        assert!(matches!(map, Map::Linear(_)));
        let fullest = ids.chunk_by(|a, b| a == b).map(<[u16]>::len).max().unwrap();
        assert!(fullest < 3 * 128, "{fullest}");
    }
}
