//! Strings as integers that hold as much of their beginning as fits.
//!
//! What a sample of the strings has in common at the front is left out, and bytes count in the
//! alphabet that the sample uses: 64 bits then hold ten letters where they would hold eight bytes,
//! and codes are spread evenly.
//!
//! **Invariant:** a code never contradicts the order of the strings, whatever the sample was. Equal
//! codes say nothing.

/// How strings become codes.
#[derive(Debug)]
pub(crate) struct Coder {
    /// What most of them begin with.
    common: Vec<u8>,
    /// The place of each byte in the alphabet, from 1 on; 0 is a string's end. One that is not in
    /// it has the place of the letter before it, and is marked.
    ranks: [u16; 256],
    radix: u64,
    /// Letters that a code holds.
    letters: usize,
    /// The greatest code.
    most: u64,
}

/// Marks bytes that are not in the alphabet.
const UNSEEN: u16 = 1 << 15;

/// Letters beyond these are left to a comparison.
const MOST_LETTERS: usize = 16;

impl Coder {
    /// A coder with codes of at most this many bits (3 to 64), from a sample of the strings.
    pub(crate) fn new(sample: &[&[u8]], bits: u32) -> Self {
        let common = common_prefix(sample);
        let mut seen = [false; 256];
        for text in sample {
            let letters = text[common.len()..].iter().take(MOST_LETTERS);
            letters.for_each(|byte| seen[usize::from(*byte)] = true);
        }
        let mut used = 0_u16;
        let ranks = std::array::from_fn(|byte| {
            used += u16::from(seen[byte]);
            if seen[byte] { used } else { used | UNSEEN }
        });
        let radix = u64::from(used) + 1;
        // Two codes are for what lies before and after all that have the common beginning.
        let room = (u64::MAX >> (64 - bits)) - 2;
        let (mut letters, mut power) = (0, 1_u64);
        while letters < MOST_LETTERS && power.checked_mul(radix).is_some_and(|next| next <= room) {
            power *= radix;
            letters += 1;
        }
        Self { common: common.to_vec(), ranks, radix, letters, most: power + 1 }
    }

    /// The greatest code there is.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// A string's code.
    #[inline]
    pub(crate) fn code(&self, text: &[u8]) -> u64 {
        let common = self.common.as_slice();
        // Comparing nothing with nothing is slow where it is done by a masked load from nowhere.
        let rest = if common.is_empty() { Some(text) } else { text.strip_prefix(common) };
        let rest = match rest {
            Some(rest) => rest,
            None if text < common => return 0,
            None => return self.most,
        };
        let mut code = 0;
        let held = rest.len().min(self.letters);
        for (at, byte) in rest[..held].iter().enumerate() {
            let rank = self.ranks[usize::from(*byte)];
            if rank & UNSEEN != 0 {
                return self.after(code * self.radix + u64::from(rank & !UNSEEN), at + 1);
            }
            code = code * self.radix + u64::from(rank);
        }
        for _ in held..self.letters {
            code *= self.radix;
        }
        code + 1
    }

    /// The code of what comes after all strings that begin with the `held` letters of `code`: a
    /// byte that the alphabet lacks stands between two letters.
    #[cold]
    fn after(&self, code: u64, held: usize) -> u64 {
        (held..self.letters).fold(code, |code, _| code * self.radix + self.radix - 1) + 1
    }
}

fn common_prefix<'a>(sample: &[&'a [u8]]) -> &'a [u8] {
    let Some((first, rest)) = sample.split_first() else { return &[] };
    let len = rest.iter().fold(first.len(), |len, text| {
        let same = first.iter().zip(*text).take(len);
        same.take_while(|(a, b)| a == b).count()
    });
    &first[..len]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_code_never_contradicts_the_order(
            sample in proptest::collection::vec("ab?[a-f]{0,5}", 0..20),
            a in "ab?[a-h\0]{0,20}",
            b in "ab?[a-h\0]{0,20}",
            bits in 3_u32..=64,
        ) {
            let sample: Vec<&[u8]> = sample.iter().map(String::as_bytes).collect();
            let coder = Coder::new(&sample, bits);

            let (code_a, code_b) = (coder.code(a.as_bytes()), coder.code(b.as_bytes()));

            if code_a != code_b {
                prop_assert_eq!(code_a.cmp(&code_b), a.as_bytes().cmp(b.as_bytes()));
            }
            prop_assert!(code_a.max(code_b) <= coder.most());
            prop_assert!(bits == 64 || coder.most() < 1 << bits);
        }
    }
}
