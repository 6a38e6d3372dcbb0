//! Sorting from the store into the store: the cases, timed and checked.

mod cases;
pub mod constants;

pub use self::cases::{CASES, Case};

use std::io::Read;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_buffer::MutableBuffer;
use arrow_row::{RowConverter, SortField};
use sheaf_sort::{SortKey, SortOptions};
use sheaf_store::{PutOptions, Table};

use crate::clock::timed;
use crate::{Outcome, process};

/// Room in the store besides input and output, in bytes.
const SPARE: usize = 64 << 20;

/// What one case took.
pub struct Took {
    /// Rows sorted.
    pub rows: usize,
    /// Seconds, from the call to the sealed object; one for each round.
    pub seconds: Vec<f64>,
    /// The most memory that the sorting process has had, what it maps included, in bytes.
    pub peak_bytes: u64,
}

/// Sorts a table so many times, each into a new object.
///
/// # Errors
/// When the store fails, or a result is not what it should be.
pub fn run(
    batches: Vec<RecordBatch>,
    by: &[SortKey],
    rounds: usize,
    threads: usize,
) -> Outcome<Took> {
    let schema = batches.first().ok_or("a table without batches")?.schema();
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    // Room for input and output and little else: the store has the output's memory prepared, and
    // prepares no more of it while the sort runs.
    let bytes = sheaf_ipc::Plan::new(&schema, &batches)?.len();
    let pool = bytes + bytes / 2 + SPARE;
    let store = process::Store::start(bytes + pool, pool)?;
    let client = &store.client()?;
    client.put("input", &schema, &batches, &PutOptions::default())?;
    drop(batches);
    let mut seconds = Vec::with_capacity(rounds);
    for round in 0..rounds {
        process::settle(client)?;
        let input = client.get("input")?.table()?;
        let options = SortOptions { threads, ..SortOptions::default() };
        let sort =
            || sheaf_sort::sort(client, &input, by, "output", &PutOptions::default(), &options);
        let (sorted, took) = timed(sort);
        sorted?;
        seconds.push(took);
        if round == 0 {
            check(&input, &client.get("output")?.table()?, by)?;
        }
        drop(input);
        client.delete("output")?;
    }
    client.delete("input")?;
    Ok(Took { rows, seconds, peak_bytes: peak_bytes()? })
}

/// The most memory that this process has had, what it maps included, in bytes.
fn peak_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(kilobytes.parse::<u64>()? << 10)
}

/// Writes a table to an Arrow file.
///
/// # Errors
/// When the file can't be written.
pub fn write(batch: &RecordBatch, file: &Path) -> Outcome<()> {
    let plan = sheaf_ipc::Plan::new(&batch.schema(), std::slice::from_ref(batch))?;
    let mut bytes = vec![0; plan.len()];
    plan.fill(&mut bytes, 2);
    Ok(std::fs::write(file, bytes)?)
}

/// Reads an Arrow file.
///
/// # Errors
/// When it is none.
pub fn read(file: &Path) -> Outcome<Vec<RecordBatch>> {
    let mut source = std::fs::File::open(file)?;
    let mut bytes = MutableBuffer::from_len_zeroed(source.metadata()?.len() as usize);
    source.read_exact(&mut bytes)?;
    let file = sheaf_ipc::File::open(bytes.into())?;
    Ok(file.batches().collect::<Result<_, _>>()?)
}

/// Whether `output` has the rows of `input`, in order.
///
/// # Errors
/// When it has not.
pub fn check(input: &Table, output: &Table, by: &[SortKey]) -> Outcome<()> {
    let (before, after) = (checksum(input)?, checksum(output)?);
    if before != after {
        return Err(format!("rows differ: {before:?} before, {after:?} after").into());
    }
    let mut last: Option<arrow_row::OwnedRow> = None;
    let fields = by.iter().map(|key| {
        let field = input.schema().field_with_name(&key.column)?;
        Ok(SortField::new(field.data_type().clone()))
    });
    let converter = RowConverter::new(fields.collect::<Outcome<_>>()?)?;
    // Ascending, nulls last, as all cases are: Arrow's rows have nulls first by default.
    for batch in output.batches() {
        let batch = batch?;
        for start in (0..batch.num_rows()).step_by(1 << 16) {
            let part = batch.slice(start, (batch.num_rows() - start).min(1 << 16));
            last = check_part(&converter, &part, by, last)?;
        }
    }
    Ok(())
}

fn check_part(
    converter: &RowConverter,
    part: &RecordBatch,
    by: &[SortKey],
    last: Option<arrow_row::OwnedRow>,
) -> Outcome<Option<arrow_row::OwnedRow>> {
    let columns = by.iter().map(|key| {
        part.column_by_name(&key.column).cloned().ok_or_else(|| "a column is gone".into())
    });
    let columns = columns.collect::<Outcome<Vec<_>>>()?;
    let valid = columns.iter().map(|column| column.len() - column.null_count()).min().unwrap_or(0);
    let columns: Vec<_> = columns.iter().map(|column| column.slice(0, valid)).collect();
    let rows = converter.convert_columns(&columns)?;
    let first = (valid > 0).then(|| rows.row(0).owned());
    let seam = last.as_ref().zip(first.as_ref()).is_none_or(|(last, first)| last <= first);
    if !seam || (1..valid).any(|at| rows.row(at - 1) > rows.row(at)) {
        return Err("rows are out of order".into());
    }
    Ok(if valid > 0 { Some(rows.row(valid - 1).owned()) } else { last })
}

/// The number of rows, and a sum over a hash of each: the same for the same rows in any order.
fn checksum(table: &Table) -> Outcome<(u64, u64)> {
    let fields = table.schema().fields().iter();
    let fields = fields.map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let mut sum = 0_u64;
    for batch in table.batches() {
        let batch = batch?;
        for start in (0..batch.num_rows()).step_by(1 << 16) {
            let part = batch.slice(start, (batch.num_rows() - start).min(1 << 16));
            let rows = converter.convert_columns(part.columns())?;
            for row in &rows {
                sum = sum.wrapping_add(hash(row.as_ref()));
            }
        }
    }
    Ok((table.num_rows(), sum))
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0x9e37_79b9_7f4a_7c15, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mixed = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    })
}
