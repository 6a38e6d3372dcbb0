//! What is in a stored table, in numbers: what lets a plan leave out rows, and choose sides.
//!
//! For each group of [`GROUP_ROWS`] rows and each column: the least and the greatest value, and how
//! many are null. For the whole table the same, an estimate of how many values differ where that is
//! cheap to tell, and whether the rows are in the order that the schema says. A claim about order
//! is never believed: whoever reads a sorted table, changes it, and puts it back may bring it
//! along.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_ord::ord::make_comparator;
use arrow_schema::{ArrowError, DataType, SortOptions};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;
use sheaf_sort::SORTED_BY;
use sheaf_store::Table;

use crate::error::external;

/// The rows of a group.
pub(crate) const GROUP_ROWS: u64 = 64 << 10;

/// The longest string that is kept as a bound, in bytes.
const LONGEST_BOUND: usize = 256;

/// A key that a table's rows are in the order of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderKey {
    pub(crate) column: usize,
    pub(crate) options: SortOptions,
}

/// The bounds of one column in each group; `None` where nothing is known.
#[derive(Clone, Debug)]
pub(crate) struct ColumnGroups {
    pub(crate) min: Option<ArrayRef>,
    pub(crate) max: Option<ArrayRef>,
    pub(crate) nulls: UInt64Array,
}

/// What is known of a table.
#[derive(Debug)]
pub(crate) struct TableStatistics {
    pub(crate) rows: u64,
    /// The row that each batch begins at, and the one behind the last.
    pub(crate) starts: Arc<[u64]>,
    pub(crate) columns: Vec<ColumnGroups>,
    /// The keys that the rows are in the order of, the first before the second.
    pub(crate) order: Vec<OrderKey>,
    /// Of the whole table, a column each.
    pub(crate) summary: Vec<ColumnStatistics>,
}

impl TableStatistics {
    /// Reads all of the table once, column by column.
    ///
    /// # Errors
    /// None for a sealed table, but those of kernels that meet a type they do not know.
    pub(crate) fn compute(table: &Table) -> Result<Self> {
        let batches = table.batches().collect::<sheaf_store::Result<Vec<_>>>().map_err(external)?;
        let starts = starts(batches.iter().map(|batch| batch.num_rows() as u64));
        let rows = table.num_rows();
        let mut columns = Vec::new();
        let mut summary = Vec::new();
        for (index, field) in table.schema().fields().iter().enumerate() {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(index)).collect();
            let groups = column_groups(field.data_type(), &arrays, &starts, rows)?;
            summary.push(summed(&groups, &arrays, rows)?);
            columns.push(groups);
        }
        let claimed = claimed_order(table);
        let order = if is_in_order(&batches, &claimed)? { claimed } else { Vec::new() };
        Ok(Self { rows, starts: starts.into(), columns, order, summary })
    }

    /// How many groups there are.
    pub(crate) fn num_groups(&self) -> usize {
        self.rows.div_ceil(GROUP_ROWS) as usize
    }
}

/// What is known of a table of which nothing but its length is.
pub(crate) fn unknown(table: &Table, rows: usize) -> Statistics {
    let mut statistics = Statistics::new_unknown(table.schema());
    statistics.num_rows = Precision::Exact(rows);
    statistics
}

/// The row that each batch begins at, and the one behind the last.
pub(crate) fn starts(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut starts = vec![0];
    let mut rows = 0;
    for more in lengths {
        rows += more;
        starts.push(rows);
    }
    starts
}

/// The rows of a group.
pub(crate) fn rows_of(group: usize, rows: u64) -> Range<u64> {
    let start = group as u64 * GROUP_ROWS;
    start..rows.min(start + GROUP_ROWS)
}

/// Whether values of this type have a least one that is worth keeping.
fn has_bounds(data_type: &DataType) -> bool {
    use DataType as T;
    data_type.is_primitive() && !matches!(data_type, T::Interval(_))
        || matches!(
            data_type,
            T::Boolean
                | T::Utf8
                | T::LargeUtf8
                | T::Utf8View
                | T::Binary
                | T::LargeBinary
                | T::BinaryView
        )
}

fn column_groups(
    data_type: &DataType,
    arrays: &[&ArrayRef],
    starts: &[u64],
    rows: u64,
) -> Result<ColumnGroups> {
    let bounded = has_bounds(data_type);
    let groups = rows.div_ceil(GROUP_ROWS) as usize;
    let (mut mins, mut maxs, mut nulls) = (Vec::new(), Vec::new(), Vec::with_capacity(groups));
    let mut batch = 0;
    for group in 0..groups {
        let Range { mut start, end } = rows_of(group, rows);
        let mut least = bounded.then(|| MinAccumulator::try_new(data_type)).transpose()?;
        let mut greatest = bounded.then(|| MaxAccumulator::try_new(data_type)).transpose()?;
        let mut missing = 0;
        while start < end {
            while starts[batch + 1] <= start {
                batch += 1;
            }
            let stop = end.min(starts[batch + 1]);
            let offset = (start - starts[batch]) as usize;
            let piece = arrays[batch].slice(offset, (stop - start) as usize);
            missing += piece.logical_null_count() as u64;
            if let (Some(least), Some(greatest)) = (&mut least, &mut greatest) {
                least.update_batch(std::slice::from_ref(&piece))?;
                greatest.update_batch(&[piece])?;
            }
            start = stop;
        }
        nulls.push(missing);
        if let (Some(least), Some(greatest)) = (&mut least, &mut greatest) {
            mins.push(short(least.evaluate()?, data_type)?);
            maxs.push(short(greatest.evaluate()?, data_type)?);
        }
    }
    let array = |values: Vec<ScalarValue>| {
        (!values.is_empty()).then(|| ScalarValue::iter_to_array(values)).transpose()
    };
    Ok(ColumnGroups { min: array(mins)?, max: array(maxs)?, nulls: nulls.into() })
}

/// The value, or null for one that is too long to keep: nothing is known then.
fn short(value: ScalarValue, data_type: &DataType) -> Result<ScalarValue> {
    use ScalarValue as V;
    let long = match &value {
        V::Utf8(Some(text)) | V::LargeUtf8(Some(text)) | V::Utf8View(Some(text)) => text.len(),
        V::Binary(Some(bytes)) | V::LargeBinary(Some(bytes)) | V::BinaryView(Some(bytes)) => {
            bytes.len()
        }
        _ => 0,
    };
    if long > LONGEST_BOUND { ScalarValue::try_new_null(data_type) } else { Ok(value) }
}

/// A column as a whole.
fn summed(groups: &ColumnGroups, arrays: &[&ArrayRef], rows: u64) -> Result<ColumnStatistics> {
    let nulls: u64 = groups.nulls.values().iter().sum();
    let mut column = ColumnStatistics::new_unknown();
    column.null_count = Precision::Exact(nulls as usize);
    // A group of nulls alone has no bounds, and one whose bounds are too long has lost them.
    let empty = groups.nulls.iter().enumerate().filter(|(group, nulls)| {
        let all = rows_of(*group, rows);
        *nulls == Some(all.end - all.start)
    });
    let without = empty.count();
    if let (Some(min), Some(max)) = (&groups.min, &groups.max)
        && min.null_count() == without
        && max.null_count() == without
    {
        let data_type = min.data_type();
        let mut least = MinAccumulator::try_new(data_type)?;
        let mut greatest = MaxAccumulator::try_new(data_type)?;
        least.update_batch(std::slice::from_ref(min))?;
        greatest.update_batch(std::slice::from_ref(max))?;
        column.min_value = Precision::Exact(least.evaluate()?);
        column.max_value = Precision::Exact(greatest.evaluate()?);
    }
    column.distinct_count = distinct(&column, arrays, rows - nulls);
    Ok(column)
}

/// How many values differ, at the most, where that is told at once.
fn distinct(column: &ColumnStatistics, arrays: &[&ArrayRef], values: u64) -> Precision<usize> {
    use arrow_array::cast::AsArray;
    let most = values as usize;
    let Some(first) = arrays.first() else { return Precision::Exact(0) };
    if let Some(dictionary) = first.as_any_dictionary_opt() {
        // One dictionary serves all batches of a stored table.
        return Precision::Inexact(dictionary.values().len().min(most));
    }
    let (Some(least), Some(greatest)) =
        (column.min_value.get_value(), column.max_value.get_value())
    else {
        return Precision::Absent;
    };
    match least.distance(greatest) {
        Some(range) if range < most => Precision::Inexact(range + 1),
        _ => Precision::Absent,
    }
}

/// The order that the schema tells.
fn claimed_order(table: &Table) -> Vec<OrderKey> {
    let schema = table.schema();
    let Some(told) = schema.metadata().get(SORTED_BY) else { return Vec::new() };
    let Ok(serde_json::Value::Array(keys)) = serde_json::from_str(told) else { return Vec::new() };
    let key = |key: &serde_json::Value| {
        let column = schema.index_of(key.get("column")?.as_str()?).ok()?;
        let flag = |name: &str| key.get(name)?.as_bool();
        let options =
            SortOptions { descending: flag("descending")?, nulls_first: flag("nulls_first")? };
        Some(OrderKey { column, options })
    };
    keys.iter().map(key).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Whether each row stands before the next, or is equal to it, as DataFusion orders values.
fn is_in_order(batches: &[RecordBatch], order: &[OrderKey]) -> Result<bool, ArrowError> {
    if order.is_empty() {
        return Ok(true);
    }
    let mut last: Option<&RecordBatch> = None;
    for batch in batches.iter().filter(|batch| batch.num_rows() > 0) {
        if let Some(last) = last
            && !precedes(last, batch, order)?(last.num_rows() - 1, 0)
        {
            return Ok(false);
        }
        let precedes = precedes(batch, batch, order)?;
        if !(1..batch.num_rows()).all(|row| precedes(row - 1, row)) {
            return Ok(false);
        }
        last = Some(batch);
    }
    Ok(true)
}

/// Tells whether a row of the first batch may stand before one of the second.
fn precedes(
    left: &RecordBatch,
    right: &RecordBatch,
    order: &[OrderKey],
) -> Result<impl Fn(usize, usize) -> bool, ArrowError> {
    let comparators = order
        .iter()
        .map(|OrderKey { column, options }| {
            make_comparator(left.column(*column), right.column(*column), *options)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(move |left: usize, right: usize| {
        let ordering = comparators.iter().map(|compare| compare(left, right));
        ordering.into_iter().find(|ordering| ordering.is_ne()).is_none_or(|one| one.is_lt())
    })
}

/// What is known of a table, shared.
pub(crate) type Shared = Arc<TableStatistics>;
