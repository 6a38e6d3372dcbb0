//! The first letters of strings as numbers of a mixed radix, four strings at a time.
//!
//! ```text
//! bytes ─▶ places in the alphabet ─▶ pairs ─▶ fours ─▶ eights ─▶ one number
//!          (one look-up for 64)      each step: left · radix^n + right
//! ```

/// The most letters of a string that are looked at.
pub(crate) const MOST_LETTERS: usize = 16;

/// The greatest radix: products of two places fit 15 bits.
const MOST_RADIX: u64 = 127;

/// Marks bytes that are not in the alphabet.
const UNSEEN: u8 = 0x80;

/// An alphabet of bytes below 128.
#[derive(Debug)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "there is none then"))]
pub(crate) struct Letters {
    /// The place of each byte, from 1 on.
    places: [u8; 128],
    radix: u64,
    /// How many letters a number holds.
    letters: usize,
    /// Which byte of a string goes where: the last letter to the last byte, whatever their number.
    from: [i8; 64],
}

impl Letters {
    /// An alphabet: the place of each byte, `None` if it has none. There is no result if it is too
    /// large, or the processor lacks what makes this fast.
    pub(crate) fn new(
        place: impl Fn(u8) -> Option<u64>,
        radix: u64,
        letters: usize,
    ) -> Option<Self> {
        let none_above = (128..=255).all(|byte| place(byte).is_none());
        if !has_all() || radix > MOST_RADIX || letters > MOST_LETTERS || !none_above {
            return None;
        }
        let places = std::array::from_fn(|byte| place(byte as u8).map_or(UNSEEN, |at| at as u8));
        let empty = MOST_LETTERS - letters;
        let from =
            std::array::from_fn(|at| if at % 16 < empty { -1 } else { (at % 16 - empty) as i8 });
        Some(Self { places, radix, letters, from })
    }

    /// Does the work compiled for what [`four`](Self::four) needs, so that it is inlined.
    #[inline(always)]
    pub(crate) fn wide<R>(&self, work: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there are alphabets only where the processor has these features.
        return unsafe { with_vbmi(work) };
        #[cfg(not(target_arch = "x86_64"))]
        return work();
    }

    /// The numbers of four strings; `None` if one has a letter that is not in the alphabet.
    #[inline(always)]
    pub(crate) fn four(&self, texts: [&[u8]; 4]) -> Option<[u64; 4]> {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there are alphabets only where the processor has these features.
        return unsafe { self.four_by_512(texts) };
        #[cfg(not(target_arch = "x86_64"))]
        return texts.first().and(None);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi2")]
    fn four_by_512(&self, texts: [&[u8]; 4]) -> Option<[u64; 4]> {
        use std::arch::x86_64::{
            __m128i, __m256i, _mm_maskz_loadu_epi8, _mm256_storeu_si256, _mm512_add_epi64,
            _mm512_castsi128_si512, _mm512_castsi512_si256, _mm512_inserti32x4, _mm512_loadu_si512,
            _mm512_madd_epi16, _mm512_maddubs_epi16, _mm512_maskz_compress_epi64,
            _mm512_maskz_permutex2var_epi8, _mm512_movepi8_mask, _mm512_mul_epu32,
            _mm512_mullo_epi64, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_epi64,
            _mm512_shuffle_epi8, _mm512_srli_epi64, _mm512_unpackhi_epi64,
        };
        let held = texts.map(|text| text.len().min(self.letters));
        let masks = held.map(|held| ((1_u32 << held) - 1) as u16);
        let load = |at: usize| -> __m128i {
            // SAFETY: bytes beyond a string's end are not read: their bits in the mask are 0.
            unsafe { _mm_maskz_loadu_epi8(masks[at], texts[at].as_ptr().cast()) }
        };
        let bytes = _mm512_castsi128_si512(load(0));
        let bytes = _mm512_inserti32x4::<1>(bytes, load(1));
        let bytes = _mm512_inserti32x4::<2>(bytes, load(2));
        let bytes = _mm512_inserti32x4::<3>(bytes, load(3));
        let mask = masks.iter().rev().fold(0_u64, |mask, each| mask << 16 | u64::from(*each));

        // SAFETY: both halves lie within the 128 places.
        let (low, high) = unsafe {
            let places = self.places.as_ptr();
            (_mm512_loadu_si512(places.cast()), _mm512_loadu_si512(places.add(64).cast()))
        };
        let places = _mm512_maskz_permutex2var_epi8(mask, low, bytes, high);
        if (_mm512_movepi8_mask(bytes) | _mm512_movepi8_mask(places)) != 0 {
            return None;
        }
        // SAFETY: 64 bytes are read.
        let from = unsafe { _mm512_loadu_si512(self.from.as_ptr().cast()) };
        let places = _mm512_shuffle_epi8(places, from);

        let (one, two, four) = (self.radix, self.radix.pow(2), self.radix.pow(4));
        let pairs = _mm512_maddubs_epi16(places, _mm512_set1_epi16(1 << 8 | one as i16));
        let fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(1 << 16 | two as i32));
        let left = _mm512_mul_epu32(fours, _mm512_set1_epi64(four as i64));
        let eights = _mm512_add_epi64(left, _mm512_srli_epi64::<32>(fours));
        let eighth = _mm512_set1_epi64(self.radix.pow(8) as i64);
        let left = _mm512_mullo_epi64(eights, eighth);
        let all = _mm512_add_epi64(left, _mm512_unpackhi_epi64(eights, eights));
        let all = _mm512_castsi512_si256(_mm512_maskz_compress_epi64(0b0101_0101, all));
        let mut numbers = [0; 4];
        // SAFETY: 32 bytes are written.
        unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast::<__m256i>(), all) };
        Some(numbers)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi2")]
fn with_vbmi<R>(work: impl FnOnce() -> R) -> R {
    work()
}

fn has_all() -> bool {
    #[cfg(target_arch = "x86_64")]
    return super::wide::has_avx512() && is_x86_feature_detected!("avx512vbmi");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain form.
    fn plain(letters: &Letters, text: &[u8]) -> Option<u64> {
        let mut number = 0;
        for at in 0..letters.letters {
            let place = match text.get(at) {
                None => 0,
                Some(byte) => u64::from(*letters.places.get(usize::from(*byte))?),
            };
            if place >= u64::from(UNSEEN) {
                return None;
            }
            number = number * letters.radix + place;
        }
        Some(number)
    }

    proptest! {
        #[test]
        fn the_fast_form_is_the_plain_one(
            texts in proptest::array::uniform4("[ -~]{0,20}|[!-8]{0,20}|[!-8]{6,9}ä?"),
            alphabet in 1_u64..=126,
        ) {
            let radix = alphabet + 1;
            let letters = (1..=MOST_LETTERS as u32)
                .rev()
                .find(|letters| radix.checked_pow(*letters).is_some())
                .unwrap() as usize;
            // Every byte from the space on has a place, as many as there are.
            let place = |byte: u8| {
                u64::from(byte).checked_sub(31).filter(|at| *at <= alphabet && byte < 128)
            };
            let Some(letters) = Letters::new(place, radix, letters) else { return Ok(()) };
            let texts = texts.each_ref().map(|text| text.as_bytes());

            let found = letters.four(texts);

            let plain = texts.map(|text| plain(&letters, text));
            match found {
                Some(numbers) => prop_assert_eq!(numbers.map(Some), plain),
                None => prop_assert!(plain.contains(&None)),
            }
        }
    }
}
