//! From codes to buckets: ranges of codes that hold about equally many rows.
//!
//! A sample says how codes are spread. Where no bucket needs less than one of 65,536 equal ranges,
//! it is looked up by range ([`Table`]). Where codes crowd at the lower end, or few small ones are
//! many rows, by ranges that grow with the code ([`Logarithm`]). Where they crowd elsewhere, or
//! many values are buckets of their own, it is searched among splitters ([`Splitters`]).

use crate::kernels::search::Tree;
use crate::kernels::wide::wide;

/// Ranges that a [`Table`] has, at most.
const RANGES: usize = 1 << 16;

/// The most codes that have buckets to themselves in a [`Table`].
const MOST_HEAVY: usize = 4;

/// How much fuller than the average a bucket of a [`Table`] may be, in the sample.
const UNEVEN: usize = 3;

/// From codes to buckets.
#[derive(Debug)]
pub(crate) enum Map {
    Table(Table),
    Logarithm(Logarithm),
    Splitters(Splitters),
}

/// The bucket of each of equal ranges of codes; and a few codes that have buckets to themselves,
/// between those of what lies below them and above.
#[derive(Debug)]
pub(crate) struct Table {
    least: u64,
    most: u64,
    /// A range has `2^shift` codes.
    shift: u32,
    ranges: Vec<u16>,
    /// In order.
    heavy: Vec<u64>,
    /// With those of the heavy codes.
    buckets: usize,
}

/// The bucket of each of 56,000 ranges that become the larger the further from the least code.
#[derive(Debug)]
pub(crate) struct Logarithm {
    least: u64,
    most: u64,
    ranges: Vec<u16>,
    /// Which buckets hold one code only.
    single: Vec<bool>,
}

/// Ranges of a [`Logarithm`] that hold one code each.
const EXACT: usize = 1 << 11;

/// The least code of every bucket but the first, in order.
#[derive(Debug)]
pub(crate) struct Splitters {
    splitters: Vec<u64>,
    tree: Tree,
}

impl Map {
    /// A map to about this many buckets, for codes of which `sample` is a sample, in order.
    pub(crate) fn new(sample: &[u64], buckets: usize) -> Self {
        let share = (sample.len() / buckets).max(1);
        let same = sample.chunk_by(|a, b| a == b);
        let heavy: Vec<u64> = same.filter(|s| s.len() >= 2 * share).map(|s| s[0]).collect();
        if heavy.len() <= MOST_HEAVY {
            let rest: Vec<u64> =
                sample.iter().copied().filter(|code| !heavy.contains(code)).collect();
            if let Some(table) = Table::new(&rest, (rest.len() / share).max(2), heavy) {
                return Self::Table(table);
            }
        }
        match Logarithm::new(sample, share) {
            Some(logarithm) => Self::Logarithm(logarithm),
            None => Self::Splitters(Splitters::new(sample, share)),
        }
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        match self {
            Self::Table(table) => table.buckets,
            Self::Logarithm(logarithm) => logarithm.single.len(),
            Self::Splitters(splitters) => splitters.splitters.len() + 1,
        }
    }

    /// Whether a bucket holds one code only.
    pub(crate) fn is_single(&self, bucket: usize) -> bool {
        match self {
            Self::Table(table) => table.is_heavy(bucket),
            Self::Logarithm(logarithm) => logarithm.single[bucket],
            Self::Splitters(Splitters { splitters, .. }) => {
                (1..splitters.len()).contains(&bucket)
                    && splitters[bucket] - splitters[bucket - 1] == 1
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
            Self::Table(table) => wide(|| table.ids(codes, ids)),
            Self::Logarithm(logarithm) => wide(|| logarithm.ids(codes, ids)),
            Self::Splitters(splitters) => splitters.ids(codes, ids),
        }
    }
}

impl Table {
    /// `None` if the sample, which has none of the heavy codes, crowds in too few ranges.
    fn new(sample: &[u64], buckets: usize, heavy: Vec<u64>) -> Option<Self> {
        // What lies far out joins the first and the last bucket: it would take others' ranges.
        let out = sample.len() / buckets / 2;
        let (least, most) = (*sample.get(out)?, *sample.get(sample.len().checked_sub(out + 1)?)?);
        let bits = u64::BITS - most.checked_sub(least)?.leading_zeros();
        let shift = bits.saturating_sub(RANGES.ilog2());
        let mut counts = vec![0; ((most - least) >> shift) as usize + 1];
        let range = |code: &u64| (((*code).clamp(least, most) - least) >> shift) as usize;
        sample.iter().for_each(|code| counts[range(code)] += 1);
        let mut seen = 0;
        let ranges = counts
            .iter()
            .map(|count| {
                let middle = 2 * seen + count;
                seen += count;
                (middle * buckets / (2 * sample.len())).min(buckets - 1) as u16
            })
            .collect();
        let buckets = buckets + 2 * heavy.len();
        let table = Self { least, most, shift, ranges, heavy, buckets };
        table.is_even(sample).then_some(table)
    }

    fn is_even(&self, sample: &[u64]) -> bool {
        let mut ids = vec![0; sample.len()];
        self.ids(sample, &mut ids);
        let share = sample.len() / self.buckets + 8;
        ids.chunk_by(|a, b| a == b).all(|bucket| bucket.len() <= UNEVEN * share)
    }

    #[inline(always)]
    fn ids(&self, codes: &[u64], ids: &mut [u16]) {
        let Self { least, most, shift, .. } = *self;
        let ranges = self.ranges.as_slice();
        for (code, id) in codes.iter().zip(&mut *ids) {
            *id = ranges[(((*code).clamp(least, most) - least) >> shift) as usize];
        }
        for heavy in &self.heavy {
            for (code, id) in codes.iter().zip(&mut *ids) {
                *id += u16::from(code >= heavy) + u16::from(code > heavy);
            }
        }
    }

    /// Whether a bucket is a heavy code's.
    fn is_heavy(&self, bucket: usize) -> bool {
        self.heavy.iter().any(|heavy| {
            let mut id = [0];
            self.ids(&[*heavy], &mut id);
            usize::from(id[0]) == bucket
        })
    }
}

impl Logarithm {
    /// `None` if the sample crowds in too few ranges.
    fn new(sample: &[u64], share: usize) -> Option<Self> {
        let (first, last) = (*sample.first()?, *sample.last()?);
        // What lies below all of the sample, or above, is not taken for one of its codes.
        let (least, most) = (first.saturating_sub(1), last.saturating_add(1));
        let mut ranges = vec![0; range(most - least) + 1];
        let mut counts = vec![0; ranges.len()];
        sample.iter().for_each(|code| counts[range(code - least)] += 1);
        let mut single = vec![false];
        let mut filled = 0;
        for (at, (id, count)) in ranges.iter_mut().zip(counts).enumerate() {
            let alone = at < EXACT && count >= share;
            if count > UNEVEN * share && !alone {
                return None;
            }
            // A bucket of one code ends the one before it, and itself.
            let ends = alone || filled >= share || single.last() == Some(&true);
            if ends && at > 0 {
                single.push(alone);
                filled = 0;
            } else if alone {
                single = vec![true];
            }
            *id = u16::try_from(single.len() - 1).ok()?;
            filled += count;
        }
        Some(Self { least, most, ranges, single })
    }

    #[inline(always)]
    fn ids(&self, codes: &[u64], ids: &mut [u16]) {
        let (least, most, ranges) = (self.least, self.most, self.ranges.as_slice());
        for (code, id) in codes.iter().zip(&mut *ids) {
            *id = ranges[range((*code).clamp(least, most) - least)];
        }
    }
}

/// The range that a distance lies in: 1024 of them to each power of two, so that small distances
/// have ranges to themselves.
#[inline(always)]
fn range(distance: u64) -> usize {
    let shift = (distance | 1 << 10).ilog2() - 10;
    ((shift as usize) << 10) + (distance >> shift) as usize
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
        let tree = Tree::new(&splitters);
        Self { splitters, tree }
    }

    fn ids(&self, codes: &[u64], ids: &mut [u16]) {
        self.tree.count_reached(codes, ids);
        let last = self.splitters.len() as u16;
        // The greatest code of all has reached the tree's padding too.
        ids.iter_mut().for_each(|id| *id = (*id).min(last));
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
            if let Some(logarithm) = Logarithm::new(&sample, share) {
                check(&Map::Logarithm(logarithm), all.clone());
            }
            if let Some(table) = Table::new(&sample, buckets, Vec::new()) {
                check(&Map::Table(table), all);
            }
        }
    }

    #[test]
    fn ranges_grow_with_the_distance_and_leave_nothing_out() {
        assert!((0..EXACT as u64).all(|distance| range(distance) == distance as usize));
        for bits in 11..64 {
            let power = 1_u64 << bits;
            assert_eq!(range(power), range(power - 1) + 1);
            assert_eq!(range(power + (power >> 10)), range(power) + 1);
        }
        assert!(range(u64::MAX) < 56 << 10);
    }

    #[test]
    fn many_codes_that_are_many_rows_have_buckets_to_themselves() {
        let sample: Vec<u64> = (0..20_000).map(|at| 1_000_000 + at / 1000).collect();
        let map = Map::new(&sample, 100);

        let mut ids = vec![0; sample.len()];
        map.ids(&sample, &mut ids);

        assert!(matches!(map, Map::Logarithm(_)));
        assert!(ids.iter().all(|id| map.is_single((*id).into())));
        let mut outside = [0; 2];
        map.ids(&[999_999, 1_000_020], &mut outside);
        assert!(outside.iter().all(|id| !map.is_single((*id).into())));
    }

    #[test]
    fn evenly_spread_codes_fill_buckets_evenly() {
        let sample: Vec<u64> = (64_000..128_000_u64).map(|at| (at * at) << 12).collect();
        let map = Map::new(&sample, 500);
        let mut ids = vec![0; sample.len()];

        map.ids(&sample, &mut ids);

        assert!(matches!(map, Map::Table(_)));
        let fullest = ids.chunk_by(|a, b| a == b).map(<[u16]>::len).max().unwrap();
        assert!(fullest < 3 * 128, "{fullest}");
    }
}
