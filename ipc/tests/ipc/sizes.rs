//! Many batches, and large ones.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::{Int8Array, RecordBatch};
use arrow_buffer::{Buffer, ScalarBuffer};
use sheaf_ipc::{ALIGNMENT, File, Plan};

use crate::harness::{fill, open, write};
use crate::samples::{all_types, batch};

#[test]
fn twenty_thousand_batches_come_back() {
    let table = batch(all_types(100).columns()[4..8].to_vec());
    let batches: Vec<_> = (0..20_000).map(|i| table.slice(i % 97, i % 4)).collect();

    let bytes = write(&table.schema(), &batches);

    let (file, back) = open(&bytes);
    assert_eq!(file.num_batches(), 20_000);
    assert_eq!(file.num_rows(), 30_000);
    assert!(back == batches);
}

#[test]
fn rows_that_take_no_bytes_are_counted_without_any() {
    let rows = 1 << 40;
    let nulls: RecordBatch = batch(vec![Arc::new(arrow_array::NullArray::new(rows))]);

    let (file, back) = open(&write(&nulls.schema(), &[nulls]));

    assert_eq!(file.num_rows(), rows as u64);
    assert_eq!(back[0].num_rows(), rows);
}

#[test]
#[ignore = "takes 4.5 GiB of memory; run it when offsets or lengths are touched"]
fn batches_over_two_gib_come_back() {
    let rows = (2 << 30) + (200 << 20) + 3;
    let numbers =
        Int8Array::new(ScalarBuffer::new(Buffer::from_vec(vec![7_u8; rows]), 0, rows), None);
    let numbers = batch(vec![Arc::new(numbers.slice(1, rows - 1))]);

    let plan = Plan::new(&numbers.schema(), &[numbers.clone(), numbers.slice(5, 10)]).unwrap();
    let bytes = fill(plan.len(), |target| plan.write(target, 2));

    assert!(plan.len() > rows);
    let file = File::open(bytes.clone()).unwrap();
    let back = file.batch(0).unwrap();
    assert_eq!(file.num_rows(), rows as u64 + 9);
    let values = back.column(0).as_primitive::<Int8Type>().values();
    assert!(values.iter().all(|value| *value == 7));
    assert_eq!(values.as_ptr().addr() % ALIGNMENT, 0);
    assert!(bytes.as_slice().as_ptr_range().contains(&values.inner().as_ptr()));
    assert_eq!(file.batch(1).unwrap().num_rows(), 10);
}
