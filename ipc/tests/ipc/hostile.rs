//! Bytes made to hurt: refused, or harmless.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, FixedSizeListArray, Int32Array, NullArray, StringArray, StructArray};
use arrow_buffer::{Buffer, MutableBuffer, NullBuffer};
use arrow_schema::{DataType, Field, Fields};
use sheaf_ipc::{File, Kind};

use crate::harness::write;
use crate::samples::{batch, dictionary, nested_dictionary};

fn small() -> Buffer {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None])),
        Arc::new(StringArray::from(vec!["a", "bc"])),
        nested_dictionary(2),
        dictionary::<Int32Type>(2, "x"),
    ];
    let batch = batch(columns);
    write(&batch.schema(), &[batch])
}

/// A copy of the bytes with some of them changed.
fn changed(bytes: &Buffer, change: impl FnOnce(&mut [u8])) -> Buffer {
    let mut copy = MutableBuffer::new(bytes.len());
    copy.extend_from_slice(bytes);
    change(&mut copy);
    copy.into()
}

/// Opens a file and, if that works, reads all of it.
fn try_to_read(bytes: Buffer) -> bool {
    let Ok(file) = File::open(bytes) else { return false };
    assert!(file.batches().all(|batch| batch.is_ok()));
    file.messages().count() > 0
}

#[test]
fn no_changed_byte_does_harm() {
    let bytes = small();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 4] {
            try_to_read(changed(&bytes, |bytes| bytes[at] = value));
        }
    }
}

#[test]
fn no_changed_integer_does_harm() {
    let bytes = small();
    for at in (0..bytes.len() - 8).step_by(8) {
        for value in [i64::MAX, i64::MIN, -1, 1 << 32, 1 << 60, 64] {
            let value = value.to_le_bytes();
            try_to_read(changed(&bytes, |bytes| bytes[at..at + 8].copy_from_slice(&value)));
        }
    }
}

#[test]
fn no_truncated_file_opens() {
    let bytes = small();
    for len in 0..bytes.len() {
        assert!(!try_to_read(bytes.slice_with_length(0, len)), "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let words = batch(vec![Arc::new(StringArray::from(vec!["needle"]))]);
    let bytes = write(&words.schema(), &[words]);
    let at = bytes.windows(6).position(|window| window == b"needle").unwrap();

    let error = File::open(changed(&bytes, |bytes| bytes[at] = 0xff)).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().starts_with("batch 0: column c0: "), "{error}");
}

#[test]
fn the_first_wrong_column_of_a_large_batch_is_named() {
    // Large enough for several threads.
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..400_000).map(|row| format!("word number {row:08}")),
    ));
    let words = batch(vec![words.clone(), words.clone(), words.clone(), words]);
    let bytes = write(&words.schema(), &[words]);
    assert!(try_to_read(bytes.clone()));
    let needle = b"word number 00399999";
    let found = bytes.windows(needle.len()).enumerate().filter(|(_, window)| window == needle);
    let places: Vec<usize> = found.map(|(at, _)| at).collect();
    assert_eq!(places.len(), 4);

    let error = File::open(changed(&bytes, |bytes| {
        for place in &places[1..] {
            bytes[*place] = 0xff;
        }
    }));

    assert!(error.unwrap_err().to_string().starts_with("batch 0: column c1: "));
}

#[test]
fn a_first_offset_outside_of_the_values_is_refused() {
    let words = batch(vec![Arc::new(StringArray::from(vec!["needle", "hay"]))]);
    let bytes = write(&words.schema(), &[words]);
    let offsets: Vec<u8> = [0_i32, 6, 9].into_iter().flat_map(i32::to_le_bytes).collect();
    let at = bytes.windows(12).position(|window| window == offsets).unwrap();

    for first in [-1_i32, 7, 1000, i32::MIN] {
        let write = |bytes: &mut [u8]| bytes[at..at + 4].copy_from_slice(&first.to_le_bytes());
        let error = File::open(changed(&bytes, write)).unwrap_err();

        assert_eq!(error.kind(), Kind::Invalid, "{first}");
    }
}

#[test]
fn nulls_of_lists_of_nothing_take_no_memory() {
    // Each of eight rows has 2^30 elements without a byte; arrow-rs would want a bit for each.
    let size = 1 << 30;
    let nothing = StructArray::new_empty_fields(8 * size, None);
    let field = Arc::new(Field::new("item", DataType::Struct(Fields::empty()), false));
    let nulls = NullBuffer::from(vec![true, false, true, true, true, true, true, true]);
    let lists = FixedSizeListArray::new(field, size as i32, Arc::new(nothing), Some(nulls));
    let lists = batch(vec![Arc::new(lists)]);

    let file = File::open(write(&lists.schema(), std::slice::from_ref(&lists))).unwrap();

    assert_eq!(file.batch(0).unwrap().num_rows(), 8);
}

#[test]
fn more_rows_than_can_be_counted_are_refused() {
    let many = batch(vec![Arc::new(NullArray::new(i64::MAX as usize))]);
    let three = [many.clone(), many.clone(), many.clone()];

    let error = File::open(write(&many.schema(), &three)).unwrap_err();

    assert!(error.to_string().contains("more rows than can be counted"), "{error}");
}

#[test]
fn messages_that_share_bytes_are_refused() {
    let ints = batch(vec![Arc::new(Int32Array::from(vec![1, 2, 3]))]);
    let bytes = write(&ints.schema(), &[ints.clone(), ints]);
    let file = File::open(bytes.clone()).unwrap();
    let headers: Vec<_> = file.messages().map(|message| message.header).collect();
    let offset = |i: usize| (headers[i].as_ptr().addr() - bytes.as_ptr().addr() - 8) as i64;
    let (first, second) = (offset(1).to_le_bytes(), offset(2).to_le_bytes());
    let footer = headers[2].as_ptr().addr() - bytes.as_ptr().addr() + headers[2].len();
    let found = bytes[footer..].windows(8).rposition(|window| window == second).unwrap();

    let at = footer + found;
    let error = File::open(changed(&bytes, |bytes| bytes[at..at + 8].copy_from_slice(&first)));

    assert!(error.unwrap_err().to_string().contains("the next one starts at"));
}

#[test]
fn streams_are_told_from_files() {
    let error = File::open(Buffer::from_slice_ref([0xff_u8; 100])).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("a stream is not a file"), "{error}");
}
