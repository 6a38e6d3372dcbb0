//! The flatbuffers of a file: schema, batch and dictionary messages, and the footer.

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::writer::DictionaryTracker;
use arrow_ipc::{
    Block, DictionaryBatchBuilder, FieldNode, FooterBuilder, KeyValue, KeyValueBuilder,
    MessageBuilder, MessageHeader, MetadataVersion, RecordBatchBuilder,
};
use arrow_schema::Schema;
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};

use crate::Metadata;

/// What a batch's message says of its body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) nodes: Vec<FieldNode>,
    pub(crate) buffers: Vec<arrow_ipc::Buffer>,
    pub(crate) variadic: Vec<i64>,
    pub(crate) body: usize,
}

/// The message that starts a file.
pub(crate) fn schema(schema: &Schema) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let schema = encode_schema(&mut builder, schema).as_union_value();
    message(builder, MessageHeader::Schema, schema, 0, &Metadata::new())
}

/// The message of a record batch.
pub(crate) fn batch(rows: usize, shape: &Shape, metadata: &Metadata) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(capacity(shape));
    let batch = encode_batch(&mut builder, rows, shape).as_union_value();
    message(builder, MessageHeader::RecordBatch, batch, shape.body, metadata)
}

/// The message of a dictionary: its values as a batch of one column.
pub(crate) fn dictionary(id: i64, rows: usize, shape: &Shape) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(capacity(shape));
    let values = encode_batch(&mut builder, rows, shape);
    let mut dictionary = DictionaryBatchBuilder::new(&mut builder);
    dictionary.add_id(id);
    dictionary.add_data(values);
    dictionary.add_isDelta(false);
    let dictionary = dictionary.finish().as_union_value();
    message(builder, MessageHeader::DictionaryBatch, dictionary, shape.body, &Metadata::new())
}

/// Where everything is.
pub(crate) fn footer(
    schema: &Schema,
    dictionaries: &[Block],
    batches: &[Block],
    metadata: &Metadata,
) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(1024 + batches.len() * 24);
    let dictionaries = builder.create_vector(dictionaries);
    let batches = builder.create_vector(batches);
    let schema = encode_schema(&mut builder, schema);
    let metadata = encode_metadata(&mut builder, metadata);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    if let Some(metadata) = metadata {
        footer.add_custom_metadata(metadata);
    }
    let footer = footer.finish();
    builder.finish(footer, None);
    builder.finished_data().to_vec()
}

/// About how many bytes a message takes, so that the builder need not grow.
fn capacity(shape: &Shape) -> usize {
    256 + 16 * (shape.nodes.len() + shape.buffers.len()) + 8 * shape.variadic.len()
}

fn message(
    mut builder: FlatBufferBuilder<'_>,
    kind: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body: usize,
    metadata: &Metadata,
) -> Vec<u8> {
    let metadata = encode_metadata(&mut builder, metadata);
    let mut message = MessageBuilder::new(&mut builder);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(kind);
    message.add_bodyLength(body as i64);
    message.add_header(header);
    if let Some(metadata) = metadata {
        message.add_custom_metadata(metadata);
    }
    let message = message.finish();
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

fn encode_schema<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    schema: &Schema,
) -> WIPOffset<arrow_ipc::Schema<'a>> {
    // A fresh tracker numbers dictionaries from zero, children before parents: the order in
    // which `dictionary::Dictionaries` numbers them too.
    let mut tracker = DictionaryTracker::new(false);
    IpcSchemaEncoder::new()
        .with_dictionary_tracker(&mut tracker)
        .schema_to_fb_offset(builder, schema)
}

fn encode_batch<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    rows: usize,
    shape: &Shape,
) -> WIPOffset<arrow_ipc::RecordBatch<'a>> {
    let nodes = builder.create_vector(&shape.nodes);
    let buffers = builder.create_vector(&shape.buffers);
    let variadic = (!shape.variadic.is_empty()).then(|| builder.create_vector(&shape.variadic));
    let mut batch = RecordBatchBuilder::new(builder);
    batch.add_length(rows as i64);
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    if let Some(variadic) = variadic {
        batch.add_variadicBufferCounts(variadic);
    }
    batch.finish()
}

type Pairs<'a> = Vector<'a, ForwardsUOffset<KeyValue<'a>>>;

fn encode_metadata<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    metadata: &Metadata,
) -> Option<WIPOffset<Pairs<'a>>> {
    if metadata.is_empty() {
        return None;
    }
    let pairs: Vec<_> = metadata
        .iter()
        .map(|(key, value)| {
            let key = builder.create_string(key);
            let value = builder.create_string(value);
            let mut pair = KeyValueBuilder::new(builder);
            pair.add_key(key);
            pair.add_value(value);
            pair.finish()
        })
        .collect();
    Some(builder.create_vector(&pairs))
}
