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

/// Green's network for 16: pairs of places, of which the smaller word goes to the first.
#[rustfmt::skip]
const GREEN: [(usize, usize); 60] = [
    (0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13), (14, 15),
    (0, 2), (1, 3), (4, 6), (5, 7), (8, 10), (9, 11), (12, 14), (13, 15),
    (0, 4), (1, 5), (2, 6), (3, 7), (8, 12), (9, 13), (10, 14), (11, 15),
    (0, 8), (1, 9), (2, 10), (3, 11), (4, 12), (5, 13), (6, 14), (7, 15),
    (5, 10), (6, 9), (3, 12), (13, 14), (4, 8), (7, 11), (1, 2),
    (1, 4), (7, 13), (2, 8), (11, 14),
    (2, 4), (5, 6), (9, 10), (11, 13), (3, 8), (7, 12),
    (6, 8), (10, 12), (3, 5), (7, 9),
    (3, 4), (5, 6), (7, 8), (9, 10), (11, 12),
    (6, 7), (8, 9),
];

/// Sorts every run of `words`, each by itself.
///
/// # Panics
/// If `words` is not whole groups of sixteen runs.
pub(crate) fn sort_runs(words: &mut [u32]) {
    assert!(words.len().is_multiple_of(GROUP), "whole groups of runs");
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        for group in words.as_chunks_mut::<GROUP>().0 {
            // SAFETY: the processor has AVX-512F.
            unsafe { avx512::sort_group(group) };
        }
        return;
    }
    plain(words);
}

/// The plain form.
fn plain(words: &mut [u32]) {
    words.as_chunks_mut::<SLOTS>().0.iter_mut().for_each(|run| run.sort_unstable());
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_loadu_si512, _mm512_max_epu32, _mm512_min_epu32, _mm512_shuffle_i32x4,
        _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32,
        _mm512_unpacklo_epi64,
    };

    use super::{GREEN, GROUP, SLOTS};

    #[target_feature(enable = "avx512f")]
    pub(super) fn sort_group(words: &mut [u32; GROUP]) {
        let base = words.as_mut_ptr();
        // SAFETY: sixteen lines of sixteen words are the group.
        let mut rows: [__m512i; 16] =
            std::array::from_fn(|row| unsafe { _mm512_loadu_si512(base.add(row * SLOTS).cast()) });
        transpose(&mut rows);
        for (low, high) in GREEN {
            let (a, b) = (rows[low], rows[high]);
            rows[low] = _mm512_min_epu32(a, b);
            rows[high] = _mm512_max_epu32(a, b);
        }
        transpose(&mut rows);
        for (row, value) in rows.into_iter().enumerate() {
            // SAFETY: as the loads.
            unsafe { _mm512_storeu_si512(base.add(row * SLOTS).cast(), value) };
        }
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
            for (low, high) in GREEN {
                if run[low] > run[high] {
                    run.swap(low, high);
                }
            }
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
        let mut expected = words.clone();

        sort_runs(&mut words);
        plain(&mut expected);

        assert_eq!(words, expected);
    }
}
