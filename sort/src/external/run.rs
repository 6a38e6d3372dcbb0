//! A sorted run on disk.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_buffer::Buffer;
use arrow_row::{Row, Rows};
use arrow_schema::DataType;
use arrow_select::take::take_record_batch;
use memmap2::Mmap;
use sheaf_store::Result;

use super::Spill;
use super::file::{ArrowFile, failed};
use crate::size::batch_bytes;
use crate::sorted::{KeyRows, Sorted};
use crate::source::Source;

/// The most rows between two fences.
const STEP: usize = 4096;

/// Bytes between two fences, about, if rows are long.
const STEP_BYTES: usize = 1 << 20;

/// Rows in order, in a file that is mapped.
#[derive(Debug)]
pub(super) struct Run {
    source: Source,
    /// The keys of every `step`th row, from the first on: they stay in memory.
    fences: Rows,
    step: usize,
    /// The bytes of the rows from each fence on to the next.
    bytes: Vec<usize>,
}

impl Run {
    /// Writes rows to a file without a name.
    ///
    /// # Errors
    /// [`Kind::Full`](sheaf_store::Kind::Full) when the disk is.
    pub(super) fn write(sorted: &Sorted, keys: &KeyRows, spill: &Spill) -> Result<Self> {
        let written = Source::new(sorted.batches[0].schema(), sorted.batches.clone())?;
        let step = step_of(&written);
        let (mut first, mut bytes) = (Vec::new(), Vec::new());
        let mut start = 0;
        for batch in &written.batches {
            // Fences stand at multiples of the step, whatever batch that is in.
            let ahead = (step - start % step) % step;
            let rows = (ahead as u64..batch.num_rows() as u64).step_by(step);
            let taken = take_record_batch(batch, &UInt64Array::from_iter_values(rows));
            first.push(taken.map_err(sheaf_ipc::Error::from)?);
            start += batch.num_rows();
        }
        for rows in (0..written.num_rows()).step_by(step) {
            let end = (rows + step).min(written.num_rows());
            let slices = written.runs(rows..end, step).map(|run| batch_bytes(&written.slice(run)));
            bytes.push(slices.sum());
        }
        let first = arrow_select::concat::concat_batches(&written.schema, &first);
        let fences = keys.of(&first.map_err(sheaf_ipc::Error::from)?)?;
        let folder = spill.directory.as_path();
        let failed = |error| failed(folder, &error);
        let mut file = tempfile::tempfile_in(folder).map_err(failed)?;
        match &sorted.file {
            Some(bytes) => file.write_all(bytes).map_err(failed)?,
            None => {
                let mut out = ArrowFile::new(&file, folder, &written.schema)?;
                written.batches.iter().try_for_each(|batch| out.write(batch))?;
                out.finish()?;
            }
        }
        let source = Source::new(written.schema.clone(), map(&file).map_err(failed)??)?;
        Ok(Self { source, fences, step, bytes })
    }

    /// The fences' keys, with the bytes of the rows up to the next.
    pub(super) fn fences(&self) -> impl Iterator<Item = (Row<'_>, usize)> {
        self.fences.iter().zip(self.bytes.iter().copied())
    }

    /// A fence's key.
    pub(super) fn fence(&self, at: usize) -> Row<'_> {
        self.fences.row(at)
    }

    /// The row that a fence is.
    pub(super) fn row_of(&self, fence: usize) -> usize {
        fence * self.step
    }

    /// How many rows there are.
    pub(super) fn num_rows(&self) -> usize {
        self.source.num_rows()
    }

    /// How many rows, from the first on, have keys that are `before`; all that do must be in front.
    ///
    /// # Errors
    /// As [`KeyRows::of`].
    pub(super) fn count(&self, keys: &KeyRows, before: impl Fn(Row<'_>) -> bool) -> Result<usize> {
        let (mut low, mut high) = (0, self.fences.num_rows());
        while low < high {
            let middle = low.midpoint(high);
            match before(self.fences.row(middle)) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        // It is between the last fence that is, and the next.
        let Some(last) = low.checked_sub(1) else { return Ok(0) };
        let rows = self.row_of(last)..self.row_of(low).min(self.num_rows());
        let mut count = rows.start;
        for slice in self.slices(rows) {
            count += keys.of(&slice)?.iter().take_while(|key| before(*key)).count();
        }
        Ok(count)
    }

    /// A range of rows, as they lie.
    pub(super) fn slices(&self, rows: Range<usize>) -> impl Iterator<Item = RecordBatch> {
        self.source.runs(rows, usize::MAX).map(|run| self.source.slice(run))
    }
}

/// How far fences are from each other, in rows.
fn step_of(source: &Source) -> usize {
    let bytes: usize = source.batches.iter().map(batch_bytes).sum();
    let row = bytes / source.num_rows().max(1);
    (STEP_BYTES / row.max(1)).clamp(1, STEP)
}

/// The batches of a file, mapped.
fn map(file: &File) -> std::io::Result<Result<Vec<RecordBatch>>> {
    // SAFETY: the file has no name: nobody else has it open, and it is not written to any more.
    let map = Arc::new(unsafe { Mmap::map(file) }?);
    let len = map.len();
    let base = NonNull::from(&map[..]).cast();
    // SAFETY: the mapping lasts as long as its owner, at the same place.
    let buffer = unsafe { Buffer::from_custom_allocation(base, len, map) };
    Ok(open(buffer))
}

fn open(buffer: Buffer) -> Result<Vec<RecordBatch>> {
    // SAFETY: these bytes were made of checked arrays and written to a file that is ours alone.
    let file = unsafe { sheaf_ipc::File::open_trusted(buffer) }?;
    file.batches().map(|batch| Ok(batch?)).collect()
}

/// The runs, with one dictionary for all where they have equal ones: its keys can be compared then.
pub(super) fn with_shared_dictionaries(mut runs: Vec<Run>) -> Vec<Run> {
    let fields = runs.first().map(|run| run.source.schema.fields().clone()).unwrap_or_default();
    for (column, field) in fields.iter().enumerate() {
        if !matches!(field.data_type(), DataType::Dictionary(_, _)) {
            continue;
        }
        let arrays = || runs.iter().flat_map(|run| run.source.column(column));
        let values = |array: &ArrayRef| array.as_any_dictionary().values().clone();
        let Some(first) = arrays().next().map(values) else { continue };
        if arrays().all(|array| *values(array) == *first) {
            for run in &mut runs {
                run.source.replace_column(column, |array| {
                    array.as_any_dictionary().with_values(first.clone())
                });
            }
        }
    }
    runs
}
