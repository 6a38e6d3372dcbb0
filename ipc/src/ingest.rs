//! Messages of somebody else's stream into a file.
//!
//! ```text
//! incoming   header │ body: v │ values ··· │ o │ bytes ·· │     8-byte aligned, close together
//!                        │ └──┐     └────────┐  └───────────┐
//! file     message' │ v ▪▪▪ │ values ··· ▪ │ o ▪▪ │ bytes ·· ▪ │   64-byte aligned, padded
//! ```
//!
//! Most messages are taken as they are: only where each buffer goes changes, and the flatbuffer
//! that says so. So the bytes can be copied straight from where they arrive to where they stay,
//! as they arrive. What can't be stored so is decoded first and encoded anew: dictionaries (a file
//! has one for a column, a stream may add to it and replace it), compressed buffers, and what
//! another version of the format wrote.
//!
//! What the values say is not checked here: whoever keeps the file opens it with
//! [`File::open`](crate::File::open).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{FieldNode, Message, MetadataVersion};
use arrow_schema::{DataType, Field, SchemaRef};

use crate::check::{self, guard};
use crate::frame::CONTINUATION;
use crate::message::Shape;
use crate::{Encoder, Error, Metadata, Part, Result, limits};

/// The most that one compressed message may become, in bytes.
const MOST_DECOMPRESSED: u64 = 4 << 30;

/// Takes the messages of a stream, in order, and makes a file of them.
pub struct Ingest {
    encoder: Encoder,
    /// For what can't be taken as it is; it has seen the schema.
    decoder: StreamDecoder,
    /// Whether there are dictionaries: then everything is decoded.
    decodes_all: bool,
}

/// What is to be done with a message.
#[derive(Debug)]
pub enum Intake {
    /// Its body goes straight to its place, run by run.
    Placed(Placement),
    /// Its body is to be gathered, aligned, and given to [`Ingest::whole`].
    Whole,
}

/// Where a message goes.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The message as the file has it, without its body.
    header: Buffer,
    /// Where in the file the message begins.
    offset: u64,
    /// Where the body's bytes go, in the order in which they come.
    runs: Vec<Run>,
    /// The length of the body in the file.
    body_len: usize,
}

/// Bytes that come together and go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where they are in the body that comes.
    pub source: usize,
    /// Where they go, from the start of the [`Placement`].
    pub target: usize,
    /// How many they are.
    pub len: usize,
}

impl Placement {
    /// Where in the file its first byte goes: a multiple of [`ALIGNMENT`](crate::ALIGNMENT).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes it takes in the file.
    pub fn len(&self) -> usize {
        self.header.len() + self.body_len
    }

    /// Whether it takes none: no placement does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the body's bytes go, in the order in which they come; what lies between is dropped.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Writes everything but the runs: the message, and zeros between them.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn start(&self, target: &mut [u8]) {
        assert_eq!(target.len(), self.len(), "the target is as long as the placement");
        target[..self.header.len()].copy_from_slice(&self.header);
        let mut end = self.header.len();
        for run in &self.runs {
            target[end..run.target].fill(0);
            end = run.target + run.len;
        }
        target[end..].fill(0);
    }
}

impl Ingest {
    /// Begins with the stream's first message, its schema: a flatbuffer without prefix.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if it is no sound schema;
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) if it is one that can't be stored.
    pub fn new(header: &[u8]) -> Result<Self> {
        let header = aligned(header);
        let message = check::message(&header)?;
        let Some(fb) = message.header_as_schema() else {
            let kind = message.header_type();
            return Err(Error::invalid(format!("a stream begins with its schema, not a {kind:?}")));
        };
        let schema = guard(|| check::schema(fb))?;
        let decodes_all = schema.fields().iter().any(|field| has_dictionary(field));
        let encoder = Encoder::new(Arc::new(schema))?;
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut marker())?;
        feed(&mut decoder, &header, &Buffer::default())?;
        Ok(Self { encoder, decoder, decodes_all })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        self.encoder.schema()
    }

    /// The bytes before the first batch.
    pub fn start(&self) -> Part {
        self.encoder.start()
    }

    /// What is to be done with a message whose body has `body_len` bytes. One that is placed gets
    /// `metadata` beside its own.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if the message is not sound, or its buffers lie
    /// outside its body.
    pub fn message(
        &mut self,
        header: &[u8],
        body_len: usize,
        metadata: &Metadata,
    ) -> Result<Intake> {
        let header = aligned(header);
        let message = check::message(&header)?;
        if usize::try_from(message.bodyLength()).ok() != Some(body_len) {
            let says = message.bodyLength();
            return Err(Error::invalid(format!(
                "a message that says that its body has {says} bytes came with {body_len}"
            )));
        }
        let Some(batch) = message.header_as_record_batch() else {
            return match message.header_as_dictionary_batch() {
                Some(_) if self.decodes_all => Ok(Intake::Whole),
                Some(_) => Err(Error::invalid("a dictionary, but no column has one")),
                None => Err(Error::invalid(format!(
                    "a record batch was expected, a {:?} came",
                    message.header_type()
                ))),
            };
        };
        let is_current = message.version() == MetadataVersion::V5;
        if self.decodes_all || !is_current || batch.compression().is_some() {
            return Ok(Intake::Whole);
        }
        let Some((shape, mut runs)) = arrange(batch, body_len)? else { return Ok(Intake::Whole) };
        let rows = usize::try_from(batch.length())
            .map_err(|_| Error::invalid(format!("{} rows cannot be", batch.length())))?;
        let metadata = joined(&message, metadata);
        let (offset, header) = self.encoder.place_message(rows, &shape, &metadata)?;
        runs.iter_mut().for_each(|run| run.target += header.len());
        Ok(Intake::Placed(Placement { header, offset, runs, body_len: shape.body }))
    }

    /// Takes back the last message that was placed, whose body did not come.
    pub fn take_back(&mut self) {
        self.encoder.take_back();
    }

    /// Takes a message whole: what it adds to the file, if anything.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if it can't be decoded;
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if it would become too large.
    pub fn whole(
        &mut self,
        header: &[u8],
        body: &Buffer,
        metadata: &Metadata,
    ) -> Result<Option<Part>> {
        let header = aligned(header);
        let message = check::message(&header)?;
        check_compressed(&message, body)?;
        let Some(batch) = feed(&mut self.decoder, &header, body)? else { return Ok(None) };
        let metadata = joined(&message, metadata);
        self.encoder.push_with(&batch, &metadata).map(Some)
    }

    /// As [`whole`](Self::whole), for who wants the rows and no file.
    ///
    /// # Errors
    /// As [`whole`](Self::whole).
    pub fn decode(&mut self, header: &[u8], body: &Buffer) -> Result<Option<RecordBatch>> {
        let header = aligned(header);
        check_compressed(&check::message(&header)?, body)?;
        feed(&mut self.decoder, &header, body)
    }

    /// What follows the batches: dictionaries and footer.
    ///
    /// # Errors
    /// As [`Encoder::finish`].
    pub fn finish(self) -> Result<Part> {
        self.encoder.finish()
    }
}

/// The flatbuffer where it can be read: its numbers must be aligned.
fn aligned(header: &[u8]) -> Buffer {
    let mut copy = MutableBuffer::with_capacity(header.len());
    copy.extend_from_slice(header);
    copy.into()
}

fn has_dictionary(field: &Field) -> bool {
    match field.data_type() {
        DataType::Dictionary(..) => true,
        other => crate::dictionary::children(other).any(has_dictionary),
    }
}

/// The message's own metadata, and what is to stand beside it.
fn joined(message: &Message<'_>, beside: &Metadata) -> Metadata {
    let mut metadata = check::metadata(message.custom_metadata());
    metadata.retain(|(key, _)| beside.iter().all(|(other, _)| other != key));
    metadata.extend(beside.iter().cloned());
    metadata
}

/// Gives every buffer its place; nothing if they do not come in the order in which they are listed.
fn arrange(
    batch: arrow_ipc::RecordBatch<'_>,
    body_len: usize,
) -> Result<Option<(Shape, Vec<Run>)>> {
    let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else {
        return Err(Error::invalid("the message lists no nodes or no buffers"));
    };
    let mut shape = Shape::default();
    shape.nodes.extend(nodes.iter().map(|node| FieldNode::new(node.length(), node.null_count())));
    shape.variadic.extend(batch.variadicBufferCounts().into_iter().flatten());
    let mut runs = Vec::with_capacity(buffers.len());
    let mut end = 0;
    for (index, buffer) in buffers.iter().enumerate() {
        let (source, len) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let (Ok(source), Ok(len)) = (source, len) else {
            return Err(Error::invalid(format!("buffer {index} has a negative place")));
        };
        if source.checked_add(len).is_none_or(|end| end > body_len) {
            return Err(Error::invalid(format!(
                "buffer {index} has bytes {source} and {len} more; the body has {body_len}"
            )));
        }
        let target = shape.body;
        shape.buffers.push(arrow_ipc::Buffer::new(target as i64, len as i64));
        shape.body = crate::frame::padded(target + len);
        if len == 0 {
            continue;
        }
        if source < end {
            return Ok(None);
        }
        end = source + len;
        runs.push(Run { source, target, len });
    }
    limits::check_shape(&shape)?;
    Ok(Some((shape, runs)))
}

/// Whether a compressed message says of every buffer how large it becomes, and all stay small
/// enough: what decompresses them believes it.
fn check_compressed(message: &Message<'_>, body: &Buffer) -> Result<()> {
    let batch = message
        .header_as_record_batch()
        .or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else { return Ok(()) };
    let mut all = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let len = usize::try_from(buffer.length()).unwrap_or(0);
        if len == 0 {
            continue;
        }
        let start = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
        let prefix = start.checked_add(8).and_then(|end| body.get(start..end));
        let Some(prefix) = prefix.and_then(|prefix| <[u8; 8]>::try_from(prefix).ok()) else {
            return Err(Error::invalid("a compressed buffer lies outside its body"));
        };
        let becomes = i64::from_le_bytes(prefix);
        // -1: not compressed after all.
        let becomes =
            if becomes == -1 { len as u64 } else { u64::try_from(becomes).unwrap_or(u64::MAX) };
        all = all.saturating_add(becomes);
    }
    if all > MOST_DECOMPRESSED {
        return Err(Error::too_large(format!(
            "a message that says it has {all} bytes decompressed; the most is {MOST_DECOMPRESSED}: \
             send smaller batches"
        )));
    }
    Ok(())
}

/// Gives the decoder a message; the batch, if it is one.
///
/// The decoder is done with a message only when it sees that more comes (a body may be empty). So
/// each message is followed by the marker of the next one, and the first is preceded by it.
fn feed(
    decoder: &mut StreamDecoder,
    header: &Buffer,
    body: &Buffer,
) -> Result<Option<RecordBatch>> {
    let says = check::message(header)?.bodyLength();
    if usize::try_from(says).ok() != Some(body.len()) {
        let has = body.len();
        return Err(Error::invalid(format!("a body of {has} bytes; its message says {says}")));
    }
    let padded = header.len().next_multiple_of(8);
    let len = u32::try_from(padded)
        .map_err(|_| Error::too_large(format!("a message of {} bytes", header.len())))?;
    let mut framed = MutableBuffer::with_capacity(4 + padded);
    framed.extend_from_slice(&len.to_le_bytes());
    framed.extend_from_slice(header);
    framed.resize(4 + padded, 0);
    guard(|| {
        let mut batch = None;
        for mut bytes in [framed.into(), body.clone(), marker()] {
            while !bytes.is_empty() {
                batch = decoder.decode(&mut bytes)?.or(batch);
            }
        }
        Ok(batch)
    })
}

/// What stands before every message.
fn marker() -> Buffer {
    Buffer::from(&CONTINUATION)
}
