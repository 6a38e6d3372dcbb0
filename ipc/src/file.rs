//! An open file: batches that point into the buffer.

use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use crate::blocks::{self, Block, Opened};
use crate::check::{self, guard};
use crate::decode::{Decoder, Values};
use crate::validate::{validate, validate_columns};
use crate::{Error, Metadata, Result};

/// An Arrow IPC file in a buffer, opened without copying.
///
/// Cheap to clone. Batches, and the messages cut from the file, share the buffer and keep it
/// alive.
#[derive(Debug, Clone)]
pub struct File(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    buffer: Buffer,
    opened: Opened,
    schema: SchemaRef,
    /// Read at once when checked, and at the first batch when trusted.
    dictionaries: OnceLock<Result<Values>>,
    rows: OnceLock<u64>,
}

/// Whether what the bytes say is to be checked, or was.
#[derive(Clone, Copy, PartialEq)]
enum Trust {
    Checking,
    Checked,
}

impl File {
    /// Opens a file and checks all of it: structure, schema, and every value of every batch.
    ///
    /// The bytes must not change as long as the buffer lives, as Arrow demands of all buffers;
    /// what was checked is not checked again.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if the bytes are not a sound Arrow IPC file;
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) if they are, but cannot be used as they
    /// lie: compressed, big-endian, or not aligned as their types want it.
    pub fn open(buffer: Buffer) -> Result<Self> {
        let file = Self::read(buffer)?;
        let Inner { buffer, opened, schema, .. } = &*file.0;
        blocks::check_disjoint(opened)?;
        blocks::check_schema_message(buffer, opened, schema)?;

        let dictionaries = guard(|| file.read_dictionaries(Trust::Checking))?;
        let mut rows = 0_u64;
        for i in 0..opened.batches.len() {
            let read = || file.decode(i, &dictionaries, Trust::Checking);
            let batch = guard(read).map_err(|error| error.at(format!("batch {i}")))?;
            rows = rows.checked_add(batch.num_rows() as u64).ok_or_else(|| {
                Error::invalid(format!("batch {i}: the file has more rows than can be counted"))
            })?;
        }
        // Nobody else has the file yet: both are still unset.
        let _ = file.0.rows.set(rows);
        let _ = file.0.dictionaries.set(Ok(dictionaries));
        Ok(file)
    }

    /// Opens a file whose bytes were checked before: reads its footer and nothing else.
    ///
    /// # Safety
    /// [`open`](Self::open) must have accepted these very bytes, and nothing may have written
    /// to them since: offsets, keys and strings are used as they are.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if the footer is not one.
    pub unsafe fn open_trusted(buffer: Buffer) -> Result<Self> {
        Self::read(buffer)
    }

    fn read(buffer: Buffer) -> Result<Self> {
        let (schema, opened) = blocks::open(&buffer)?;
        let schema = Arc::new(schema);
        let (dictionaries, rows) = (OnceLock::new(), OnceLock::new());
        Ok(Self(Arc::new(Inner { buffer, opened, schema, dictionaries, rows })))
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    /// The file's own metadata, from the footer. The schema has its own.
    pub fn metadata(&self) -> &Metadata {
        &self.0.opened.metadata
    }

    /// The bytes of the file.
    pub fn buffer(&self) -> &Buffer {
        &self.0.buffer
    }

    /// How many batches there are.
    pub fn num_batches(&self) -> usize {
        self.0.opened.batches.len()
    }

    /// How many rows all batches have, by what their messages say.
    pub fn num_rows(&self) -> u64 {
        *self.0.rows.get_or_init(|| self.batch_rows().fold(0, u64::saturating_add))
    }

    /// How many rows each batch has, by what its message says.
    pub fn batch_rows(&self) -> impl Iterator<Item = u64> + '_ {
        let rows = self.0.opened.batches.iter().map(|block| {
            let message = block.message(&self.0.buffer).ok()?;
            u64::try_from(message.header_as_record_batch()?.length()).ok()
        });
        rows.map(Option::unwrap_or_default)
    }

    /// A batch, whose arrays point into the file.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such batch. What was accepted by
    /// [`open`](Self::open) gives no other.
    pub fn batch(&self, index: usize) -> Result<RecordBatch> {
        let read = || self.read_dictionaries(Trust::Checked);
        let dictionaries = self.0.dictionaries.get_or_init(|| guard(read));
        let dictionaries = dictionaries.as_ref().map_err(Clone::clone)?;
        self.decode(index, dictionaries, Trust::Checked)
            .map_err(|error| error.at(format!("batch {index}")))
    }

    /// All batches, each decoded when its turn comes.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        (0..self.num_batches()).map(|i| self.batch(i))
    }

    /// The metadata that a batch brought with it.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such batch.
    pub fn batch_metadata(&self, index: usize) -> Result<Metadata> {
        let message = self.block(index)?.message(&self.0.buffer)?;
        Ok(check::metadata(message.custom_metadata()))
    }

    /// The file as messages, in the order in which a stream has them: schema, dictionaries,
    /// batches.
    pub fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        (0..self.num_messages()).filter_map(|index| self.message(index))
    }

    /// How many messages [`messages`](Self::messages) has.
    pub fn num_messages(&self) -> usize {
        1 + self.0.opened.dictionaries.len() + self.num_batches()
    }

    /// One of the [`messages`](Self::messages), by its place among them.
    pub fn message(&self, index: usize) -> Option<Message> {
        let Opened { schema, dictionaries, batches, .. } = &self.0.opened;
        let (kind, block) = match index.checked_sub(1) {
            None => (MessageKind::Schema, schema),
            Some(index) if index < dictionaries.len() => {
                (MessageKind::Dictionary, &dictionaries[index])
            }
            Some(index) => (MessageKind::Batch, batches.get(index - dictionaries.len())?),
        };
        let buffer = &self.0.buffer;
        Some(Message { kind, header: block.header(buffer), body: block.body(buffer) })
    }

    fn block(&self, index: usize) -> Result<&Block> {
        let batches = &self.0.opened.batches;
        batches.get(index).ok_or_else(|| {
            Error::invalid(format!("there is no batch {index}, the file has {}", batches.len()))
        })
    }

    fn decode(&self, index: usize, dictionaries: &Values, trust: Trust) -> Result<RecordBatch> {
        let block = self.block(index)?;
        let message = block.message(&self.0.buffer)?;
        let Some(batch) = message.header_as_record_batch() else {
            return Err(Error::invalid(format!(
                "a record batch was expected, a {:?} found",
                message.header_type()
            )));
        };
        let rows = usize::try_from(batch.length())
            .map_err(|_| Error::invalid(format!("{} rows cannot be", batch.length())))?;

        let body = block.body(&self.0.buffer);
        let mut decoder = Decoder::new(batch, message.version(), &body, dictionaries)?;
        let fields = self.0.schema.fields();
        let mut columns: Vec<ArrayData> = Vec::with_capacity(fields.len());
        for field in fields {
            let column = decoder.column(field)?;
            if column.len() != rows {
                return Err(Error::invalid(format!(
                    "column {} has {} rows, the batch {rows}",
                    field.name(),
                    column.len()
                )));
            }
            columns.push(column);
        }
        decoder.finish()?;
        if trust == Trust::Checking {
            validate_columns(fields, &columns, body.len())?;
        }
        let columns: Vec<ArrayRef> = columns.into_iter().map(make_array).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.0.schema.clone(), columns, &options)?)
    }

    /// Reads all dictionaries, those inside others first.
    fn read_dictionaries(&self, trust: Trust) -> Result<Values> {
        let Opened { dictionary_types, dictionaries, .. } = &self.0.opened;
        let parts = blocks::by_id(&self.0.buffer, dictionaries, dictionary_types)?;
        let mut values = Values::new();
        for (id, data_type) in dictionary_types {
            if values.contains_key(id) {
                continue;
            }
            let Some(blocks) = parts.get(id) else { continue };
            let parts: Vec<ArrayData> = blocks
                .iter()
                .map(|block| self.decode_dictionary(block, *id, data_type, &values, trust))
                .collect::<Result<_>>()
                .map_err(|error| error.at(format!("dictionary {id}")))?;
            values.insert(*id, self.join(parts)?);
        }
        Ok(values)
    }

    fn decode_dictionary(
        &self,
        block: &Block,
        id: i64,
        data_type: &arrow_schema::DataType,
        known: &Values,
        trust: Trust,
    ) -> Result<ArrayData> {
        let message = block.message(&self.0.buffer)?;
        let batch = message.header_as_dictionary_batch().and_then(|batch| batch.data());
        let Some(batch) = batch else {
            return Err(Error::invalid("a dictionary was expected"));
        };
        let body = block.body(&self.0.buffer);
        let rows = batch.length();
        let mut decoder = Decoder::new(batch, message.version(), &body, known)?;
        let array = decoder.array(data_type, None)?;
        decoder.finish()?;
        if usize::try_from(rows).ok() != Some(array.len()) {
            return Err(Error::invalid(format!("has {} values, not {rows}", array.len())));
        }
        if trust == Trust::Checking {
            validate(&array).map_err(|error| error.at(format!("values of {id}")))?;
        }
        Ok(array)
    }

    /// A dictionary and what was added to it later (other writers do that): the one thing
    /// that must be copied.
    fn join(&self, mut parts: Vec<ArrayData>) -> Result<ArrayData> {
        if parts.len() == 1
            && let Some(part) = parts.pop()
        {
            return Ok(part);
        }
        // Values without bytes could be of any number, and their bitmap of any size.
        let rows = parts.iter().map(ArrayData::len).fold(0, usize::saturating_add);
        if rows > self.0.buffer.len().saturating_mul(8) {
            return Err(Error::unsupported(format!(
                "a dictionary in {} parts has {rows} values in {} bytes: write it in one part",
                parts.len(),
                self.0.buffer.len()
            )));
        }
        let arrays: Vec<ArrayRef> = parts.into_iter().map(make_array).collect();
        let arrays: Vec<&dyn arrow_array::Array> = arrays.iter().map(AsRef::as_ref).collect();
        Ok(concat(&arrays)?.to_data())
    }
}

/// A message of the file, as streams and Arrow Flight have it; both parts lie in the file.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it carries.
    pub kind: MessageKind,
    /// Its flatbuffer (Flight's `data_header`), without prefix; zeros may follow it.
    pub header: Buffer,
    /// Its buffers (Flight's `data_body`); empty for a schema.
    pub body: Buffer,
}

/// What a [`Message`] carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The schema; the first message, and one only.
    Schema,
    /// A dictionary.
    Dictionary,
    /// A record batch.
    Batch,
}
