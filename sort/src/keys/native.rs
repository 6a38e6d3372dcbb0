//! Values of fixed width as unsigned integers in the same order.

use std::cmp::Ordering;

use crate::kernels::wide::wide;
use crate::options::NanOrder;

/// How a key column's values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

/// A value that has an unsigned integer of the same order.
trait Ordered: Copy {
    /// The integer, in the low bits.
    fn ordered(self, nan: NanOrder) -> u64;
}

macro_rules! integers {
    ($($signed:ty, $unsigned:ty);*) => {$(
        impl Ordered for $unsigned {
            #[inline(always)]
            fn ordered(self, _: NanOrder) -> u64 {
                self.into()
            }
        }

        impl Ordered for $signed {
            #[inline(always)]
            fn ordered(self, _: NanOrder) -> u64 {
                // The sign bit is the other way round.
                (self as $unsigned ^ (1 << (<$unsigned>::BITS - 1))).into()
            }
        }
    )*};
}

integers!(i8, u8; i16, u16; i32, u32; i64, u64);

/// The bits of a float. (A type of its own, since there is none for 16 bits in the language.)
#[derive(Clone, Copy)]
struct Float<T>(T);

macro_rules! floats {
    ($($bits:ty, $infinity:expr);*) => {$(
        impl Ordered for Float<$bits> {
            /// IEEE 754's total order for numbers (so -0.0 comes before 0.0); every NaN is equal
            /// to every other.
            #[inline(always)]
            fn ordered(self, nan: NanOrder) -> u64 {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                let bits = self.0;
                let negative = (0 as $bits).wrapping_sub(bits >> (<$bits>::BITS - 1));
                let ordered = bits ^ (negative | SIGN);
                let value = match nan {
                    NanOrder::Greatest => <$bits>::MAX,
                    NanOrder::Smallest => 0,
                };
                (if bits & !SIGN > $infinity { value } else { ordered }).into()
            }
        }
    )*};
}

floats!(u16, 0x7c00; u32, 0x7f80_0000; u64, 0x7ff0_0000_0000_0000);

/// How an ordered integer becomes a code: `((ordered ^ flip) - base) >> drop`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shift {
    /// All ones for descending order.
    pub(crate) flip: u128,
    /// The least that occurs, flipped.
    pub(crate) base: u128,
    /// Low bits left out.
    pub(crate) drop: u32,
}

/// Calls a generic function with values of the type that a [`Native`] names, as arrays of bytes,
/// and with what makes an ordered integer of one.
macro_rules! with_native {
    ($native:expr, $nan:expr, $function:ident, $values:expr $(, $argument:expr)*) => {{
        let (chunks, nan) = ($values, $nan);
        macro_rules! call {
            ($read:expr) => {
                $function(
                    chunks.as_chunks().0,
                    move |bytes| $read(bytes).ordered(nan)
                    $(, $argument)*
                )
            };
        }
        match $native {
            Native::I8 => call!(i8::from_ne_bytes),
            Native::I16 => call!(i16::from_ne_bytes),
            Native::I32 => call!(i32::from_ne_bytes),
            Native::I64 => call!(i64::from_ne_bytes),
            Native::U8 => call!(u8::from_ne_bytes),
            Native::U16 => call!(u16::from_ne_bytes),
            Native::U32 => call!(u32::from_ne_bytes),
            Native::U64 => call!(u64::from_ne_bytes),
            Native::F16 => call!(|bytes| Float(u16::from_ne_bytes(bytes))),
            Native::F32 => call!(|bytes| Float(u32::from_ne_bytes(bytes))),
            Native::F64 => call!(|bytes| Float(u64::from_ne_bytes(bytes))),
            Native::I128 => unreachable!("has 128 bits"),
        }
    }};
}

/// The integer of a value of 128 bits.
fn ordered_wide(bytes: [u8; 16]) -> u128 {
    i128::from_ne_bytes(bytes) as u128 ^ (1 << 127)
}

impl Native {
    /// Whether values that are equal may have bits that differ.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32 | Self::F64)
    }

    /// Bytes in a value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
            Self::I128 => 16,
        }
    }

    /// All ones, as many as the value has bits.
    pub(crate) fn ones(self) -> u128 {
        u128::MAX >> (128 - 8 * self.width())
    }

    /// The codes of values, one each.
    pub(crate) fn codes(self, values: &[u8], nan: NanOrder, shift: Shift, codes: &mut [u64]) {
        if self == Self::I128 {
            for (bytes, code) in values.as_chunks().0.iter().zip(codes) {
                let ordered = ordered_wide(*bytes) ^ shift.flip;
                *code = (ordered.wrapping_sub(shift.base) >> shift.drop) as u64;
            }
            return;
        }
        with_native!(self, nan, codes_of, values, shift, codes);
    }

    /// The least and the greatest ordered integer among the valid values.
    pub(crate) fn range(
        self,
        values: &[u8],
        valid: Option<&[u8]>,
        nan: NanOrder,
    ) -> Option<(u128, u128)> {
        if self == Self::I128 {
            let ordered = values.as_chunks().0.iter().map(|bytes| ordered_wide(*bytes));
            return match valid {
                None => extent(ordered),
                Some(valid) => extent(ordered.zip(valid).filter(|(_, v)| **v != 0).map(|(o, _)| o)),
            };
        }
        let range = with_native!(self, nan, range_of, values, valid);
        range.map(|(least, most)| (least.into(), most.into()))
    }

    /// Compares two rows.
    pub(crate) fn compare(self, values: &[u8], nan: NanOrder, a: usize, b: usize) -> Ordering {
        let width = self.width();
        if self == Self::I128 {
            let values = values.as_chunks().0;
            return ordered_wide(values[a]).cmp(&ordered_wide(values[b]));
        }
        let one = |row: usize| {
            let mut code = [0];
            let plain = Shift { flip: 0, base: 0, drop: 0 };
            self.codes(&values[row * width..(row + 1) * width], nan, plain, &mut code);
            code[0]
        };
        one(a).cmp(&one(b))
    }
}

fn codes_of<const N: usize>(
    values: &[[u8; N]],
    ordered: impl Fn([u8; N]) -> u64,
    shift: Shift,
    codes: &mut [u64],
) {
    let (flip, base, drop) = (shift.flip as u64, shift.base as u64, shift.drop);
    // Moved, so that the compiler sees that they stay the same while codes are written.
    wide(move || {
        for (bytes, code) in values.iter().zip(codes) {
            *code = (ordered(*bytes) ^ flip).wrapping_sub(base) >> drop;
        }
    });
}

fn range_of<const N: usize>(
    values: &[[u8; N]],
    ordered: impl Fn([u8; N]) -> u64,
    valid: Option<&[u8]>,
) -> Option<(u64, u64)> {
    let ordered = values.iter().map(|bytes| ordered(*bytes));
    match valid {
        None => wide(|| extent(ordered)),
        Some(valid) => extent(ordered.zip(valid).filter(|(_, v)| **v != 0).map(|(o, _)| o)),
    }
}

#[inline(always)]
fn extent<T: Ord + Copy>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(least, most), value| (least.min(value), most.max(value))))
}
