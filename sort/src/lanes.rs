//! Lanes: what moves with a row, as values of one width.
//!
//! | a column of | moves as |
//! |---|---|
//! | numbers, times, decimals; keys of dictionaries | its values |
//! | booleans | a byte, 0 or 1 |
//! | strings, binary, fixed-size binary of odd width | a [`Span`]: where its bytes lie, or these |
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

/// Where the bytes of a value lie: 48 bits of address, 16 of length; or the bytes themselves, if they
/// are few; or which of the lane's long values it is. Little-endian, so that bytes come first.
#[derive(Clone, Copy, Debug)]
struct Span([u8; 8]);

/// Lengths from here on are too long for a span.
const LONG: usize = u16::MAX as usize;

/// The most bytes that are in the span itself.
const INLINE: usize = 6;

impl Span {
    /// Of some of these bytes, fewer than [`LONG`].
    #[inline]
    fn new(data: &[u8], range: Range<usize>) -> Self {
        let len = range.len();
        let word = if len > INLINE {
            data[range].as_ptr().addr() as u64
        } else if let Some(bytes) = data[range.start..].first_chunk() {
            u64::from_le_bytes(*bytes) & ((1 << (8 * len)) - 1)
        } else {
            let mut bytes = [0; 8];
            bytes[..len].copy_from_slice(&data[range]);
            u64::from_le_bytes(bytes)
        };
        Self(((len as u64) << 48 | word).to_le_bytes())
    }

    /// The lane's long value of this number.
    fn long(number: usize) -> Self {
        Self(((LONG as u64) << 48 | number as u64).to_le_bytes())
    }

    fn len(self) -> usize {
        (u64::from_le_bytes(self.0) >> 48) as usize
    }

    /// The address, or the number.
    fn at(self) -> usize {
        (u64::from_le_bytes(self.0) & 0xffff_ffff_ffff) as usize
    }
}

/// The values of a lane of spans, as they are staged or were moved.
#[derive(Clone, Copy)]
pub(crate) struct Spans<'a> {
    places: &'a [[u8; 8]],
    long: &'a [Long],
}

impl<'a> Spans<'a> {
    /// # Safety
    /// The values must be spans of a lane with these long values, whose source still lives.
    pub(crate) unsafe fn new(values: &'a [u8], long: &'a [Long]) -> Self {
        Self { places: values.as_chunks().0, long }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// How many bytes a value has.
    #[inline]
    pub(crate) fn len(&self, row: usize) -> usize {
        let span = Span(self.places[row]);
        match span.len() {
            LONG => self.long[span.at()].bytes.len(),
            len => len,
        }
    }

    /// A value.
    #[inline]
    pub(crate) fn bytes(&self, row: usize) -> &'a [u8] {
        let place = &self.places[row];
        let span = Span(*place);
        let len = span.len();
        if len == LONG {
            // SAFETY: the promise of `new`.
            return unsafe { &*self.long[span.at()].bytes };
        }
        let far = std::ptr::with_exposed_provenance(span.at());
        let start = if len > INLINE { far } else { place.as_ptr() };
        // SAFETY: the promise of `new`; bytes in the span live as long as that.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// Asks the processor to fetch a value, if there is such a row: the first bytes, and the last
    /// of a short one.
    #[inline]
    pub(crate) fn prefetch(&self, row: usize) {
        #[cfg(target_arch = "x86_64")]
        if let Some(span) = self.places.get(row).map(|place| Span(*place))
            && span.len() > INLINE
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let (at, len) = (span.at(), span.len());
            // SAFETY: a prefetch of any address is harmless.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at));
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at + len.min(64)));
            }
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
                each_value(array, 0..array.len(), |at, data, range| {
                    if range.len() >= LONG {
                        long.push(Long { row: row + at, bytes: &data[range] });
                    }
                });
            }
            // Spans are made of addresses, and addresses of them are read again.
            each_value(array, 0..array.len().min(1), |_, data, _| {
                let _ = data.as_ptr().expose_provenance();
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
                each_value(source.batches[run.batch].column(*column), rows, |_, data, range| {
                    let span = if range.len() < LONG {
                        Span::new(data, range)
                    } else {
                        next += 1;
                        Span::long(next - 1)
                    };
                    if let Some(place) = places.next() {
                        *place = span.0;
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

/// Calls `each` for every row, nulls included, with the array's bytes and which of them are its.
pub(crate) fn each_value<'a>(
    array: &'a dyn Array,
    rows: Range<usize>,
    mut each: impl FnMut(usize, &'a [u8], Range<usize>),
) {
    match array.data_type() {
        DataType::Utf8 => variable(array.as_string::<i32>(), rows, each),
        DataType::LargeUtf8 => variable(array.as_string::<i64>(), rows, each),
        DataType::Binary => variable(array.as_binary::<i32>(), rows, each),
        DataType::LargeBinary => variable(array.as_binary::<i64>(), rows, each),
        DataType::FixedSizeBinary(width) => {
            let data = array.as_fixed_size_binary().value_data();
            let width = *width as usize;
            rows.for_each(|row| each(row, data, row * width..(row + 1) * width));
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
    mut each: impl FnMut(usize, &'a [u8], Range<usize>),
) {
    let data = array.value_data();
    let offsets = &array.value_offsets()[rows.start..=rows.end];
    for (at, pair) in offsets.windows(2).enumerate() {
        each(rows.start + at, data, pair[0].as_usize()..pair[1].as_usize());
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
