//! The one copy: where each run of bytes comes from, and how it gets to its place.
//!
//! Most bytes are copied as they are. What a slice changes (bits that do not start at a byte,
//! offsets that do not start at zero, keys of a merged dictionary) is changed on the way, so
//! that it costs no copy of its own.
//!
//! **Invariant:** every byte of the destination is written, padding as zero. Copies start at
//! multiples of [`ALIGNMENT`](crate::ALIGNMENT) in the file, and so may be cut there.

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};

use crate::stream;

/// A run of bytes and the zeros that follow it.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    source: Source,
    len: usize,
    padding: usize,
}

/// Where bytes come from and what happens to them on the way.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// As they are.
    Bytes(Buffer),
    /// A bitmap, moved to start at a byte; bits past its end become zero.
    Bits(BooleanBuffer),
    /// Integers from which `base` is taken, kept between 0 and `cap`.
    Rebased { integers: Buffer, width: Width, base: i64, cap: i64 },
    /// Offsets of a dense union, each made relative to the start of its child's slice.
    UnionOffsets { offsets: Buffer, types: Buffer, bases: Arc<[i32; 128]> },
    /// Keys of a dictionary, which become `map[key]`; those of nulls may be anything.
    Keys { keys: Buffer, width: Width, map: Arc<[u64]>, nulls: Option<NullBuffer> },
}

/// Where copied bytes go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Into the cache, where a reader may still find them.
    Cached,
    /// To memory at once: see [`stream`].
    Streamed,
}

impl Way {
    /// The way for a file of this many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        if bytes < stream::LEAST_BYTES { Self::Cached } else { Self::Streamed }
    }
}

/// How wide an integer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    One,
    Two,
    Four,
    Eight,
}

impl Width {
    /// The width of `bytes`, which must be 1, 2, 4 or 8.
    pub(crate) fn of(bytes: usize) -> Self {
        match bytes {
            1 => Self::One,
            2 => Self::Two,
            4 => Self::Four,
            8 => Self::Eight,
            other => unreachable!("no Arrow integer is {other} bytes wide"),
        }
    }
}

impl Copy {
    /// `padding` is how many zeros follow.
    pub(crate) fn new(source: Source, padding: usize) -> Self {
        let len = match &source {
            Source::Bytes(bytes) => bytes.len(),
            Source::Bits(bits) => bits.len().div_ceil(8),
            Source::Rebased { integers, .. } => integers.len(),
            Source::UnionOffsets { offsets, .. } => offsets.len(),
            Source::Keys { keys, .. } => keys.len(),
        };
        Self { source, len, padding }
    }

    /// How many bytes it writes, padding included.
    pub(crate) fn len(&self) -> usize {
        self.len + self.padding
    }

    /// The bytes, where they lie if nothing happens to them on the way, and how many zeros follow.
    pub(crate) fn to_slice(&self) -> (Buffer, usize) {
        let bytes = match &self.source {
            Source::Bytes(bytes) => bytes.clone(),
            // What follows the last bit is nobody's.
            Source::Bits(bits) if bits.offset() % 8 == 0 => {
                bits.inner().slice_with_length(bits.offset() / 8, self.len)
            }
            _ => {
                let mut bytes = Vec::with_capacity(self.len);
                self.write(0, &mut bytes.spare_capacity_mut()[..self.len], Way::Cached);
                // SAFETY: `write` wrote all of them.
                unsafe { bytes.set_len(self.len) };
                Buffer::from_vec(bytes)
            }
        };
        (bytes, self.padding)
    }

    /// Writes as many bytes as `target` holds, those from `start` on.
    ///
    /// `start` is zero or a multiple of the alignment, and so is never inside an integer.
    fn write(&self, start: usize, target: &mut [MaybeUninit<u8>], way: Way) {
        let data = self.len.saturating_sub(start).min(target.len());
        let (target, padding) = target.split_at_mut(data);
        padding.fill(MaybeUninit::new(0));
        if data == 0 {
            return;
        }

        let end = start + data;
        match &self.source {
            Source::Bytes(bytes) => copy(&bytes[start..end], target, way),
            Source::Bits(bits) => copy_bits(bits, start, target),
            Source::Rebased { integers, width, base, cap } => {
                let source = &integers[start..end];
                let place = |value: i64| value.saturating_sub(*base).clamp(0, *cap);
                match width {
                    Width::One => unreachable!("no offset is one byte wide"),
                    Width::Two => each(source, target, |value| {
                        (place(i16::from_le_bytes(value).into()) as i16).to_le_bytes()
                    }),
                    Width::Four => each(source, target, |value| {
                        (place(i32::from_le_bytes(value).into()) as i32).to_le_bytes()
                    }),
                    Width::Eight => {
                        each(source, target, |value| place(i64::from_le_bytes(value)).to_le_bytes())
                    }
                }
            }
            Source::UnionOffsets { offsets, types, bases } => {
                let mut types = types[start / 4..].iter();
                each(&offsets[start..end], target, |offset| {
                    let child = types.next().map_or(0, |child| usize::from(*child & 0x7f));
                    (i32::from_le_bytes(offset).wrapping_sub(bases[child])).to_le_bytes()
                });
            }
            Source::Keys { keys, width, map, nulls } => {
                let source = &keys[start..end];
                let nulls = nulls.as_ref();
                match width {
                    Width::One => each_key(source, target, start, map, nulls, |key| {
                        u8::from_le_bytes(key).into()
                    }),
                    Width::Two => each_key(source, target, start, map, nulls, |key| {
                        u16::from_le_bytes(key).into()
                    }),
                    Width::Four => each_key(source, target, start, map, nulls, |key| {
                        u32::from_le_bytes(key).into()
                    }),
                    Width::Eight => each_key(source, target, start, map, nulls, u64::from_le_bytes),
                }
            }
        }
    }
}

/// Fills `target` with what `copies` hold one after the other, from byte `start` of the first.
///
/// Together they must hold at least as many bytes as `target`.
pub(crate) fn write(
    copies: &[Copy],
    mut start: usize,
    mut target: &mut [MaybeUninit<u8>],
    way: Way,
) {
    for copy in copies {
        let now = (copy.len() - start).min(target.len());
        let (head, tail) = target.split_at_mut(now);
        copy.write(start, head, way);
        target = tail;
        start = 0;
        if target.is_empty() {
            return;
        }
    }
    assert!(target.is_empty(), "the copies fall {} bytes short", target.len());
}

/// As [`write`], over bytes that have been written before.
pub(crate) fn write_init(copies: &[Copy], target: &mut [u8], way: Way) {
    let target: *mut [u8] = target;
    // SAFETY: `MaybeUninit<u8>` has the size and alignment of `u8`, and `write` leaves every byte
    // initialised; the borrow is as long as `target`'s.
    write(copies, 0, unsafe { &mut *(target as *mut [MaybeUninit<u8>]) }, way);
}

/// Copies bytes that both sides hold.
pub(crate) fn copy(source: &[u8], target: &mut [MaybeUninit<u8>], way: Way) {
    let source: *const [u8] = source;
    // SAFETY: `MaybeUninit<u8>` has the size and alignment of `u8`, and every initialised byte
    // is a valid `MaybeUninit<u8>`; the reference is shared and lives as long as `source`.
    let source = unsafe { &*(source as *const [MaybeUninit<u8>]) };
    match way {
        Way::Cached => target.copy_from_slice(source),
        Way::Streamed => stream::copy(source, target),
    }
}

/// Copies the bits from byte `start` of the result on, and clears those past the end.
fn copy_bits(bits: &BooleanBuffer, start: usize, target: &mut [MaybeUninit<u8>]) {
    let first = bits.offset() / 8 + start;
    let shift = bits.offset() % 8;
    let end = (bits.offset() + bits.len()).div_ceil(8);
    let source = &bits.values()[first..end];
    if shift == 0 {
        copy(&source[..target.len()], target, Way::Cached);
    } else {
        let pairs = source.windows(2);
        for (byte, pair) in target.iter_mut().zip(pairs) {
            *byte = MaybeUninit::new((pair[0] >> shift) | (pair[1] << (8 - shift)));
        }
        // The last byte of the bitmap has no successor to take bits from.
        if source.len() == target.len() {
            target[source.len() - 1] = MaybeUninit::new(source[source.len() - 1] >> shift);
        }
    }

    let (written, used) = (start + target.len(), bits.len() % 8);
    if written == bits.len().div_ceil(8) && used != 0 {
        let last = target.len() - 1;
        let byte = bits_of_byte(bits, bits.len() - used, used);
        target[last] = MaybeUninit::new(byte);
    }
}

/// The `count` bits (fewer than 8) from `start` on, as the low bits of a byte.
fn bits_of_byte(bits: &BooleanBuffer, start: usize, count: usize) -> u8 {
    (0..count).fold(0, |byte, i| byte | (u8::from(bits.value(start + i)) << i))
}

/// Writes `change(integer)` for every integer.
fn each<const N: usize>(
    source: &[u8],
    target: &mut [MaybeUninit<u8>],
    mut change: impl FnMut([u8; N]) -> [u8; N],
) {
    let (source, _) = source.as_chunks::<N>();
    let (target, _) = target.as_chunks_mut::<N>();
    for (from, to) in source.iter().zip(target) {
        *to = change(*from).map(MaybeUninit::new);
    }
}

/// Writes `map[key]` for every key; zero for nulls that point nowhere.
fn each_key<const N: usize>(
    source: &[u8],
    target: &mut [MaybeUninit<u8>],
    start: usize,
    map: &[u64],
    nulls: Option<&NullBuffer>,
    read: impl Fn([u8; N]) -> u64,
) {
    let mut row = start / N;
    each(source, target, |key| {
        let null = nulls.is_some_and(|nulls| nulls.is_null(row));
        row += 1;
        let key = usize::try_from(read(key)).unwrap_or(usize::MAX);
        let mapped = if null { 0 } else { map.get(key).copied().unwrap_or(0) };
        let mut bytes = [0; N];
        bytes.copy_from_slice(&mapped.to_le_bytes()[..N]);
        bytes
    });
}
