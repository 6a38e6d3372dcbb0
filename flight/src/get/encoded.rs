//! Streams that are encoded anew, for who asks: compressed, or with values in place of
//! dictionaries.
//!
//! What is stored is neither, so here every body is made: a message at a time, when its turn comes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use sheaf_store::{Object, ObjectKind, Table};
use tonic::Status;

use super::messages::{Outgoing, OutgoingBody};
use super::opaque;
use super::options::Options;
use crate::app_metadata;
use crate::status;

/// Where batches come from.
enum Source {
    Table(Table),
    /// Opaque bytes, in chunks of so many.
    Opaque(Buffer, usize),
}

/// The messages of an object, encoded as they are asked for.
pub(super) struct Encoded {
    source: Source,
    next_batch: usize,
    encoding: Encoding,
}

impl Encoded {
    pub(super) fn new(object: &Object, options: Options) -> Result<Self, Status> {
        let source = match object.info().kind {
            ObjectKind::Table => Source::Table(object.table().map_err(|e| status::of(&e))?),
            ObjectKind::Bytes => Source::Opaque(object.buffer().clone(), opaque::chunk(&options)),
        };
        let stored = match &source {
            Source::Table(table) => table.schema().clone(),
            Source::Opaque(..) => opaque::schema(),
        };
        Ok(Self { source, next_batch: 0, encoding: Encoding::new(&stored, options)? })
    }

    /// The next message; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Outgoing>, Status> {
        loop {
            if let Some(message) = self.encoding.next()? {
                return Ok(Some(message));
            }
            match self.batch()? {
                Some((batch, kept)) => self.encoding.push(batch, kept)?,
                None => return Ok(None),
            }
        }
    }

    /// The next batch, and what was put beside it.
    fn batch(&mut self) -> Result<Option<(RecordBatch, Bytes)>, Status> {
        let index = self.next_batch;
        self.next_batch += 1;
        Ok(match &self.source {
            Source::Table(table) if index < table.num_batches() => {
                let batch = table.batch(index).map_err(|error| status::of(&error))?;
                let metadata = table.file().batch_metadata(index);
                let kept = app_metadata::of(&metadata.map_err(|error| status::of(&error.into()))?);
                Some((batch, kept))
            }
            Source::Opaque(bytes, chunk) if index * chunk < bytes.len() => {
                let start = index * chunk;
                let bytes = bytes.slice_with_length(start, (*chunk).min(bytes.len() - start));
                Some((opaque::batch(bytes).map_err(unfit)?, Bytes::new()))
            }
            _ => None,
        })
    }
}

/// What is left of the batch that is being sent.
struct Rest {
    batch: RecordBatch,
    rows: Range<usize>,
    /// The rows that a message takes.
    most_rows: usize,
    /// What was put beside it.
    kept: Bytes,
}

/// Batches become messages: the schema, then each batch in as many as it takes.
pub(crate) struct Encoding {
    options: Options,
    schema: SchemaRef,
    write: IpcWriteOptions,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
    has_begun: bool,
    rest: Option<Rest>,
    waiting: VecDeque<Outgoing>,
}

impl Encoding {
    /// The encoding of batches of this schema.
    ///
    /// # Errors
    /// `INTERNAL` for a compression that was not built in.
    pub(crate) fn new(schema: &SchemaRef, options: Options) -> Result<Self, Status> {
        let write = IpcWriteOptions::default().try_with_compression(options.compression);
        Ok(Self {
            options,
            schema: if options.hydrates { hydrated(schema) } else { schema.clone() },
            write: write.map_err(unfit)?,
            dictionaries: DictionaryTracker::new(false),
            context: IpcWriteContext::default(),
            has_begun: false,
            rest: None,
            waiting: VecDeque::new(),
        })
    }

    /// The next message of what was pushed; none when the next batch is to be pushed.
    pub(crate) fn next(&mut self) -> Result<Option<Outgoing>, Status> {
        if let Some(message) = self.waiting.pop_front() {
            return Ok(Some(message));
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            let header = schema_message(&self.schema, &mut self.dictionaries, &self.write);
            return Ok(Some(Outgoing {
                header: header.into(),
                app_metadata: Bytes::new(),
                body: None,
            }));
        }
        let Some(Rest { batch, rows, most_rows, kept }) = self.rest.take() else { return Ok(None) };
        let middle = rows.end.min(rows.start.saturating_add(most_rows));
        let piece = piece(&batch, rows.start..middle)?;
        if middle < rows.end {
            let (rows, kept) = (middle..rows.end, Bytes::new());
            self.rest = Some(Rest { batch, rows, most_rows, kept });
        }
        self.encode(&piece, kept)?;
        Ok(self.waiting.pop_front())
    }

    /// Takes the next batch, and what goes beside it.
    pub(crate) fn push(&mut self, batch: RecordBatch, kept: Bytes) -> Result<(), Status> {
        let batch = self.hydrate(batch)?;
        let (rows, most_rows) = (0..batch.num_rows(), self.fitting(&batch));
        self.rest = Some(Rest { batch, rows, most_rows, kept });
        Ok(())
    }

    fn hydrate(&self, batch: RecordBatch) -> Result<RecordBatch, Status> {
        if !self.options.hydrates {
            return Ok(batch);
        }
        let fields = self.schema.fields().iter();
        let columns = fields
            .zip(batch.columns())
            .map(|(field, column)| arrow_cast::cast(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| {
            Status::unimplemented(format!("these dictionaries can't be sent as values: {error}"))
        })?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(unfit)
    }

    /// How many rows a message takes, before it is compressed.
    fn fitting(&self, batch: &RecordBatch) -> usize {
        let bytes = batch
            .columns()
            .iter()
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX));
        let bytes = bytes.fold(0, usize::saturating_add).max(1);
        let fitting = self.options.message_bytes as u128 * batch.num_rows() as u128 / bytes as u128;
        usize::try_from(fitting).unwrap_or(usize::MAX).max(1)
    }

    fn encode(&mut self, batch: &RecordBatch, kept: Bytes) -> Result<(), Status> {
        let (dictionaries, batch) = IpcDataGenerator::default()
            .encode(batch, &mut self.dictionaries, &self.write, &mut self.context)
            .map_err(unfit)?;
        self.waiting.extend(dictionaries.into_iter().map(|one| outgoing(one, Bytes::new())));
        self.waiting.push_back(outgoing(batch, kept));
        Ok(())
    }
}

/// These rows, in memory of their own unless they are all: arrow's writer does not cut nested
/// columns well.
fn piece(batch: &RecordBatch, rows: Range<usize>) -> Result<RecordBatch, Status> {
    if rows.len() == batch.num_rows() {
        return Ok(batch.clone());
    }
    let taken = UInt64Array::from_iter_values(rows.start as u64..rows.end as u64);
    arrow_select::take::take_record_batch(batch, &taken).map_err(unfit)
}

fn outgoing(encoded: EncodedData, app_metadata: Bytes) -> Outgoing {
    let EncodedData { ipc_message, arrow_data } = encoded;
    let body = OutgoingBody { len: arrow_data.len(), parts: vec![arrow_data.into()] };
    Outgoing { header: ipc_message.into(), app_metadata, body: Some(body) }
}

fn schema_message(
    schema: &Schema,
    dictionaries: &mut DictionaryTracker,
    write: &IpcWriteOptions,
) -> Vec<u8> {
    let encoder = IpcDataGenerator::default();
    encoder.schema_to_bytes_with_dictionary_tracker(schema, dictionaries, write).ipc_message
}

/// The message of a schema with values in place of dictionaries.
pub(crate) fn hydrated_schema_message(schema: &SchemaRef) -> Vec<u8> {
    plain_schema_message(&hydrated(schema))
}

/// The message of a schema whose batches are sent by somebody else.
pub(crate) fn plain_schema_message(schema: &Schema) -> Vec<u8> {
    schema_message(schema, &mut DictionaryTracker::new(false), &IpcWriteOptions::default())
}

/// The schema with values in place of dictionaries.
pub(crate) fn hydrated(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| without_dictionaries(field));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

fn without_dictionaries(field: &Field) -> Field {
    field.clone().with_data_type(values_of(field.data_type()))
}

fn values_of(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| Arc::new(without_dictionaries(field));
    match data_type {
        DataType::Dictionary(_, values) => values_of(values),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, len) => DataType::FixedSizeList(inner(field), *len),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

fn unfit(error: ArrowError) -> Status {
    Status::internal(format!("what is stored can't be encoded so: {error}"))
}
