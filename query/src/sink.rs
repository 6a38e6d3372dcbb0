//! From a stream of batches to an object.
//!
//! What is small stays in memory until it is known how small; the rest is written into a draft as
//! it comes, on a thread that may wait for room. A stream that breaks leaves nothing.

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
use crate::stop::{Stop, cancelled};

/// Results up to this size, in bytes, travel in the answer: an object for them would take longer.
const SMALL_BYTES: usize = 64 << 10;

/// Rows of a batch that is stored. The engine works in smaller ones, each of which would cost every
/// reader a look at its message.
const BATCH_ROWS: usize = 64 << 10;

/// Batches that wait for the thread that writes.
const WAITING: usize = 4;

/// Runs the stream to its end; what it brought is an object that lasts as long as somebody holds
/// it.
///
/// # Errors
/// Whatever ends the stream, and [`Stop`]; [`Kind::Full`] as a put.
pub(crate) async fn object_of(
    client: &Client,
    rows: SendableRecordBatchStream,
    stop: &Stop,
) -> Result<Object> {
    let schema = rows.schema();
    match begun(rows).await? {
        Begun::Whole(few) => in_memory(&schema, &few),
        Begun::More(few, rows) => {
            let (name, own) = (Name::passing("sql"), client.clone());
            let into = Destination { name: name.clone(), options: PutOptions::default() };
            written(client, few, rows, into, stop).await?;
            let take = move || {
                let object = own.get(&name)?;
                own.delete(&name)?;
                Ok(object)
            };
            tokio::task::spawn_blocking(take).await.map_err(ended)?
        }
    }
}

/// Runs the stream to its end, and puts what it brought under a name.
///
/// # Errors
/// As [`object_of`]; [`Kind::Exists`] as a put.
pub(crate) async fn put(
    client: &Client,
    rows: SendableRecordBatchStream,
    into: Destination,
    stop: &Stop,
) -> Result<Info> {
    let schema = rows.schema();
    match begun(rows).await? {
        Begun::Whole(few) => {
            let (client, stop) = (client.clone(), stop.clone());
            let put = move || {
                stop.check()?;
                client.put(&into.name, &schema, &few, &into.options)
            };
            tokio::task::spawn_blocking(put).await.map_err(ended)?
        }
        Begun::More(few, rows) => written(client, few, rows, into, stop).await,
    }
}

/// The beginning of a stream, in memory.
enum Begun {
    /// That is all of it.
    Whole(Vec<RecordBatch>),
    More(Vec<RecordBatch>, SendableRecordBatchStream),
}

async fn begun(mut rows: SendableRecordBatchStream) -> Result<Begun> {
    let mut few = Vec::new();
    let mut bytes = 0;
    while bytes <= SMALL_BYTES {
        let Some(batch) = rows.next().await else { return Ok(Begun::Whole(few)) };
        let batch = batch.map_err(|error| error::of(&error))?;
        bytes += size_of(&batch);
        few.push(batch);
    }
    Ok(Begun::More(few, rows))
}

/// Writes what came and what is to come.
async fn written(
    client: &Client,
    few: Vec<RecordBatch>,
    mut rows: SendableRecordBatchStream,
    into: Destination,
    stop: &Stop,
) -> Result<Info> {
    let (sending, coming) = mpsc::channel(WAITING);
    let (client, schema, stop) = (client.clone(), rows.schema(), stop.clone());
    let write = move || write(&client, &schema, few, coming, &into, &stop);
    let writing = tokio::task::spawn_blocking(write);
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|error| error::of(&error))?;
        if sending.send(Some(batch)).await.is_err() {
            break; // It has ended, and says why.
        }
    }
    let _ = sending.send(None).await;
    writing.await.map_err(ended)?
}

/// How many bytes of its own a batch has, about.
pub(crate) fn size_of(batch: &RecordBatch) -> usize {
    let sizes = batch.columns().iter().map(|column| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    });
    sizes.sum()
}

/// Batches as an object in memory of the process's own.
///
/// # Errors
/// As a put, for what can't be stored.
pub(crate) fn in_memory(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Object> {
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
    into: &Destination,
    stop: &Stop,
) -> Result<Info> {
    let mut writer = client.writer(&into.name, schema, &into.options)?;
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
            None => return Err(cancelled()),
        }
    }
    coalescer.finish_buffered_batch().map_err(unfit)?;
    if let Some(batch) = coalescer.next_completed_batch() {
        writer.write(&batch)?;
    }
    // From here on it is done, whoever has left meanwhile.
    stop.check()?;
    writer.finish()
}
