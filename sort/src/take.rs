//! Columns that can't be laid out ahead: rows are put in order by their numbers, and batches made
//! of them one at a time.
//!
//! Slower, and for every type there is: lists, structs, unions, views, dictionaries that differ.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use sheaf_store::Result;

use crate::engine::{Sorter, is_streamed};
use crate::keys::Keys;
use crate::lanes::Lane;
use crate::memory::Scratch;
use crate::options::Stage;
use crate::source::Source;
use crate::target::Target;
use crate::workers::Workers;

/// Rows in a batch, if they are not too many bytes.
const BATCH: usize = 1 << 20;

/// Bytes in a batch, about: below what 32-bit offsets reach, with room for uneven rows.
const BATCH_BYTES: usize = 256 << 20;

/// Sorts, and hands the rows to `each` in batches. The lanes are those of the keys.
///
/// # Errors
/// Those of the workers, of Arrow's kernels, and of `each`.
pub(crate) fn take(
    source: &Source,
    schema: &SchemaRef,
    mut lanes: Vec<Lane>,
    keys: &Keys,
    workers: &Workers<'_>,
    mut each: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    let rows = source.num_rows();
    lanes.push(Lane::Rows);
    let mut scratch = Scratch::default();
    let mut targets = Vec::with_capacity(lanes.len());
    for lane in &lanes {
        let bytes = rows * lane.width();
        targets.push(Target::one(scratch.take(bytes)?, lane.width(), is_streamed(bytes)));
    }
    let sorter = Sorter::new(source, &lanes, keys, &targets, workers, None, &mut scratch)?;
    // SAFETY: each lane has memory of its own, with room for all rows.
    unsafe { sorter.run()? };
    drop(sorter);

    let numbers = &targets[targets.len() - 1];
    let bytes: usize = source.batches.iter().map(RecordBatch::get_array_memory_size).sum();
    let batch = (BATCH_BYTES / (bytes / rows.max(1)).max(1)).clamp(1, BATCH);
    let mut start = 0;
    while start < rows {
        let end = (start + batch).min(rows);
        let mut read = Vec::new();
        // SAFETY: the sorter wrote them.
        unsafe { numbers.read(start as u64..end as u64, &mut read) };
        let places: Vec<(usize, usize)> = read
            .as_chunks()
            .0
            .iter()
            .map(|row| source.locate(u64::from_ne_bytes(*row) as usize))
            .collect();
        each(&pick(source, schema, &places, workers)?)?;
        start = end;
    }
    Ok(())
}

/// The rows at these places, as a batch; a thread takes a column.
fn pick(
    source: &Source,
    schema: &SchemaRef,
    places: &[(usize, usize)],
    workers: &Workers<'_>,
) -> Result<RecordBatch> {
    let columns = schema.fields().len();
    let make = || ();
    let arrays: Vec<ArrayRef> = workers.collect(Stage::Gather, columns, make, |at, ()| {
        let arrays: Vec<&dyn Array> = source.column(at).map(AsRef::as_ref).collect();
        Ok((interleave(&arrays, places).map_err(sheaf_ipc::Error::from)?, 0))
    })?;
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(places.len()));
    let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options);
    Ok(batch.map_err(sheaf_ipc::Error::from)?)
}
