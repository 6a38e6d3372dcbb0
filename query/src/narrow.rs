//! Rows of a mapped batch as arrays of their own size, without copying them.
//!
//! A slice of an Arrow array keeps all of the buffer that it lies in, and is charged for it
//! wherever memory is counted: here that would be the whole object, for every eight thousand rows.
//! So each buffer of a slice is made anew over its own bytes. What can't be cut (strings that begin
//! in the middle of a large buffer, nested columns) has its offsets, or all of it, copied: a
//! slice's worth at a time.

use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, ByteArrayType};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
    GenericByteArray, PrimitiveArray, UInt64Array, downcast_integer, downcast_primitive_array,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::{ArrowError, DataType};

type Result<T> = std::result::Result<T, ArrowError>;

/// The bytes of an object, which everything cut from it keeps.
#[derive(Clone)]
pub(crate) struct Ground(Arc<Buffer>);

impl Ground {
    pub(crate) fn new(object: &Buffer) -> Self {
        Self(Arc::new(object.clone()))
    }

    /// These rows of an array of the object.
    ///
    /// # Errors
    /// None but those of Arrow's kernels, for types that must be copied.
    pub(crate) fn rows(&self, array: &ArrayRef, start: usize, len: usize) -> Result<ArrayRef> {
        let rows = array.slice(start, len);
        let nulls = rows.nulls().map(|nulls| self.nulls(nulls));
        let rows: &dyn Array = &rows;
        Ok(downcast_primitive_array!(
            rows => self.numbers(rows, nulls),
            DataType::Boolean => {
                Arc::new(BooleanArray::new(self.bits(rows.as_boolean().values()), nulls))
            }
            DataType::Utf8 => self.texts(rows.as_string::<i32>(), nulls)?,
            DataType::LargeUtf8 => self.texts(rows.as_string::<i64>(), nulls)?,
            DataType::Binary => self.texts(rows.as_binary::<i32>(), nulls)?,
            DataType::LargeBinary => self.texts(rows.as_binary::<i64>(), nulls)?,
            // Without a byte in it nothing tells how long it is.
            DataType::FixedSizeBinary(0) => array.slice(start, len),
            DataType::FixedSizeBinary(width) => {
                let values = rows.as_fixed_size_binary().values();
                Arc::new(FixedSizeBinaryArray::try_new(*width, self.whole(values), nulls)?)
            }
            DataType::Dictionary(key, _) => {
                macro_rules! with_keys {
                    ($key:ty) => {
                        self.keys(rows.as_dictionary::<$key>())?
                    };
                }
                downcast_integer! {
                    key.as_ref() => (with_keys),
                    other => return Err(ArrowError::SchemaError(format!("keys of {other}"))),
                }
            }
            DataType::Null => array.slice(start, len),
            _ => copied(array, start, len)?,
        ))
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        rows: &PrimitiveArray<T>,
        nulls: Option<NullBuffer>,
    ) -> ArrayRef {
        let values = ScalarBuffer::new(self.whole(rows.values().inner()), 0, rows.len());
        let data_type = rows.data_type().clone();
        Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(data_type))
    }

    /// A buffer over the bytes that it shows, and no others.
    fn whole(&self, buffer: &Buffer) -> Buffer {
        let own = self.0.as_slice().as_ptr_range();
        let shown = buffer.as_slice().as_ptr_range();
        if shown.start < own.start || shown.end > own.end {
            return buffer.clone(); // Not of the object: it was made when that was read.
        }
        let Some(start) = NonNull::new(shown.start.cast_mut()) else { return buffer.clone() };
        // SAFETY: the bytes lie in the object's buffer, as was just checked; `self.0` keeps that,
        // and what it shows does not change while it lives.
        unsafe { Buffer::from_custom_allocation(start, buffer.len(), self.0.clone()) }
    }

    fn bits(&self, bits: &BooleanBuffer) -> BooleanBuffer {
        let first = bits.offset() / 8;
        let end = (bits.offset() + bits.len()).div_ceil(8);
        let bytes = bits.inner().slice_with_length(first, end - first);
        BooleanBuffer::new(self.whole(&bytes), bits.offset() % 8, bits.len())
    }

    fn nulls(&self, nulls: &NullBuffer) -> NullBuffer {
        let bits = self.bits(nulls.inner());
        // SAFETY: they are the same bits, of which so many were counted.
        unsafe { NullBuffer::new_unchecked(bits, nulls.null_count()) }
    }

    fn texts<T: ByteArrayType>(
        &self,
        rows: &GenericByteArray<T>,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef> {
        let offsets = rows.value_offsets();
        let first = offsets[0].as_usize();
        let used = offsets[rows.len()].as_usize() - first;
        let (offsets, values) = if first <= used {
            let offsets =
                ScalarBuffer::new(self.whole(rows.offsets().inner().inner()), 0, offsets.len());
            (offsets, rows.values().slice_with_length(0, first + used))
        } else {
            let start = offsets[0];
            let offsets: Vec<T::Offset> = offsets.iter().map(|offset| *offset - start).collect();
            (offsets.into(), rows.values().slice_with_length(first, used))
        };
        // SAFETY: they rise, as those that they are or were made from do.
        let offsets = unsafe { OffsetBuffer::new_unchecked(offsets) };
        // SAFETY: the same values at the same places, which were checked when the table was sealed.
        let texts =
            unsafe { GenericByteArray::<T>::new_unchecked(offsets, self.whole(&values), nulls) };
        Ok(Arc::new(texts))
    }

    fn keys<K: ArrowDictionaryKeyType>(&self, rows: &DictionaryArray<K>) -> Result<ArrayRef> {
        let nulls = rows.keys().nulls().map(|nulls| self.nulls(nulls));
        let keys = ScalarBuffer::new(self.whole(rows.keys().values().inner()), 0, rows.len());
        let keys = PrimitiveArray::<K>::new(keys, nulls);
        // SAFETY: the same keys of the same values, which were checked when the table was sealed.
        Ok(Arc::new(unsafe { DictionaryArray::new_unchecked(keys, rows.values().clone()) }))
    }
}

/// The rows in memory of their own.
fn copied(array: &ArrayRef, start: usize, len: usize) -> Result<ArrayRef> {
    if len == array.len() {
        return Ok(array.clone());
    }
    let rows = UInt64Array::from_iter_values(start as u64..(start + len) as u64);
    let copy = arrow_select::take::take(array, &rows, None)?;
    Ok(match copy.data_type() {
        // Taken views still point into the whole of what they were taken from.
        DataType::Utf8View => Arc::new(copy.as_string_view().gc()),
        DataType::BinaryView => Arc::new(copy.as_binary_view().gc()),
        _ => copy,
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int8Type;
    use arrow_array::types::Int32Type;
    use arrow_array::{
        Int64Array, ListArray, StringArray, StringViewArray, TimestampMicrosecondArray,
    };

    use super::*;

    fn columns(rows: i32) -> Vec<ArrayRef> {
        let some = |row: i32| (row % 5 > 0).then_some(row);
        let text = |row: i32| some(row).map(|row| format!("the text of row {row}"));
        let lists = (0..rows).map(|row| some(row).map(|row| vec![Some(row), None]));
        let words: DictionaryArray<Int8Type> =
            (0..rows).map(|row| some(row).map(|row| ["a", "b", "c"][row as usize % 3])).collect();
        vec![
            Arc::new(Int64Array::from_iter((0..rows).map(|row| some(row).map(i64::from)))),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values((0..rows).map(i64::from))
                    .with_timezone("UTC"),
            ),
            Arc::new(BooleanArray::from_iter(
                (0..rows).map(|row| some(row).map(|row| row % 2 == 0)),
            )),
            Arc::new(StringArray::from_iter((0..rows).map(text))),
            Arc::new(StringViewArray::from_iter((0..rows).map(text))),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
            Arc::new(words),
            arrow_array::new_null_array(&DataType::FixedSizeBinary(3), rows as usize),
            arrow_array::new_null_array(&DataType::FixedSizeBinary(0), rows as usize),
            arrow_array::new_null_array(&DataType::Null, rows as usize),
        ]
    }

    #[test]
    fn rows_are_those_of_a_slice() {
        const ROWS: i32 = 3000;
        let ground = Ground::new(&Buffer::from_vec(vec![0_u8; 8]));
        for column in columns(ROWS) {
            for (start, len) in [(0, 3000), (0, 0), (3000, 0), (1, 1), (7, 1000), (2047, 953)] {
                let rows = ground.rows(&column, start, len).unwrap();

                assert_eq!(&rows, &column.slice(start, len), "{start}+{len}");
                rows.to_data().validate_full().unwrap();
            }
        }
    }

    #[test]
    fn rows_are_charged_for_themselves() {
        let numbers: Vec<i64> = (0..1 << 20).collect();
        let object = Buffer::from_vec(numbers);
        let ground = Ground::new(&object);
        let column: ArrayRef =
            Arc::new(Int64Array::new(ScalarBuffer::new(object, 0, 1 << 20), None));

        let rows = ground.rows(&column, 4096, 8192).unwrap();

        assert_eq!(rows.to_data().buffers()[0].capacity(), 8 * 8192);
        let start = column.to_data().buffers()[0].as_ptr().wrapping_add(8 * 4096);
        assert_eq!(rows.to_data().buffers()[0].as_ptr(), start, "nothing was copied");
    }
}
