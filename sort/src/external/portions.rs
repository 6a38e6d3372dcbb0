//! The input, in portions that memory holds.

use arrow_array::RecordBatch;
use sheaf_store::{Error, Result};

use crate::size::batch_bytes;

/// Batches, taken as many at a time as a number of bytes holds.
pub(super) struct Portions<I> {
    batches: I,
    /// What was too much for the last portion.
    left: Option<RecordBatch>,
    most: usize,
    rows: u64,
    ended: bool,
}

impl<E: From<Error>, I: Iterator<Item = Result<RecordBatch, E>>> Portions<I> {
    /// Portions of at most `most` bytes, but for rows that are longer.
    pub(super) fn new(batches: I, most: usize) -> Self {
        Self { batches, left: None, most, rows: 0, ended: false }
    }

    /// Rows read so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether there is nothing more.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.left.is_none()
    }

    /// The next portion; empty if there is none. `ask` hears how many rows were read.
    ///
    /// # Errors
    /// Those of the batches, and of `ask`.
    pub(super) fn read(&mut self, ask: impl Fn(u64) -> Result<()>) -> Result<Vec<RecordBatch>, E> {
        let mut portion = Vec::new();
        let mut room = self.most;
        while let Some(batch) = self.next()? {
            let (bytes, rows) = (batch_bytes(&batch), batch.num_rows());
            if bytes <= room {
                room -= bytes;
                portion.push(batch);
                ask(self.rows)?;
                continue;
            }
            let least = usize::from(portion.is_empty()).min(rows);
            let fit = (room as u128 * rows as u128 / bytes as u128) as usize;
            let fit = fit.clamp(least, rows);
            if fit > 0 {
                portion.push(batch.slice(0, fit));
            }
            self.left = (fit < rows).then(|| batch.slice(fit, rows - fit));
            break;
        }
        Ok(portion)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, E> {
        if self.left.is_some() || self.ended {
            return Ok(self.left.take());
        }
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.rows += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
        }
        self.ended = true;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    fn batch(rows: i64) -> Result<RecordBatch> {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        Ok(RecordBatch::try_from_iter([("n", column)]).unwrap())
    }

    /// The rows of each batch of each portion.
    fn portions(batches: &[i64], most: usize) -> Vec<Vec<usize>> {
        let mut portions = Portions::new(batches.iter().map(|rows| batch(*rows)), most);
        let mut found = Vec::new();
        loop {
            let portion = portions.read(|_| Ok(())).unwrap();
            if portion.is_empty() {
                assert!(portions.is_done());
                return found;
            }
            found.push(portion.iter().map(RecordBatch::num_rows).collect());
        }
    }

    #[test]
    fn portions_are_as_long_as_fits() {
        assert_eq!(portions(&[3, 0, 4, 5], 48), [vec![3, 3], vec![1, 5]]);
        assert_eq!(portions(&[2, 4], 48), [vec![2, 4]]);
        assert_eq!(portions(&[20], 64), [vec![8], vec![8], vec![4]]);
        assert_eq!(portions(&[], 64), [[0; 0]; 0]);
    }

    #[test]
    fn a_row_that_is_longer_than_a_portion_is_one() {
        assert_eq!(portions(&[3], 4), [vec![1], vec![1], vec![1]]);
    }
}
