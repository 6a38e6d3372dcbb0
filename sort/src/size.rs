//! How many bytes rows take.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

/// The bytes of a batch's rows: what they share with others is not counted, the values of
/// dictionaries least of all.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|array| array_bytes(array) + view_bytes(array)).sum()
}

/// The bytes that a batch's rows take at the least, wherever they are written.
pub(crate) fn least_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(array_bytes).sum()
}

fn array_bytes(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::Dictionary(keys, _) => array.len() * keys.primitive_width().unwrap_or(1),
        // Their elements may be anywhere, and shared.
        DataType::ListView(_) | DataType::LargeListView(_) => array.len() * 8,
        _ => array.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

/// The bytes that views point at: those of short ones are in the views.
fn view_bytes(array: &ArrayRef) -> usize {
    let views = match array.data_type() {
        DataType::Utf8View => array.as_string_view().views(),
        DataType::BinaryView => array.as_binary_view().views(),
        _ => return 0,
    };
    views.iter().map(|view| *view as u32 as usize).filter(|len| *len > 12).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int64Array, StringArray, StringViewArray};

    use super::*;

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    #[test]
    fn a_slice_counts_its_own_rows() {
        let integers = batch(Arc::new(Int64Array::from_iter_values(0..1000)));
        let strings = batch(Arc::new(StringArray::from_iter_values((0..1000).map(|_| "four"))));

        assert_eq!(batch_bytes(&integers.slice(10, 5)), 40);
        assert_eq!(batch_bytes(&strings.slice(10, 5)), 5 * 4 + 6 * 4);
    }

    #[test]
    fn what_rows_may_share_is_no_bytes_at_the_least() {
        let long = "longer than a view has room for";
        let views = batch(Arc::new(StringViewArray::from_iter_values(["short", long])));
        let words: DictionaryArray<Int32Type> = [long, long, long].into_iter().collect();
        let words = batch(Arc::new(words));

        assert_eq!((batch_bytes(&views), least_bytes(&views)), (32 + long.len(), 32));
        assert_eq!((batch_bytes(&words), least_bytes(&words)), (12, 12));
    }
}
