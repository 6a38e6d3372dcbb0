//! From a stream of batches to an object.
//!
//! What is small stays in memory until it is known how small; the rest is written into a draft as
//! it comes, on a thread that may wait for room. A stream that breaks leaves nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::coalesce::BatchCoalescer;
use datafusion::execution::SendableRecordBatchStream;
use futures_util::StreamExt;
use sheaf_ipc::Plan;
use sheaf_store::sql::Destination;
use sheaf_store::{Client, Error, Info, Kind, Name, Object, PutOptions, Result};
use tokio::sync::mpsc;

use crate::engine::ended;
use crate::error;

/// Results up to this size, in bytes, travel in the answer: an object for them would take longer.
const SMALL_BYTES: usize = 64 << 10;

/// Rows of a batch that is stored. The engine works in smaller ones, each of which would cost every
/// reader a look at its message.
const BATCH_ROWS: usize = 64 << 10;

/// Batches that wait for the thread that writes.
const WAITING: usize = 4;

/// Runs the stream to its end, and puts what it brought: under a name, or as an object that lasts
/// as long as somebody holds it.
///
/// # Errors
/// Whatever ends the stream; [`Kind::Full`] and [`Kind::Exists`] as a put.
pub(crate) async fn object_of(
    client: &Client,
    mut rows: SendableRecordBatchStream,
    into: Option<Destination>,
) -> Result<Object> {
    let schema = rows.schema();
    let mut few = Vec::new();
    let mut bytes = 0;
    while bytes <= SMALL_BYTES {
        let Some(batch) = rows.next().await else {
            return small(client, schema, few, into).await;
        };
        let batch = batch.map_err(|error| error::of(&error))?;
        bytes += size_of(&batch);
        few.push(batch);
    }
    let (sending, coming) = mpsc::channel(WAITING);
    let client = client.clone();
    let writing = tokio::task::spawn_blocking(move || write(&client, &schema, few, coming, into));
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| error::of(&error))?;
        if sending.send(Some(batch)).await.is_err() {
            break; // It has ended, and says why.
        }
    }
    let _ = sending.send(None).await;
    writing.await.map_err(ended)?
}

/// Batches that are there already, as an object.
///
/// # Errors
/// As [`object_of`].
pub(crate) async fn small(
    client: &Client,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    into: Option<Destination>,
) -> Result<Object> {
    let Some(Destination { name, options }) = into else {
        return in_memory(&schema, &batches);
    };
    let client = client.clone();
    let put = move || {
        client.put(&name, &schema, &batches, &options)?;
        client.get(&name)
    };
    tokio::task::spawn_blocking(put).await.map_err(ended)?
}

/// How many bytes of its own a batch has, about.
pub(crate) fn size_of(batch: &RecordBatch) -> usize {
    let sizes = batch.columns().iter().map(|column| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    sizes.sum()
}

fn in_memory(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Object> {
    let plan = Plan::new(schema, batches)?;
    let mut file = arrow_buffer::MutableBuffer::from_len_zeroed(plan.len());
    plan.fill(&mut file, 1);
    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let info = Info::result(plan.len() as u64, rows, batches.len() as u64)?;
    Object::in_memory(info, file.into())
}

/// Writes what comes until `None` does; if that never comes, nothing is left.
fn write(
    client: &Client,
    schema: &SchemaRef,
    few: Vec<RecordBatch>,
    mut coming: mpsc::Receiver<Option<RecordBatch>>,
    into: Option<Destination>,
) -> Result<Object> {
    let keeps_name = into.is_some();
    let (name, options) = match into {
        Some(Destination { name, options }) => (name, options),
        None => (nameless()?, PutOptions::default()),
    };
    let mut writer = client.writer(&name, schema, &options)?;
    let mut coalescer = BatchCoalescer::new(schema.clone(), BATCH_ROWS);
    let unfit = |error: ArrowError| Error::new(Kind::Internal, error.to_string());
    for batch in few {
        coalescer.push_batch(batch).map_err(unfit)?;
    }
    loop {
        while let Some(batch) = coalescer.next_completed_batch() {
            writer.write(&batch)?;
        }
        match coming.blocking_recv() {
            Some(Some(batch)) => coalescer.push_batch(batch).map_err(unfit)?,
            Some(None) => break,
            None => return Err(Error::new(Kind::Interrupted, "the statement was cancelled")),
        }
    }
    coalescer.finish_buffered_batch().map_err(unfit)?;
    if let Some(batch) = coalescer.next_completed_batch() {
        writer.write(&batch)?;
    }
    writer.finish()?;
    let object = client.get(&name)?;
    if !keeps_name {
        client.delete(&name)?;
    }
    Ok(object)
}

/// A name for what has none, for the moment between its seal and its first holder.
pub(crate) fn nameless() -> Result<Name> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Name::new(format!(".sql/{}/{number}", std::process::id()))
}
