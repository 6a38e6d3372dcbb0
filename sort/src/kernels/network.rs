//! Many short runs of 32-bit words, sorted at once.
//!
//! Each run has 16 slots, which is one cache line; those not used hold [`EMPTY`], which sorts last.
//! With AVX-512, 16 runs are turned so that lane `j` of register `i` is slot `i` of run `j`, and a
//! sorting network (Green's, of 60 comparisons) is applied to all of them together.

/// Slots in a run.
pub(crate) const SLOTS: usize = 16;

/// What a slot without a word holds.
pub(crate) const EMPTY: u32 = u32::MAX;

/// Sixteen runs, which are sorted together.
pub(crate) const GROUP: usize = 16 * SLOTS;

/// Puts a word for each of `scaled` into its run: the run's number stands in the upper bits, and
/// the lower 16 become the upper ones of the word, whose lower ones are the index, counted from
/// `first` on. `used` counts the slots used of each run; what finds none goes to `over`, as run
/// and index.
///
/// # Panics
/// If a run's number is none of a run, or words and counts don't agree.
#[inline(always)]
pub(crate) fn put_words(
    scaled: &[u64],
    first: u32,
    words: &mut [u32],
    used: &mut [u8],
    over: &mut Vec<u64>,
) {
    assert_eq!(words.len(), used.len() * SLOTS, "a run is {SLOTS} words");
    let most = scaled.iter().fold(0, |most, scaled| most.max(scaled >> 16));
    assert!((most as usize) < used.len(), "a number of a run");
    let (words, used) = (words.as_mut_ptr(), used.as_mut_ptr());
    for (scaled, index) in scaled.iter().zip(first..) {
        let run = (scaled >> 16) as usize;
        // SAFETY: every run is in bounds, as was found; its slots lie within the words.
        unsafe {
            let slot = usize::from(*used.add(run));
            if slot < SLOTS {
                *words.add(run * SLOTS + slot) = (*scaled as u32) << 16 | index;
                *used.add(run) = slot as u8 + 1;
            } else {
                over.push((run as u64) << 32 | u64::from(index));
            }
        }
    }
}

/// Applies Green's network for 16: `$sort!(low, high)` for each pair of places, of which the
/// smaller word is to go to the first. A macro, since places that are constants stay in registers.
#[cfg(any(target_arch = "x86_64", test))]
macro_rules! green {
    ($sort:ident) => {
        green! { @each $sort
            (0 1) (2 3) (4 5) (6 7) (8 9) (10 11) (12 13) (14 15)
            (0 2) (1 3) (4 6) (5 7) (8 10) (9 11) (12 14) (13 15)
            (0 4) (1 5) (2 6) (3 7) (8 12) (9 13) (10 14) (11 15)
            (0 8) (1 9) (2 10) (3 11) (4 12) (5 13) (6 14) (7 15)
            (5 10) (6 9) (3 12) (13 14) (4 8) (7 11) (1 2)
            (1 4) (7 13) (2 8) (11 14)
            (2 4) (5 6) (9 10) (11 13) (3 8) (7 12)
            (6 8) (10 12) (3 5) (7 9)
            (3 4) (5 6) (7 8) (9 10) (11 12)
            (6 7) (8 9)
        }
    };
    (@each $sort:ident $(($low:literal $high:literal))*) => {
        $($sort!($low, $high);)*
    };
}

/// Sorts every run of `words`, each by itself. `ties` tells for each group of sixteen whether there
/// may be words in one of its runs that agree in their upper 16 bits.
///
/// # Panics
/// If `words` is not whole groups of sixteen runs.
pub(crate) fn sort_runs(words: &mut [u32], ties: &mut Vec<bool>) {
    assert!(words.len().is_multiple_of(GROUP), "whole groups of runs");
    ties.clear();
    let (groups, _) = words.as_chunks_mut::<GROUP>();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F.
        ties.extend(groups.iter_mut().map(|group| unsafe { avx512::sort_group(group) }));
        return;
    }
    ties.extend(groups.iter_mut().map(plain));
}

/// The plain form, of one group.
fn plain(group: &mut [u32; GROUP]) -> bool {
    let mut ties = false;
    for run in group.as_chunks_mut::<SLOTS>().0 {
        run.sort_unstable();
        ties |= run.windows(2).any(|pair| pair[1] != EMPTY && pair[0] >> 16 == pair[1] >> 16);
    }
    ties
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_cmplt_epu32_mask, _mm512_cmpneq_epu32_mask, _mm512_loadu_si512,
        _mm512_max_epu32, _mm512_min_epu32, _mm512_set1_epi32, _mm512_shuffle_i32x4,
        _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
        _mm512_unpacklo_epi64, _mm512_xor_si512,
    };

    use super::{EMPTY, GROUP, SLOTS};

    #[target_feature(enable = "avx512f")]
    pub(super) fn sort_group(words: &mut [u32; GROUP]) -> bool {
        let base = words.as_mut_ptr();
        // SAFETY: sixteen lines of sixteen words are the group.
        let mut rows: [__m512i; 16] =
            std::array::from_fn(|row| unsafe { _mm512_loadu_si512(base.add(row * SLOTS).cast()) });
        transpose(&mut rows);
        macro_rules! sort {
            ($low:literal, $high:literal) => {
                let (a, b) = (rows[$low], rows[$high]);
                rows[$low] = _mm512_min_epu32(a, b);
                rows[$high] = _mm512_max_epu32(a, b);
            };
        }
        green!(sort);
        let ties = has_ties(&rows);
        transpose(&mut rows);
        for (row, value) in rows.into_iter().enumerate() {
            // SAFETY: as the loads.
            unsafe { _mm512_storeu_si512(base.add(row * SLOTS).cast(), value) };
        }
        ties
    }

    /// Whether words one after the other agree in their upper halves.
    #[target_feature(enable = "avx512f")]
    fn has_ties(rows: &[__m512i; 16]) -> bool {
        let (half, empty) = (_mm512_set1_epi32(1 << 16), _mm512_set1_epi32(EMPTY as i32));
        let mut ties = 0;
        for at in 1..SLOTS {
            let same = _mm512_cmplt_epu32_mask(_mm512_xor_si512(rows[at - 1], rows[at]), half);
            ties |= same & _mm512_cmpneq_epu32_mask(rows[at], empty);
        }
        ties != 0
    }

    /// Turns sixteen registers of sixteen words.
    #[target_feature(enable = "avx512f")]
    fn transpose(rows: &mut [__m512i; 16]) {
        for four in 0..4 {
            let at = 4 * four;
            let low = _mm512_unpacklo_epi32(rows[at], rows[at + 1]);
            let high = _mm512_unpackhi_epi32(rows[at], rows[at + 1]);
            let low2 = _mm512_unpacklo_epi32(rows[at + 2], rows[at + 3]);
            let high2 = _mm512_unpackhi_epi32(rows[at + 2], rows[at + 3]);
            rows[at] = _mm512_unpacklo_epi64(low, low2);
            rows[at + 1] = _mm512_unpackhi_epi64(low, low2);
            rows[at + 2] = _mm512_unpacklo_epi64(high, high2);
            rows[at + 3] = _mm512_unpackhi_epi64(high, high2);
        }
        for at in 0..4 {
            let even = _mm512_shuffle_i32x4::<0x88>(rows[at], rows[at + 4]);
            let odd = _mm512_shuffle_i32x4::<0xdd>(rows[at], rows[at + 4]);
            let even2 = _mm512_shuffle_i32x4::<0x88>(rows[at + 8], rows[at + 12]);
            let odd2 = _mm512_shuffle_i32x4::<0xdd>(rows[at + 8], rows[at + 12]);
            rows[at] = _mm512_shuffle_i32x4::<0x88>(even, even2);
            rows[at + 8] = _mm512_shuffle_i32x4::<0xdd>(even, even2);
            rows[at + 4] = _mm512_shuffle_i32x4::<0x88>(odd, odd2);
            rows[at + 12] = _mm512_shuffle_i32x4::<0xdd>(odd, odd2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sorts() {
        // What sorts every sequence of zeros and ones sorts everything (Knuth's 0-1 principle).
        for bits in 0..1_u32 << 16 {
            let mut run: [u32; 16] = std::array::from_fn(|at| bits >> at & 1);
            macro_rules! sort {
                ($low:literal, $high:literal) => {
                    if run[$low] > run[$high] {
                        run.swap($low, $high);
                    }
                };
            }
            green!(sort);
            assert!(run.is_sorted(), "{bits:b}");
        }
    }

    #[test]
    fn the_fast_form_is_the_plain_one() {
        let mut state = 1_u64;
        let mut words: Vec<u32> = (0..8 * GROUP)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                if state >> 61 == 0 { EMPTY } else { (state >> 33) as u32 }
            })
            .collect();
        // Some agree, most do not.
        words[7 * GROUP + 3] = words[7 * GROUP] ^ 1;
        let mut expected = words.clone();
        let mut ties = Vec::new();

        sort_runs(&mut words, &mut ties);
        let expected_ties: Vec<bool> =
            expected.as_chunks_mut::<GROUP>().0.iter_mut().map(plain).collect();

        assert_eq!(words, expected);
        assert_eq!(ties, expected_ties);
        assert!(ties.contains(&true) && ties.contains(&false));
    }
}
