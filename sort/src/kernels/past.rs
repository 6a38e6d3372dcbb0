//! Copying past the cache, to memory that nobody reads soon: an ordinary store first reads the line
//! that it overwrites.

/// Copies bytes; whole lines of the target go past the cache, and are seen by other threads after a
/// fence ([`Target::fence`](crate::target::Target::fence)).
///
/// # Safety
/// As many bytes as `source` has must be writable from `target` on, and nobody else's meanwhile.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn copy_past(source: &[u8], target: *mut u8) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    const LINE: usize = 64;
    let head = target.align_offset(LINE).min(source.len());
    let (first, rest) = source.split_at(head);
    let (lines, last) = rest.as_chunks::<LINE>();
    // SAFETY: the three parts are the source's, one after the other, and so are their places, the
    // second's at a multiple of 64; every processor of this architecture has SSE2.
    unsafe {
        std::ptr::copy_nonoverlapping(first.as_ptr(), target, head);
        let mut place = target.add(head).cast::<__m128i>();
        for line in lines {
            let from = line.as_ptr().cast::<__m128i>();
            for quarter in 0..4 {
                _mm_stream_si128(place.add(quarter), _mm_loadu_si128(from.add(quarter)));
            }
            place = place.add(4);
        }
        std::ptr::copy_nonoverlapping(last.as_ptr(), place.cast::<u8>(), last.len());
    }
}

/// Copies bytes.
///
/// # Safety
/// As many bytes as `source` has must be writable from `target` on, and nobody else's meanwhile.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) unsafe fn copy_past(source: &[u8], target: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), target, source.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_and_nothing_beside_it() {
        let source: Vec<u8> = (0..1000).map(|at| (at % 251) as u8 + 1).collect();
        for start in 0..70 {
            for len in [0, 1, 63, 64, 65, 300, 900] {
                let mut target = [0_u8; 1100];

                // SAFETY: the target has room from its tenth byte on.
                unsafe { copy_past(&source[start..start + len], target.as_mut_ptr().add(start)) };

                assert_eq!(target[start..start + len], source[start..start + len]);
                assert!(target[..start].iter().chain(&target[start + len..]).all(|b| *b == 0));
            }
        }
    }
}
