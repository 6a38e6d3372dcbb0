//! Values put into a given order: `target[i] = source[order[i]]`, for values of any width.

/// Writes the values of `source`, `width` bytes each, to `target` in this order.
///
/// # Panics
/// If an index of `order` lies outside `source`, or the width is none that a lane has.
///
/// # Safety
/// `order.len() * width` bytes from `target` on must be writable, and nobody else's meanwhile.
pub(crate) unsafe fn permute(width: usize, source: &[u8], order: &[u32], target: *mut u8) {
    let most = order.iter().copied().max().unwrap_or(0) as usize;
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
