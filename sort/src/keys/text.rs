//! Strings as integers that hold as much of their beginning as fits.
//!
//! What a sample of the strings has in common at the front is left out, and bytes count in the
//! alphabet that the sample uses: 64 bits then hold ten letters where they would hold eight bytes,
//! and codes are spread evenly.
//!
//! **Invariant:** a code never contradicts the order of the strings, whatever the sample was. Equal
//! codes say nothing.

use crate::kernels::letters::{Letters, MOST_LETTERS};

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
    /// The powers of the radix, as many as there are letters.
    powers: [u64; MOST_LETTERS + 1],
    /// What the first half of the letters counts.
    low_power: u64,
    /// The greatest code.
    most: u64,
    /// The alphabet, if strings can be encoded several at a time.
    fast: Option<Letters>,
}

/// Marks bytes that are not in the alphabet.
const UNSEEN: u16 = 1 << 15;

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
        let powers = std::array::from_fn(|at| if at <= letters { radix.pow(at as u32) } else { 0 });
        let low_power = powers[letters - letters / 2];
        let place = |byte: u8| seen[usize::from(byte)].then(|| ranks[usize::from(byte)].into());
        let fast = Letters::new(place, radix, letters);
        let common = common.to_vec();
        Self { common, ranks, radix, letters, powers, low_power, most: power + 1, fast }
    }

    /// Does work that calls [`four`](Self::four), compiled for what that needs.
    #[inline(always)]
    pub(crate) fn wide(&self, work: impl FnOnce()) {
        match &self.fast {
            Some(fast) => fast.wide(work),
            None => work(),
        }
    }

    /// The codes of four strings.
    #[inline(always)]
    pub(crate) fn four(&self, texts: [&[u8]; 4]) -> [u64; 4] {
        let common = self.common.as_slice();
        if let Some(fast) = &self.fast
            && (common.is_empty() || texts.iter().all(|text| text.starts_with(common)))
            && let Some(numbers) = fast.four(texts.map(|text| &text[common.len()..]))
        {
            return numbers.map(|number| number + 1);
        }
        texts.map(|text| self.code(text))
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
        // Unrolled for the numbers of letters that are met: 7 of all bytes, 10 of letters and
        // digits, 11 of hexadecimal with capitals, 13 of one case, 16 of digits.
        match self.letters {
            7 => self.unrolled::<7>(rest),
            8 => self.unrolled::<8>(rest),
            9 => self.unrolled::<9>(rest),
            10 => self.unrolled::<10>(rest),
            11 => self.unrolled::<11>(rest),
            12 => self.unrolled::<12>(rest),
            13 => self.unrolled::<13>(rest),
            15 => self.unrolled::<15>(rest),
            16 => self.unrolled::<16>(rest),
            _ => self.one_by_one(rest),
        }
    }

    /// The code of a string without its common beginning, if it has `N` letters; in two halves that
    /// the processor works on side by side.
    #[inline(always)]
    fn unrolled<const N: usize>(&self, rest: &[u8]) -> u64 {
        let Some(letters) = rest.first_chunk::<N>() else { return self.one_by_one(rest) };
        let (mut high, mut low, mut marks) = (0, 0, 0);
        let (first, second) = letters.split_at(N / 2);
        for (code, half) in [(&mut high, first), (&mut low, second)] {
            for letter in half {
                let rank = self.ranks[usize::from(*letter)];
                marks |= rank;
                *code = *code * self.radix + u64::from(rank);
            }
        }
        if marks & UNSEEN != 0 {
            return self.one_by_one(rest);
        }
        high * self.low_power + low + 1
    }

    fn one_by_one(&self, rest: &[u8]) -> u64 {
        let mut code = 0;
        let held = rest.len().min(self.letters);
        for (at, byte) in rest[..held].iter().enumerate() {
            let rank = self.ranks[usize::from(*byte)];
            if rank & UNSEEN != 0 {
                return self.after(code * self.radix + u64::from(rank & !UNSEEN), at + 1);
            }
            code = code * self.radix + u64::from(rank);
        }
        code * self.powers[self.letters - held] + 1
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
            let four = [&a, &b, &b, &a].map(|text| text.as_bytes());
            prop_assert_eq!(coder.four(four), [code_a, code_b, code_b, code_a]);

            if code_a != code_b {
                prop_assert_eq!(code_a.cmp(&code_b), a.as_bytes().cmp(b.as_bytes()));
            }
            prop_assert!(code_a.max(code_b) <= coder.most());
            prop_assert!(bits == 64 || coder.most() < 1 << bits);
        }
    }
}
