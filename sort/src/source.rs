//! What is sorted: batches of one schema, and their rows numbered through.

use std::ops::Range;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use sheaf_store::{Error, Kind, Result};

/// The input.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) schema: SchemaRef,
    /// Those that have rows.
    pub(crate) batches: Vec<RecordBatch>,
    starts: Starts,
}

/// The number of each batch's first row, and of all rows.
#[derive(Debug)]
pub(crate) struct Starts(Vec<usize>);

impl Starts {
    /// Of no batches.
    pub(crate) const NONE: Self = Self(Vec::new());

    /// Of batches of these lengths.
    pub(crate) fn new(lens: impl Iterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        starts.extend(lens.scan(0, |end, len| {
            *end += len;
            Some(*end)
        }));
        Self(starts)
    }

    /// The batch that a row lies in, and where in it.
    pub(crate) fn locate(&self, row: usize) -> (usize, usize) {
        let batch = self.0.partition_point(|start| *start <= row) - 1;
        (batch, row - self.0[batch])
    }
}

/// Consecutive rows of one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) batch: usize,
    /// The first row, within the batch.
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// The first row, among all.
    pub(crate) row: usize,
}

impl Source {
    /// # Errors
    /// [`Kind::Invalid`] if a batch has another schema.
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        for (at, batch) in batches.iter().enumerate() {
            let same = batch.schema_ref().fields().iter().map(|field| field.data_type());
            if !same.eq(schema.fields().iter().map(|field| field.data_type())) {
                let message = format!("batch {at} has other columns than the table's schema");
                return Err(Error::new(Kind::Invalid, message));
            }
        }
        let batches: Vec<_> = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        let starts = Starts::new(batches.iter().map(RecordBatch::num_rows));
        Ok(Self { schema, batches, starts })
    }

    /// Rows in all batches.
    pub(crate) fn num_rows(&self) -> usize {
        self.starts.0[self.starts.0.len() - 1]
    }

    /// A column, batch by batch.
    pub(crate) fn column(&self, index: usize) -> impl Iterator<Item = &ArrayRef> + Clone {
        self.batches.iter().map(move |batch| batch.column(index))
    }

    /// Puts other arrays in a column's place, of the same type and length.
    pub(crate) fn replace_column(&mut self, index: usize, other: impl Fn(&ArrayRef) -> ArrayRef) {
        for batch in &mut self.batches {
            let mut columns = batch.columns().to_vec();
            columns[index] = other(&columns[index]);
            let replaced = RecordBatch::try_new(batch.schema(), columns);
            debug_assert!(replaced.is_ok(), "another type or length");
            *batch = replaced.unwrap_or_else(|_| batch.clone());
        }
    }

    /// The batch that a row lies in, and where in it.
    pub(crate) fn locate(&self, row: usize) -> (usize, usize) {
        self.starts.locate(row)
    }

    /// The rows of a run.
    pub(crate) fn slice(&self, run: Run) -> RecordBatch {
        self.batches[run.batch].slice(run.start, run.len)
    }

    /// A range of rows, in runs of at most `most` rows, each of one batch.
    pub(crate) fn runs(&self, rows: Range<usize>, most: usize) -> impl Iterator<Item = Run> + '_ {
        let mut row = rows.start;
        let mut batch = if rows.is_empty() { 0 } else { self.locate(row).0 };
        std::iter::from_fn(move || {
            if row >= rows.end {
                return None;
            }
            if row >= self.starts.0[batch + 1] {
                batch += 1;
            }
            let end = rows.end.min(self.starts.0[batch + 1]).min(row.saturating_add(most));
            let run = Run { batch, start: row - self.starts.0[batch], len: end - row, row };
            row = end;
            Some(run)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Int32Array;

    use super::*;

    #[test]
    fn runs_cover_the_rows_once_and_stay_within_batches() {
        let batch = |rows: i32| {
            let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows));
            RecordBatch::try_from_iter([("n", column)]).unwrap()
        };
        let batches = vec![batch(3), batch(0), batch(1), batch(10)];
        let source = Source::new(batches[0].schema(), batches).unwrap();

        let runs: Vec<_> = source.runs(1..13, 4).collect();

        let found: Vec<_> = runs.iter().map(|run| (run.batch, run.start, run.len)).collect();
        assert_eq!(found, [(0, 1, 2), (1, 0, 1), (2, 0, 4), (2, 4, 4), (2, 8, 1)]);
        assert_eq!(source.locate(13), (2, 9));
    }
}
