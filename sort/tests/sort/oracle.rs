//! What a sorted table must be, by the plainest means there are.

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::{DataType, SchemaRef, SortOptions as ArrowOptions};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use sheaf_sort::{ExternalSort, SortKey, SortOptions, Spill, sort_batches};
use sheaf_store::Error;

/// Sorts in memory, through disk, and plainly, and compares them row by row, stability included.
pub(crate) fn check(schema: &SchemaRef, batches: &[RecordBatch], by: &[SortKey], threads: usize) {
    let options = SortOptions { threads, ..SortOptions::default() };
    let input = concat_batches(schema, batches).unwrap();
    let expected = take_record_batch(&input, &order(&input, by)).unwrap();
    compare(&sort_batches(schema, batches, by, &options).unwrap(), &expected, by);
    let memory = input.get_array_memory_size() / 2;
    compare(&through_disk(schema, batches, by, memory, &options), &expected, by);
}

/// Sorts with so many bytes of memory.
pub(crate) fn through_disk(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    by: &[SortKey],
    memory: usize,
    options: &SortOptions<'_>,
) -> Vec<RecordBatch> {
    // Memory that looks like a disk, if there is such a thing: thousands of files are made.
    let shared = Path::new("/dev/shm");
    let directory = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let spill = Spill { directory, memory };
    let batches = batches.iter().cloned().map(Ok::<_, Error>);
    let sort = ExternalSort::new(schema, batches, by, &spill, options).unwrap();
    let mut sorted = Vec::new();
    sort.write(|batch| {
        sorted.push(batch.clone());
        Ok::<_, Error>(())
    })
    .unwrap();
    sorted
}

fn compare(sorted: &[RecordBatch], expected: &RecordBatch, by: &[SortKey]) {
    let rows: usize = sorted.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, expected.num_rows());
    if rows == 0 {
        return;
    }
    let found = concat_batches(&sorted[0].schema(), sorted).unwrap();
    for batch in sorted {
        for column in batch.columns() {
            column.to_data().validate_full().unwrap();
        }
    }

    for (at, field) in expected.schema().fields().iter().enumerate() {
        let (found, expected) = (found.column(at), expected.column(at));
        assert_eq!(found.logical_null_count(), expected.logical_null_count(), "{field}");
        if found != expected {
            let row = (0..rows).find(|row| found.slice(*row, 1) != expected.slice(*row, 1));
            panic!("column {field}, row {row:?} of {rows}, by {by:?}");
        }
    }
}

/// The rows' numbers in order.
fn order(input: &RecordBatch, by: &[SortKey]) -> UInt64Array {
    let schema = input.schema();
    let (fields, columns): (Vec<_>, Vec<_>) = by
        .iter()
        .map(|key| {
            let (_, field) = schema.column_with_name(&key.column).unwrap();
            let options = ArrowOptions { descending: key.descending, nulls_first: key.nulls_first };
            let column = one_nan(input.column_by_name(&key.column).unwrap());
            (SortField::new_with_options(field.data_type().clone(), options), column)
        })
        .unzip();
    let rows = RowConverter::new(fields).unwrap().convert_columns(&columns).unwrap();
    let mut order: Vec<u64> = (0..input.num_rows() as u64).collect();
    order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    order.into()
}

/// The column, every NaN made the positive one: that is greater than all numbers, for Arrow too.
fn one_nan(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float16 => {
            let one = |value: half::f16| if value.is_nan() { half::f16::NAN } else { value };
            Arc::new(column.as_primitive::<Float16Type>().unary::<_, Float16Type>(one))
        }
        DataType::Float32 => {
            let one = |value: f32| if value.is_nan() { f32::NAN } else { value };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Float64 => {
            let one = |value: f64| if value.is_nan() { f64::NAN } else { value };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        _ => column.clone(),
    }
}
