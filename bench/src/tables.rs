//! The tables that are put: `id` (int64: 0, 1, 2, …) and `value` (float64: half of `id`), no nulls.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Float64Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::private::huge_vec;

/// Bytes of a row.
pub const ROW_BYTES: usize = 16;

/// The schema of every table here.
#[must_use]
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("value", DataType::Float64, false),
    ]))
}

/// One batch of `bytes` bytes, in warm private memory.
///
/// # Panics
/// Never: the columns are as the schema says.
#[must_use]
pub fn batch(bytes: usize) -> RecordBatch {
    let rows = (bytes / ROW_BYTES) as i64;
    let mut id: Vec<i64> = huge_vec(rows as usize);
    id.extend(0..rows);
    let mut value: Vec<f64> = huge_vec(rows as usize);
    value.extend((0..rows).map(|id| id as f64 * 0.5));
    let columns =
        vec![Arc::new(Int64Array::from(id)) as _, Arc::new(Float64Array::from(value)) as _];
    RecordBatch::try_new(schema(), columns).expect("the columns are as the schema says")
}

/// The sum of `id` in one batch, wrapping: every byte of the column is read.
#[must_use]
pub fn sum_ids(batch: &RecordBatch) -> i64 {
    let id = batch.column(0).as_primitive::<Int64Type>();
    id.values().iter().fold(0, |sum, id| sum.wrapping_add(*id))
}

/// Both columns, as integers, summed and wrapping: every byte of the batch is read.
#[must_use]
pub fn sum_all(batch: &RecordBatch) -> i64 {
    let value = batch.column(1).as_primitive::<Float64Type>();
    let bits = value.values().iter().fold(0_i64, |sum, v| sum.wrapping_add(v.to_bits() as i64));
    sum_ids(batch).wrapping_add(bits)
}

/// What [`sum_ids`] of a table of this many bytes must be.
#[must_use]
pub fn expected_sum(bytes: usize) -> i64 {
    let rows = (bytes / ROW_BYTES) as i128;
    (rows * (rows - 1) / 2) as i64
}
