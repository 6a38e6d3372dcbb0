//! The hash table of words: where a name's word may be, and how it is found.
//!
//! Two buckets of eight words for each name. Generic over where the words lie: a mapping, or the
//! model that `race.rs` checks.

/// Words that one side stores and others load.
pub trait Words {
    /// Loads with acquire.
    fn load(&self, index: usize) -> u64;
}

/// The words before the first bucket.
pub(super) const HEADER_WORDS: usize = 8;

/// The words of a bucket: one cache line.
pub(super) const BUCKET_WORDS: usize = 8;

/// What marks an index.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"SHEAFIDX");

/// The header's words.
pub(super) const MAGIC_WORD: usize = 0;
pub(super) const BUCKETS_WORD: usize = 1;
pub(super) const SEED_WORD: usize = 2;
pub(super) const RETIRED_WORD: usize = 3;

/// A place that a word leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment.
    pub container: u64,
    /// Where the object's bytes begin in it.
    pub offset: u64,
}

const OFFSET_BITS: u32 = 20;
const CONTAINER_BITS: u32 = 32;
const TAG_SHIFT: u32 = OFFSET_BITS + CONTAINER_BITS;

impl Location {
    /// The word that leads here; `None` when it does not fit one.
    #[must_use]
    pub fn word(self, tag: u64) -> Option<u64> {
        let unit = self.offset / 64;
        let fits = self.offset.is_multiple_of(64)
            && unit < 1 << OFFSET_BITS
            && (1..1 << CONTAINER_BITS).contains(&self.container);
        fits.then_some(tag << TAG_SHIFT | self.container << OFFSET_BITS | unit)
    }

    pub(super) fn of(word: u64) -> Self {
        let container = word >> OFFSET_BITS & ((1 << CONTAINER_BITS) - 1);
        Self { container, offset: (word & ((1 << OFFSET_BITS) - 1)) * 64 }
    }
}

/// The table's shape, and the search in it.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    buckets: u64,
    seed: u64,
}

impl Table {
    /// A table of this many buckets, a power of two.
    #[must_use]
    pub fn new(buckets: u64, seed: u64) -> Self {
        debug_assert!(buckets.is_power_of_two());
        Self { buckets, seed }
    }

    /// The table's words, header included.
    #[must_use]
    pub fn words(&self) -> usize {
        HEADER_WORDS + self.buckets as usize * BUCKET_WORDS
    }

    pub(super) fn tag(hash: u64) -> u64 {
        hash >> TAG_SHIFT
    }

    /// The words where this hash may be, best first.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.buckets - 1;
        let first = hash & mask;
        let second = (hash >> 20 ^ hash) & mask;
        [first, second].into_iter().flat_map(|bucket| {
            let start = HEADER_WORDS + bucket as usize * BUCKET_WORDS;
            start..start + BUCKET_WORDS
        })
    }

    /// The first place with this name's tag that `is_it` says is the one, and its word's index.
    pub fn find<T>(
        &self,
        words: &impl Words,
        name: &[u8],
        mut is_it: impl FnMut(Location) -> Option<T>,
    ) -> Option<(usize, T)> {
        let hash = self.hash(name);
        let tag = Self::tag(hash);
        for index in self.candidates(hash) {
            let word = words.load(index);
            if word != 0
                && word >> TAG_SHIFT == tag
                && let Some(found) = is_it(Location::of(word))
            {
                return Some((index, found));
            }
        }
        None
    }

    /// A hash of the name: multiply and fold over 8-byte pieces, then the finaliser of
    /// MurmurHash3. Seeded, so that nobody can aim at a bucket.
    pub(super) fn hash(&self, name: &[u8]) -> u64 {
        let mut hash = self.seed ^ name.len() as u64;
        for piece in name.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..piece.len()].copy_from_slice(piece);
            let product = u128::from(hash ^ u64::from_le_bytes(bytes)) * 0x9e37_79b9_7f4a_7c15_u128;
            hash = product as u64 ^ (product >> 64) as u64;
        }
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ hash >> 33
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_survives_its_word() {
        for (container, offset) in [(1, 0), (7, 64), (u64::from(u32::MAX), 64 * ((1 << 20) - 1))] {
            let location = Location { container, offset };
            let word = location.word(0xabc).unwrap();
            assert_eq!(Location::of(word), location);
            assert_eq!(word >> TAG_SHIFT, 0xabc);
        }
    }

    #[test]
    fn what_does_not_fit_a_word_has_none() {
        for (container, offset) in [(0, 0), (1 << 32, 0), (1, 63), (1, 64 << 20)] {
            assert_eq!(Location { container, offset }.word(1), None);
        }
    }

    #[test]
    fn names_spread_over_the_buckets() {
        let table = Table::new(1024, 42);
        let mut hits = [0u32; 1024];
        for number in 0..8192 {
            let hash = table.hash(format!("name{number}").as_bytes());
            hits[(hash & 1023) as usize] += 1;
        }
        assert!(hits.iter().all(|count| *count < 40), "8 on average: {:?}", hits.iter().max());
    }
}
