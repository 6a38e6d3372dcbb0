//! Whether decoded data means something: offsets, keys, UTF-8, nulls, run ends.
//!
//! arrow-rs checks each array; what is done here instead is what it would do over and over
//! (the values of a dictionary, once per batch), or with more memory than there are bytes.

use arrow_buffer::ArrowNativeType;
use arrow_data::ArrayData;
use arrow_schema::DataType;

use crate::{Error, Result};

/// Checks an array and its children, except for the values of dictionaries: those were
/// checked when they were read.
pub(crate) fn validate(array: &ArrayData) -> Result<()> {
    match array.data_type() {
        DataType::Utf8 | DataType::Binary => {
            check_first_offset::<i32>(array, array.buffers()[1].len())?;
        }
        DataType::LargeUtf8 | DataType::LargeBinary => {
            check_first_offset::<i64>(array, array.buffers()[1].len())?;
        }
        DataType::List(_) | DataType::Map(_, _) => {
            check_first_offset::<i32>(array, array.child_data()[0].len())?;
        }
        DataType::LargeList(_) => check_first_offset::<i64>(array, array.child_data()[0].len())?,
        DataType::ListView(_) => check_views::<i32>(array)?,
        DataType::LargeListView(_) => check_views::<i64>(array)?,
        _ => {}
    }
    check_nulls(array)?;
    array.validate_values()?;
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        for child in array.child_data() {
            validate(child)?;
        }
    }
    Ok(())
}

/// Whether nulls are as many as is said, and only where they may be.
fn check_nulls(array: &ArrayData) -> Result<()> {
    if let DataType::FixedSizeList(_, _) = array.data_type() {
        // arrow-rs spreads the list's bitmap over its elements. If those have no bitmap, they
        // need not have any bytes either, and the memory for it would be unbounded.
        if array.child_data()[0].nulls().is_none() {
            let Some(nulls) = array.nulls() else { return Ok(()) };
            let actual = nulls.len() - nulls.inner().count_set_bits();
            if actual != nulls.null_count() {
                return Err(Error::invalid(format!(
                    "{} nulls are said to be {}",
                    actual,
                    nulls.null_count()
                )));
            }
            return Ok(());
        }
    }
    Ok(array.validate_nulls()?)
}

/// Whether the first offset lies within the values; arrow-rs looks at those after it, and takes
/// them to follow upon a sound one.
fn check_first_offset<O: ArrowNativeType>(array: &ArrayData, values: usize) -> Result<()> {
    let Some(first) = array.buffer::<O>(0).first() else { return Ok(()) };
    if first.to_usize().is_none_or(|first| first > values) {
        return Err(Error::invalid(format!(
            "the first offset is {first:?}, there are {values} values"
        )));
    }
    Ok(())
}

/// Whether every entry of a list view lies within the child.
fn check_views<O: ArrowNativeType>(array: &ArrayData) -> Result<()> {
    let rows = array.child_data()[0].len();
    let (offsets, sizes) = (array.buffer::<O>(0), array.buffer::<O>(1));
    for (offset, size) in offsets.iter().zip(sizes) {
        let end = offset.to_usize().zip(size.to_usize()).and_then(|(o, s)| o.checked_add(s));
        if end.is_none_or(|end| end > rows) {
            return Err(Error::invalid(format!(
                "a list of {size:?} elements from {offset:?} on reaches beyond its {rows} values"
            )));
        }
    }
    Ok(())
}
