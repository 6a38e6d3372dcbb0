//! Lanes: what moves with a row, as values of one width.
//!
//! | a column of | moves as |
//! |---|---|
//! | numbers, times, decimals; keys of dictionaries | its values |
//! | booleans | a byte, 0 or 1 |
//! | strings, binary, fixed-size binary of odd width | a [`Span`]: where its bytes lie |
//! | anything with nulls | beside that, a byte: 0 for null |
//! | anything else | nothing: it is taken at the end, by the row's number |

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, GenericByteArray, OffsetSizeTrait, downcast_primitive_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use crate::kernels::bits;
use crate::kernels::wide::wide;
use crate::source::{Run, Source};

/// One lane.
#[derive(Debug)]
pub(crate) enum Lane {
    /// A column's values as they lie, `width` bytes each.
    Values { column: usize, width: usize },
    /// A column's booleans.
    Booleans { column: usize },
    /// Whether a column's row is valid.
    Validity { column: usize },
    /// Where the bytes of a column's row lie; `long` are those a span has no room for.
    Spans { column: usize, long: Vec<Long> },
    /// The row's number.
    Rows,
}

/// Bytes too many for a [`Span`] to count.
#[derive(Debug)]
pub(crate) struct Long {
    row: usize,
    bytes: *const [u8],
}

// SAFETY: the bytes are those of a source that is shared and outlives the lane.
unsafe impl Send for Long {}
// SAFETY: as above.
unsafe impl Sync for Long {}

/// Where the bytes of a value lie: 48 bits of address, 16 of length; or which of the lane's long
/// values it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span(pub(crate) u64);

/// Lengths from here on are too long for a span.
const LONG: usize = u16::MAX as usize;

impl Span {
    fn new(bytes: &[u8]) -> Self {
        Self((bytes.len() as u64) << 48 | bytes.as_ptr().addr() as u64)
    }

    /// How many bytes it has.
    #[inline]
    pub(crate) fn len(self, long: &[Long]) -> usize {
        match (self.0 >> 48) as usize {
            LONG => long[(self.0 & 0xffff_ffff_ffff) as usize].bytes.len(),
            len => len,
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// The span must be one of a lane with these long values, whose source still lives.
    #[inline]
    pub(crate) unsafe fn bytes(self, long: &[Long]) -> &[u8] {
        let at = (self.0 & 0xffff_ffff_ffff) as usize;
        match (self.0 >> 48) as usize {
            // SAFETY: the caller's promise.
            LONG => unsafe { &*long[at].bytes },
            // SAFETY: as above.
            len => unsafe {
                std::slice::from_raw_parts(std::ptr::with_exposed_provenance(at), len)
            },
        }
    }

    /// Asks the processor to fetch the bytes: the first, and the last of a short value.
    #[inline]
    pub(crate) fn prefetch(self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch of any address is harmless.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let (at, len) = ((self.0 & 0xffff_ffff_ffff) as usize, (self.0 >> 48) as usize);
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at));
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at + len.min(64)));
        }
    }
}

/// Memory that a lane's values are put into where they can't be shown as they lie.
#[derive(Debug, Default)]
pub(crate) struct Staging(Vec<u8>);

impl Lane {
    /// A lane of a column's spans.
    pub(crate) fn spans(source: &Source, column: usize) -> Self {
        let mut long = Vec::new();
        let mut row = 0;
        for array in source.column(column) {
            if longest(array) >= LONG {
                each_value(array, 0..array.len(), |at, bytes| {
                    if bytes.len() >= LONG {
                        long.push(Long { row: row + at, bytes });
                    }
                });
            }
            // Spans are made of addresses, and addresses of them are read again.
            each_value(array, 0..array.len().min(1), |_, bytes| {
                let _ = bytes.as_ptr().expose_provenance();
            });
            row += array.len();
        }
        Self::Spans { column, long }
    }

    /// Bytes in a value.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Values { width, .. } => *width,
            Self::Booleans { .. } | Self::Validity { .. } => 1,
            Self::Spans { .. } | Self::Rows => 8,
        }
    }

    /// The values of a run of rows: as they lie, or put into `staging`.
    pub(crate) fn stage<'a>(
        &self,
        source: &'a Source,
        run: Run,
        staging: &'a mut Staging,
    ) -> &'a [u8] {
        let rows = run.start..run.start + run.len;
        let target = &mut staging.0;
        match self {
            Self::Values { column, width } => {
                return values(source.batches[run.batch].column(*column), *width, rows);
            }
            Self::Booleans { column } => {
                let array = source.batches[run.batch].column(*column).as_boolean();
                bits::spread(array.values(), run.start, target, run.len);
            }
            Self::Validity { column } => match source.batches[run.batch].column(*column).nulls() {
                Some(nulls) => bits::spread(nulls.inner(), run.start, target, run.len),
                None => {
                    target.clear();
                    target.resize(run.len, 1);
                }
            },
            Self::Spans { column, long } => {
                target.resize(run.len * 8, 0);
                let mut places = target.as_chunks_mut().0.iter_mut();
                let mut next = long.partition_point(|long| long.row < run.row);
                each_value(source.batches[run.batch].column(*column), rows, |_, bytes| {
                    let span = if bytes.len() < LONG {
                        Span::new(bytes)
                    } else {
                        next += 1;
                        Span((LONG as u64) << 48 | (next as u64 - 1))
                    };
                    if let Some(place) = places.next() {
                        *place = span.0.to_ne_bytes();
                    }
                });
            }
            Self::Rows => {
                target.clear();
                target.extend(
                    (run.row..run.row + run.len).flat_map(|row| (row as u64).to_ne_bytes()),
                );
            }
        }
        target
    }
}

/// The bytes of an array's values of fixed width: of its keys, if it is a dictionary's.
fn values(array: &dyn Array, width: usize, rows: Range<usize>) -> &[u8] {
    let range = rows.start * width..rows.end * width;
    match array.data_type() {
        DataType::FixedSizeBinary(_) => &array.as_fixed_size_binary().value_data()[range],
        DataType::Dictionary(_, _) => {
            let keys = array.as_any_dictionary().keys();
            primitive(keys, range)
        }
        _ => primitive(array, range),
    }
}

/// The bytes of a primitive array's values.
fn primitive(array: &dyn Array, range: Range<usize>) -> &[u8] {
    downcast_primitive_array! {
        array => &array.values().inner()[range],
        other => unreachable!("{other} values have no width"),
    }
}

/// Calls `each` for the bytes of every row, nulls included.
pub(crate) fn each_value<'a>(
    array: &'a dyn Array,
    rows: Range<usize>,
    mut each: impl FnMut(usize, &'a [u8]),
) {
    match array.data_type() {
        DataType::Utf8 => variable(array.as_string::<i32>(), rows, each),
        DataType::LargeUtf8 => variable(array.as_string::<i64>(), rows, each),
        DataType::Binary => variable(array.as_binary::<i32>(), rows, each),
        DataType::LargeBinary => variable(array.as_binary::<i64>(), rows, each),
        DataType::FixedSizeBinary(width) => {
            let data = array.as_fixed_size_binary().value_data();
            let width = *width as usize;
            rows.for_each(|row| each(row, &data[row * width..(row + 1) * width]));
        }
        other => unreachable!("{other} is not of bytes"),
    }
}

/// The length of an array's longest value, in bytes.
fn longest(array: &dyn Array) -> usize {
    fn of<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
        let lens = offsets.windows(2).map(|pair| pair[1] - pair[0]);
        wide(|| lens.fold(O::usize_as(0), |most, len| if len > most { len } else { most }))
            .as_usize()
    }
    match array.data_type() {
        DataType::Utf8 => of(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => of(array.as_string::<i64>().value_offsets()),
        DataType::Binary => of(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => of(array.as_binary::<i64>().value_offsets()),
        DataType::FixedSizeBinary(width) => *width as usize,
        other => unreachable!("{other} is not of bytes"),
    }
}

fn variable<'a, T: ByteArrayType>(
    array: &'a GenericByteArray<T>,
    rows: Range<usize>,
    mut each: impl FnMut(usize, &'a [u8]),
) {
    let data = array.value_data();
    let offsets = &array.value_offsets()[rows.start..=rows.end];
    for (at, pair) in offsets.windows(2).enumerate() {
        each(rows.start + at, &data[pair[0].as_usize()..pair[1].as_usize()]);
    }
}

/// How wide the values of a column are that move as they lie; `None` if they don't.
pub(crate) fn value_width(data_type: &DataType) -> Option<usize> {
    let width = match data_type {
        DataType::FixedSizeBinary(width) => *width as usize,
        DataType::Dictionary(keys, _) => keys.primitive_width()?,
        other => other.primitive_width()?,
    };
    matches!(width, 1 | 2 | 4 | 8 | 16 | 32 | 64).then_some(width)
}
