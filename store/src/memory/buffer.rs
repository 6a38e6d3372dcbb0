//! Arrow buffers over mapped memory, and typed views of it.

use std::panic::RefUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::{ArrowNativeType, Buffer, MutableBuffer};

use super::ReadMap;

/// What a buffer keeps: the mapping, then whatever must go after it.
struct Kept<G> {
    map: Arc<ReadMap>,
    _guard: G,
}

/// `len` bytes at `offset` of the mapping as an Arrow buffer. The mapping lives as long as the
/// buffer or anything made of it; `guard` is dropped right after. `None` when they lie outside.
#[must_use]
pub fn buffer<G>(map: Arc<ReadMap>, offset: u64, len: u64, guard: G) -> Option<Buffer>
where
    G: Send + Sync + RefUnwindSafe + 'static,
{
    let bytes = NonNull::from(map.get(offset, len)?);
    let kept = Arc::new(Kept { map, _guard: guard });
    debug_assert!(kept.map.get(offset, len).is_some());
    // SAFETY: the bytes lie in the mapping, which stays until `kept` drops, and the buffer owns
    // `kept`. Nobody writes them: they were published (invariant 1).
    Some(unsafe { Buffer::from_custom_allocation(bytes.cast(), bytes.len(), kept) })
}

/// A copy of the bytes, aligned as Arrow wants it.
#[must_use]
pub fn aligned(bytes: &[u8]) -> Buffer {
    let mut copy = MutableBuffer::with_capacity(bytes.len());
    copy.extend_from_slice(bytes);
    copy.into()
}

/// Bytes of a draft as numbers.
///
/// # Panics
/// When they are not aligned or not a whole number of them.
pub fn typed_mut<T: ArrowNativeType>(bytes: &mut [u8]) -> &mut [T] {
    // SAFETY: Arrow's native types are plain numbers: any bytes are one, and any one is bytes.
    let (before, values, after) = unsafe { bytes.align_to_mut::<T>() };
    assert!(before.is_empty() && after.is_empty(), "a column is aligned and whole");
    values
}
