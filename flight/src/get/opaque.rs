//! Opaque bytes as a stream: one column, `bytes`, of chunks that are slices of the object.
//!
//! A client that speaks Flight alone can thus read them, and put them: the schema's metadata says
//! what they are.

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_ipc::{FieldNode, MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use sheaf_store::Object;

use super::encoded;
use super::messages::{Outgoing, OutgoingBody, shared};
use super::options::Options;

/// The key in the schema's metadata that says what kind of object it is, and its value.
pub(crate) const KIND: (&str, &str) = ("sheaf.kind", "bytes");

/// The column's name.
pub(crate) const COLUMN: &str = "bytes";

/// The bytes of a chunk.
pub(crate) const CHUNK_BYTES: usize = 2 << 20;

/// The schema of every stream of opaque bytes.
pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let field = Field::new(COLUMN, DataType::Binary, false);
        let metadata = [(KIND.0.to_owned(), KIND.1.to_owned())].into();
        Arc::new(Schema::new_with_metadata(vec![field], metadata))
    });
    SCHEMA.clone()
}

/// How many rows a stream of the object has that asks for nothing.
pub(crate) fn chunks_of(object: &Object) -> u64 {
    object.info().bytes.div_ceil(CHUNK_BYTES as u64)
}

/// The bytes of a chunk in a stream that is sent so.
pub(super) fn chunk(options: &Options) -> usize {
    CHUNK_BYTES.min(options.message_bytes)
}

/// A batch of one row, whose value is the chunk.
pub(crate) fn batch(chunk: Buffer) -> Result<RecordBatch, ArrowError> {
    let offsets = OffsetBuffer::from_lengths([chunk.len()]);
    let column: ArrayRef = Arc::new(BinaryArray::new(offsets, chunk, None));
    RecordBatch::try_new(schema(), vec![column])
}

/// The chunks of a batch.
pub(crate) fn chunks(batch: &RecordBatch) -> impl Iterator<Item = &[u8]> {
    let column = batch.column_by_name(COLUMN);
    column.and_then(|column| column.as_binary_opt::<i32>()).into_iter().flatten().flatten()
}

/// The messages of an object of opaque bytes.
pub(super) struct Opaque {
    bytes: Buffer,
    next: usize,
    has_begun: bool,
    chunk: usize,
}

impl Opaque {
    pub(super) fn new(object: &Object, options: Options) -> Self {
        let chunk = chunk(&options);
        Self { bytes: object.buffer().clone(), next: 0, has_begun: false, chunk }
    }

    pub(super) fn next(&mut self) -> Option<Outgoing> {
        if !std::mem::replace(&mut self.has_begun, true) {
            let (header, app_metadata) = (schema_message().into(), Bytes::new());
            return Some(Outgoing { header, app_metadata, body: None });
        }
        let len = self.chunk.min(self.bytes.len() - self.next);
        if len == 0 {
            return None;
        }
        let chunk = self.bytes.slice_with_length(self.next, len);
        self.next += len;
        Some(chunk_message(chunk))
    }
}

/// The schema's message, without prefix.
pub(crate) fn schema_message() -> Vec<u8> {
    encoded::plain_schema_message(&schema())
}

/// A batch of one row, whose value is the chunk.
fn chunk_message(chunk: Buffer) -> Outgoing {
    // Offsets, padded, then the value, padded: as every message here, 64 bytes aligned.
    let len = chunk.len();
    let padded = len.next_multiple_of(64);
    let mut offsets = [0; 64];
    offsets[4..8].copy_from_slice(&(len as u32).to_le_bytes());

    let mut builder = flatbuffers::FlatBufferBuilder::new();
    let nodes = builder.create_vector(&[FieldNode::new(1, 0)]);
    let buffers = builder.create_vector(&[
        arrow_ipc::Buffer::new(0, 0),
        arrow_ipc::Buffer::new(0, 8),
        arrow_ipc::Buffer::new(64, len as i64),
    ]);
    let mut batch = RecordBatchBuilder::new(&mut builder);
    batch.add_length(1);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish().as_union_value();
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_bodyLength((64 + padded) as i64);
    message.add_header(batch);
    let message = message.finish();
    builder.finish(message, None);

    let mut parts = vec![Bytes::copy_from_slice(&offsets), shared(chunk)];
    if padded > len {
        parts.push(Bytes::from(vec![0; padded - len]));
    }
    let header = Bytes::copy_from_slice(builder.finished_data());
    let body = Some(OutgoingBody { len: 64 + padded, parts });
    Outgoing { header, app_metadata: Bytes::new(), body }
}
