//! Values put into a given order: `target[i] = source[order[i]]`, or in reverse, for values of any
//! width; and short strings copied.

use super::wide::wide;

/// Writes the values of `source`, `width` bytes each, to `target` in this order.
///
/// # Panics
/// If an index of `order` lies outside `source`, or the width is none that a lane has.
///
/// # Safety
/// `order.len() * width` bytes from `target` on must be writable, and nobody else's meanwhile.
pub(crate) unsafe fn permute(width: usize, source: &[u8], order: &[u32], target: *mut u8) {
    let most = wide(|| order.iter().copied().max()).unwrap_or(0) as usize;
    assert!(order.is_empty() || (most + 1) * width <= source.len(), "an index within the source");
    // SAFETY: every index was found to be within the source; the target is the caller's promise.
    unsafe {
        match width {
            1 => each::<u8>(source, order, target),
            2 => each::<u16>(source, order, target),
            4 => each::<u32>(source, order, target),
            8 => each::<u64>(source, order, target),
            16 => each::<u128>(source, order, target),
            32 => each::<[u128; 2]>(source, order, target),
            64 => each::<[u128; 4]>(source, order, target),
            other => unreachable!("no lane is {other} bytes wide"),
        }
    }
}

/// # Safety
/// As [`permute`], and every index of `order` lies within `source`.
unsafe fn each<T: Copy>(source: &[u8], order: &[u32], target: *mut u8) {
    let source = source.as_ptr().cast::<T>();
    let target = target.cast::<T>();
    for (at, index) in order.iter().enumerate() {
        // SAFETY: the caller's promise, for the index and for the place.
        unsafe { target.add(at).write_unaligned(source.add(*index as usize).read_unaligned()) };
    }
}

/// The values of `source`, `width` bytes each, the last one first.
///
/// # Panics
/// If the width is none that a lane has.
pub(crate) fn reverse(width: usize, source: &[u8], target: &mut Vec<u8>) {
    target.clear();
    target.resize(source.len(), 0);
    match width {
        1 => reversed::<1>(source, target),
        2 => reversed::<2>(source, target),
        4 => reversed::<4>(source, target),
        8 => reversed::<8>(source, target),
        16 => reversed::<16>(source, target),
        32 => reversed::<32>(source, target),
        64 => reversed::<64>(source, target),
        other => unreachable!("no lane is {other} bytes wide"),
    }
}

fn reversed<const N: usize>(source: &[u8], target: &mut [u8]) {
    let (source, target) = (source.as_chunks::<N>().0, target.as_chunks_mut::<N>().0);
    wide(|| target.iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = *from));
}

/// Copies a string. Most are short: two moves that overlap, in place of a call.
///
/// # Safety
/// As many bytes as `source` has must be writable from `target` on, and nobody else's meanwhile.
#[inline(always)]
pub(crate) unsafe fn copy_short(source: &[u8], target: *mut u8) {
    /// # Safety
    /// As [`copy_short`], and `source` has at least as many bytes as a `T`, and at most twice that.
    #[inline(always)]
    unsafe fn ends<T: Copy>(source: &[u8], target: *mut u8) {
        let last = source.len() - size_of::<T>();
        // SAFETY: both ends lie within the bytes.
        unsafe {
            let first = source.as_ptr().cast::<T>().read_unaligned();
            let end = source.as_ptr().add(last).cast::<T>().read_unaligned();
            target.cast::<T>().write_unaligned(first);
            target.add(last).cast::<T>().write_unaligned(end);
        }
    }
    // SAFETY: the caller's promise; the lengths are those that `ends` wants.
    unsafe {
        match source.len() {
            8..=16 => ends::<u64>(source, target),
            17..=32 => ends::<u128>(source, target),
            4..8 => ends::<u32>(source, target),
            2..4 => ends::<u16>(source, target),
            1 => ends::<u8>(source, target),
            33..=64 => ends::<[u128; 2]>(source, target),
            65..=128 => ends::<[u128; 4]>(source, target),
            len => std::ptr::copy_nonoverlapping(source.as_ptr(), target, len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_every_length_are_copied_and_nothing_beside_them() {
        let source: Vec<u8> = (1..=140).collect();
        for len in 0..=140 {
            let mut target = [0; 160];

            // SAFETY: the target has room from its tenth byte on.
            unsafe { copy_short(&source[..len], target.as_mut_ptr().add(10)) };

            assert_eq!(target[10..10 + len], source[..len]);
            assert!(target[..10].iter().chain(&target[10 + len..]).all(|byte| *byte == 0));
        }
    }

    #[test]
    fn values_of_every_width_are_reversed() {
        for width in [1, 2, 4, 8, 16, 32, 64] {
            let source: Vec<u8> = (0..37 * width).map(|at| at as u8).collect();
            let mut target = Vec::new();

            reverse(width, &source, &mut target);

            let expected: Vec<u8> = source.chunks(width).rev().flatten().copied().collect();
            assert_eq!(target, expected);
        }
    }

    #[test]
    fn values_of_every_width_are_put_in_order() {
        let order = [3, 0, 2, 2, 1];
        for width in [1, 2, 4, 8, 16, 32, 64] {
            let source: Vec<u8> = (0..4 * width).map(|at| at as u8).collect();
            let mut target = vec![0; order.len() * width];

            // SAFETY: the target has room for all of them.
            unsafe { permute(width, &source, &order, target.as_mut_ptr()) };

            for (at, index) in order.iter().enumerate() {
                let from = *index as usize * width;
                assert_eq!(target[at * width..(at + 1) * width], source[from..from + width]);
            }
        }
    }
}
