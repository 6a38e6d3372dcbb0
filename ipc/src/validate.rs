//! Whether decoded data means something: offsets, keys, UTF-8, nulls, run ends.
//!
//! arrow-rs checks each array; what is done here instead is what it would do over and over
//! (the values of a dictionary, once per batch), or with more memory than there are bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow_buffer::ArrowNativeType;
use arrow_data::ArrayData;
use arrow_schema::{DataType, Fields};

use crate::check::guard;
use crate::{Error, Result};

/// Batches of fewer bytes are checked sooner than a thread starts.
const LEAST_SHARED: usize = 8 << 20;

/// Checks the columns of a batch, whose body has so many bytes: several at a time, if it is large.
/// The error is that of the first column that has one.
pub(crate) fn validate_columns(fields: &Fields, columns: &[ArrayData], bytes: usize) -> Result<()> {
    let check = |at: usize| {
        validate(&columns[at]).map_err(|error| error.at(format!("column {}", fields[at].name())))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if bytes < LEAST_SHARED { 1 } else { cores.min(columns.len()) };
    if threads <= 1 {
        return (0..columns.len()).try_for_each(check);
    }
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(None);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= columns.len() {
                    return;
                }
                // A panic is to be an error here too, wherever it comes from.
                if let Err(error) = guard(|| check(at)) {
                    let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                    if wrong.as_ref().is_none_or(|(first, _)| at < *first) {
                        *wrong = Some((at, error));
                    }
                    // Those before it are being checked, and no other matters.
                    next.store(columns.len(), Ordering::Relaxed);
                }
            }
        };
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    match wrong.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

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
    if !is_plain_text(array) {
        array.validate_values()?;
    }
    if !matches!(array.data_type(), DataType::Dictionary(_, _)) {
        for child in array.child_data() {
            validate(child)?;
        }
    }
    Ok(())
}

/// Whether these are strings of ASCII with sound offsets: most are, and are checked as fast as they
/// can be read. arrow-rs looks whether each offset is inside a character; here none has an inside.
fn is_plain_text(array: &ArrayData) -> bool {
    fn is_plain<O: ArrowNativeType + PartialOrd>(array: &ArrayData) -> bool {
        let offsets = array.buffer::<O>(0);
        let values = array.buffers()[1].as_slice();
        let Some(offsets) = offsets.get(..=array.len()) else { return false };
        let ends = offsets.first().zip(offsets.last());
        let ends = ends.and_then(|(first, last)| Some(first.to_usize()?..last.to_usize()?));
        // Without a branch, so that many are compared at a time.
        let ascends = offsets.windows(2).fold(true, |so_far, pair| so_far & (pair[0] <= pair[1]));
        ascends && ends.and_then(|range| values.get(range)).is_some_and(<[u8]>::is_ascii)
    }
    match array.data_type() {
        DataType::Utf8 => is_plain::<i32>(array),
        DataType::LargeUtf8 => is_plain::<i64>(array),
        _ => false,
    }
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
