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
use arrow_array::{Array, ArrayRef, GenericByteArray, downcast_primitive_array};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

use crate::kernels::bits;
use crate::source::{Run, Source, Starts};

/// One lane.
#[derive(Debug)]
pub(crate) enum Lane {
    /// A column's values as they lie, `width` bytes each.
    Values { column: usize, width: usize },
    /// A column's booleans.
    Booleans { column: usize },
    /// Whether a column's row is valid.
    Validity { column: usize },
    /// Where the bytes of a column's row lie; `texts` finds those that a span can't tell of.
    Spans { column: usize, texts: Texts },
    /// The row's number.
    Rows,
}

/// A column's values, by the row's number.
#[derive(Debug)]
pub(crate) struct Texts {
    arrays: Vec<ArrayRef>,
    starts: Starts,
}

/// Of a lane that has no spans.
static NONE: Texts = Texts { arrays: Vec::new(), starts: Starts::NONE };

impl Texts {
    fn new(source: &Source, column: usize) -> Self {
        let arrays: Vec<ArrayRef> = source.column(column).cloned().collect();
        let starts = Starts::new(arrays.iter().map(|array| array.len()));
        Self { arrays, starts }
    }

    /// Slow: for the few that are long.
    #[cold]
    fn get(&self, row: usize) -> &[u8] {
        let (at, within) = self.starts.locate(row);
        let mut found = [].as_slice();
        each_value(&self.arrays[at], within..within + 1, |_, data, range| found = &data[range]);
        found
    }
}

/// Where the bytes of a value lie: 48 bits of address, and above them the length; or the bytes
/// themselves, if they are few; or the number of the row, if they are many. Little-endian, so that
/// bytes come first, and the eighth tells what it is.
#[derive(Clone, Copy, Debug)]
struct Span([u8; 8]);

/// The most bytes that are in the span itself.
const INLINE: usize = 7;

/// The eighth byte of a span of no bytes; that of one of `n` is `n` more.
const SHORT: u8 = 0xf8;

/// The length that says that the value is found by its row.
const LONG: usize = ((SHORT as usize) << 8) - 1;

impl Span {
    /// Of some of these bytes, which are those of a row.
    #[inline]
    fn new(data: &[u8], range: Range<usize>, row: usize) -> Self {
        let len = range.len();
        let word = if len >= LONG {
            (LONG as u64) << 48 | row as u64
        } else if len > INLINE {
            (len as u64) << 48 | data[range].as_ptr().addr() as u64
        } else {
            let bytes = match data[range.start..].first_chunk() {
                Some(bytes) => u64::from_le_bytes(*bytes) & ((1 << (8 * len)) - 1),
                None => data[range].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
            };
            u64::from(SHORT + len as u8) << 56 | bytes
        };
        Self(word.to_le_bytes())
    }

    /// The length, if the bytes are in the span.
    fn short(self) -> Option<usize> {
        (self.0[7] >= SHORT).then(|| usize::from(self.0[7] - SHORT))
    }

    /// The length, if they are not.
    fn len(self) -> usize {
        (u64::from_le_bytes(self.0) >> 48) as usize
    }

    /// The address, or the row.
    fn at(self) -> usize {
        (u64::from_le_bytes(self.0) & 0xffff_ffff_ffff) as usize
    }
}

/// The values of a lane of spans, as they are staged or were moved.
#[derive(Clone, Copy)]
pub(crate) struct Spans<'a> {
    places: &'a [[u8; 8]],
    texts: &'a Texts,
}

impl<'a> Spans<'a> {
    /// # Safety
    /// The values must be spans of the lane with these texts, whose source still lives.
    pub(crate) unsafe fn new(values: &'a [u8], texts: &'a Texts) -> Self {
        Self { places: values.as_chunks().0, texts }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// How many bytes a value has.
    #[inline]
    pub(crate) fn len(&self, row: usize) -> usize {
        let span = Span(self.places[row]);
        match span.short().unwrap_or(span.len()) {
            LONG => self.texts.get(span.at()).len(),
            len => len,
        }
    }

    /// A value.
    #[inline]
    pub(crate) fn bytes(&self, row: usize) -> &'a [u8] {
        let place = &self.places[row];
        let span = Span(*place);
        let far = std::ptr::with_exposed_provenance(span.at());
        let (start, len) = match span.short() {
            Some(len) => (place.as_ptr(), len),
            None => (far, span.len()),
        };
        if len == LONG {
            return self.texts.get(span.at());
        }
        // SAFETY: the promise of `new`; bytes in the span live as long as that.
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// Asks the processor to fetch a value, if there is such a row: the first lines of a long one.
    #[inline]
    pub(crate) fn prefetch(&self, row: usize) {
        let span = self.places.get(row).map(|place| Span(*place));
        #[cfg(not(target_arch = "x86_64"))]
        let _ = span;
        #[cfg(target_arch = "x86_64")]
        if let Some(span) = span.filter(|span| span.short().is_none()) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let (at, len) = (span.at(), span.len());
            // SAFETY: a prefetch of any address is harmless.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at));
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at + len.min(64)));
                if len > 64 {
                    _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(at + len.min(128)));
                }
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
        for array in source.column(column) {
            // Spans are made of addresses, and addresses of them are read again.
            each_value(array, 0..array.len().min(1), |_, data, _| {
                let _ = data.as_ptr().expose_provenance();
            });
        }
        Self::Spans { column, texts: Texts::new(source, column) }
    }

    /// What finds the long values of a lane of spans.
    pub(crate) fn texts(&self) -> &Texts {
        match self {
            Self::Spans { texts, .. } => texts,
            _ => &NONE,
        }
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
            Self::Spans { column, .. } => {
                target.resize(run.len * 8, 0);
                let mut places = target.as_chunks_mut().0.iter_mut();
                each_value(source.batches[run.batch].column(*column), rows, |at, data, range| {
                    if let Some(place) = places.next() {
                        *place = Span::new(data, range, run.row + at - run.start).0;
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
