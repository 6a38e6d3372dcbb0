//! How many rows each bucket has.

/// Counts side by side: one that follows upon the same bucket's would wait for it.
const WAYS: usize = 4;

/// The most buckets that are counted so: all counts must stay in the first-level cache.
const MOST: usize = 1024;

/// Counts, bucket by bucket.
pub(crate) struct Tally {
    buckets: usize,
    /// The counts of each way, one after the other.
    counts: Vec<u32>,
}

impl Tally {
    pub(crate) fn new(buckets: usize) -> Self {
        let ways = if buckets <= MOST { WAYS } else { 1 };
        Self { buckets, counts: vec![0; ways * buckets] }
    }

    /// Counts rows by the ids of their buckets.
    pub(crate) fn count(&mut self, ids: &[u16]) {
        let mut ids = ids;
        if self.counts.len() > self.buckets {
            let (fours, rest) = ids.as_chunks::<WAYS>();
            for four in fours {
                for (way, id) in four.iter().enumerate() {
                    self.counts[way * self.buckets + usize::from(*id)] += 1;
                }
            }
            ids = rest;
        }
        ids.iter().for_each(|id| self.counts[usize::from(*id)] += 1);
    }

    /// The rows of each bucket.
    pub(crate) fn finish(mut self) -> Vec<u32> {
        let (sums, ways) = self.counts.split_at_mut(self.buckets);
        for way in ways.chunks(self.buckets) {
            sums.iter_mut().zip(way).for_each(|(sum, count)| *sum += count);
        }
        self.counts.truncate(self.buckets);
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_buckets_and_many_are_counted_alike() {
        for buckets in [1, 7, MOST, MOST + 1] {
            let ids: Vec<u16> = (0..5003_usize).map(|at| (at * at % buckets) as u16).collect();
            let mut expected = vec![0; buckets];
            ids.iter().for_each(|id| expected[usize::from(*id)] += 1);

            let mut tally = Tally::new(buckets);
            ids.chunks(17).for_each(|ids| tally.count(ids));

            assert_eq!(tally.finish(), expected);
        }
    }
}
