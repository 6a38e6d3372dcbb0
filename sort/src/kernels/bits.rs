//! Bitmaps, one bit a row, to bytes of 0 and 1, one a row, and back.

use arrow_buffer::BooleanBuffer;

/// Writes a byte of 0 or 1 for each of `len` bits from `start` on.
pub(crate) fn spread(bits: &BooleanBuffer, start: usize, target: &mut Vec<u8>, len: usize) {
    target.clear();
    target.reserve(len);
    let first = bits.offset() + start;
    let bytes = bits.values();
    let mut row = 0;
    while row < len && !(first + row).is_multiple_of(8) {
        target.push(bytes[(first + row) / 8] >> ((first + row) % 8) & 1);
        row += 1;
    }
    for byte in &bytes[(first + row) / 8..(first + len) / 8] {
        if row + 8 > len {
            break;
        }
        target.extend_from_slice(&spread_byte(*byte));
        row += 8;
    }
    for row in row..len {
        target.push(bytes[(first + row) / 8] >> ((first + row) % 8) & 1);
    }
}

/// The bits of a byte, the lowest first, as bytes.
fn spread_byte(byte: u8) -> [u8; 8] {
    std::array::from_fn(|bit| byte >> bit & 1)
}

/// Packs bytes of 0 and 1 into bits; the last byte's upper bits are zero.
///
/// # Panics
/// If `target` is not an eighth as long as `source`, rounded up.
pub(crate) fn pack(source: &[u8], target: &mut [u8]) {
    assert_eq!(target.len(), source.len().div_ceil(8));
    let (whole, rest) = source.as_chunks::<8>();
    for (bytes, target) in whole.iter().zip(target.iter_mut()) {
        // Each product brings the lowest bit of one byte to the top byte, in order.
        let bits = u64::from_le_bytes(*bytes) & 0x0101_0101_0101_0101;
        *target = (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    if let (Some(last), false) = (target.last_mut(), rest.is_empty()) {
        *last = rest.iter().enumerate().fold(0, |bits, (at, byte)| bits | (byte & 1) << at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spread_is_packed_again() {
        let bits: Vec<bool> = (0..200).map(|i| i % 3 == 0 || i % 7 == 2).collect();
        let buffer = BooleanBuffer::from(bits.clone());
        for start in [0, 1, 7, 8, 9, 63] {
            for len in [0, 1, 5, 8, 9, 64, 130] {
                let mut bytes = Vec::new();
                spread(&buffer, start, &mut bytes, len);
                let expected: Vec<u8> =
                    bits[start..start + len].iter().map(|bit| u8::from(*bit)).collect();
                assert_eq!(bytes, expected, "{start} {len}");

                let mut packed = vec![0xff; len.div_ceil(8)];
                pack(&bytes, &mut packed);
                let back = BooleanBuffer::new(packed.into(), 0, len);
                assert!(back.iter().eq(bits[start..start + len].iter().copied()));
            }
        }
    }
}
