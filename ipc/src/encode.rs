//! Batches into a file, one by one, each as a list of copies still to be made.

use std::io::Write;
use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::Block;
use arrow_schema::SchemaRef;

use crate::copy::{self, Copy, Source, Way};
use crate::dictionary::Dictionaries;
use crate::frame::{ALIGNMENT, END, HEADER, MAGIC, frame, padded};
use crate::message::Shape;
use crate::walk::{Body, walk};
use crate::{Error, Metadata, Result, limits, message};

/// Encodes batches into an Arrow IPC file, one by one, as they come.
///
/// Nothing is copied until a [`Part`] is written; until then parts hold on to the arrays'
/// buffers. Parts follow one another without gaps: [`start`](Self::start), one per batch,
/// [`finish`](Self::finish).
#[derive(Debug)]
pub struct Encoder {
    schema: SchemaRef,
    metadata: Metadata,
    header: Buffer,
    dictionaries: Dictionaries,
    batches: Vec<Block>,
    offset: usize,
}

impl Encoder {
    /// An encoder of batches of this schema.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) if the schema has a type that the format
    /// has no form for (a dictionary of dictionaries) or nests deeper than 60 levels;
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if it does not fit into a message.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        limits::check_schema(&schema)?;
        let dictionaries = Dictionaries::new(&schema)?;
        let mut header = Vec::from(MAGIC);
        header.resize(HEADER, 0);
        header.extend_from_slice(&frame(&message::schema(&schema), HEADER)?);
        let (header, offset) = (Buffer::from_vec(header.clone()), header.len());
        let batches = Vec::new();
        Ok(Self { schema, metadata: Metadata::new(), header, dictionaries, batches, offset })
    }

    /// Gives the file metadata of its own, kept in the footer, beside the schema's.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The schema that all batches have.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many bytes the parts take that were handed out so far, the start included.
    pub fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// The bytes before the first batch: magic and schema. Their offset is 0.
    pub fn start(&self) -> Part {
        Part::new(0, vec![Copy::new(Source::Bytes(self.header.clone()), 0)])
    }

    /// Encodes a batch: its message and its body.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if its columns are not those of the schema;
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if a dictionary that has to take in this
    /// batch's values outgrows its keys. The file is then as it was, but for values that its
    /// dictionaries may have taken in.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Part> {
        self.push_with(batch, &Metadata::new())
    }

    /// Encodes a batch that has metadata of its own.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_with(&mut self, batch: &RecordBatch, metadata: &Metadata) -> Result<Part> {
        self.encode(batch, metadata)
            .map_err(|error| error.at(format!("batch {}", self.batches.len())))
    }

    fn encode(&mut self, batch: &RecordBatch, metadata: &Metadata) -> Result<Part> {
        limits::check_metadata(metadata)?;
        self.check_columns(batch)?;
        self.dictionaries.rewind();
        let mut body = Body::default();
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            walk(column, &mut body, &mut self.dictionaries)
                .map_err(|error| error.at(format!("column {}", field.name())))?;
        }
        limits::check_shape(&body.shape)?;
        limits::check_batches(self.batches.len() + 1)?;
        let message = message::batch(batch.num_rows(), &body.shape, metadata);
        let (block, part) = self.place(&message, body)?;
        self.batches.push(block);
        Ok(part)
    }

    /// Gives a batch that is there as a body, in this shape, the next place in the file: where that
    /// is, and the message for it.
    pub(crate) fn place_message(
        &mut self,
        rows: usize,
        shape: &Shape,
        metadata: &Metadata,
    ) -> Result<(u64, Buffer)> {
        limits::check_metadata(metadata)?;
        limits::check_batches(self.batches.len() + 1)?;
        let start = self.offset;
        let framed = frame(&message::batch(rows, shape, metadata), start)?;
        self.batches.push(Block::new(start as i64, framed.len() as i32, shape.body as i64));
        self.offset += framed.len() + shape.body;
        Ok((start as u64, framed))
    }

    /// Takes the last batch back, whose part found no room: the next one gets its place. Values
    /// that only it brought stay in the dictionaries.
    pub fn take_back(&mut self) {
        if let Some(block) = self.batches.pop() {
            self.offset = block.offset() as usize;
        }
    }

    /// Encodes what follows the batches: dictionaries and footer.
    ///
    /// # Errors
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if the footer outgrows the 2 GiB that the
    /// format allows it.
    pub fn finish(mut self) -> Result<Part> {
        limits::check_metadata(&self.metadata)?;
        let start = self.offset;
        let mut copies = Vec::new();
        let mut blocks = Vec::new();
        if !self.batches.is_empty() {
            // Parents first: only walking their values tells what is in their children.
            for id in (0..self.dictionaries.len()).rev() {
                let values = self.dictionaries.values(id)?;
                let mut body = Body::default();
                walk(&values, &mut body, &mut self.dictionaries)?;
                let message = message::dictionary(id as i64, values.len(), &body.shape);
                let (block, part) = self.place(&message, body)?;
                blocks.push(block);
                copies.extend(part.copies);
            }
            // Children first: that is how readers take them.
            blocks.reverse();
        }

        let footer = message::footer(&self.schema, &blocks, &self.batches, &self.metadata);
        copies.push(Copy::new(Source::Bytes(Buffer::from_vec(trailer(&footer)?)), 0));
        Ok(Part::new(start, copies))
    }

    /// Gives a message and its body the next place in the file.
    fn place(&mut self, message: &[u8], body: Body) -> Result<(Block, Part)> {
        let start = self.offset;
        let framed = frame(message, start)?;
        let block = Block::new(start as i64, framed.len() as i32, body.shape.body as i64);
        self.offset += framed.len() + body.shape.body;
        let mut copies = Vec::with_capacity(1 + body.copies.len());
        copies.push(Copy::new(Source::Bytes(framed), 0));
        copies.extend(body.copies);
        Ok((block, Part::new(start, copies)))
    }

    fn check_columns(&self, batch: &RecordBatch) -> Result<()> {
        let fields = self.schema.fields();
        if Arc::ptr_eq(&self.schema, batch.schema_ref()) {
            return Ok(());
        }
        if fields.len() != batch.num_columns() {
            return Err(Error::invalid(format!(
                "has {} columns, the schema has {}",
                batch.num_columns(),
                fields.len()
            )));
        }
        for (field, column) in fields.iter().zip(batch.columns()) {
            if !field.data_type().equals_datatype(column.data_type()) {
                return Err(Error::invalid(format!(
                    "column {} is {}, the schema says {}: cast it",
                    field.name(),
                    column.data_type(),
                    field.data_type()
                )));
            }
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(Error::invalid(format!(
                    "column {} has {} nulls, the schema allows none",
                    field.name(),
                    column.null_count()
                )));
            }
        }
        Ok(())
    }
}

/// What follows the messages: their end, the footer, its length, the magic.
pub(crate) fn trailer(footer: &[u8]) -> Result<Vec<u8>> {
    let len = i32::try_from(footer.len()).map_err(|_| {
        Error::too_large(format!(
            "the footer takes {} bytes; it may have {}",
            footer.len(),
            i32::MAX
        ))
    })?;
    let mut trailer = Vec::from(END);
    trailer.extend_from_slice(footer);
    trailer.extend_from_slice(&len.to_le_bytes());
    trailer.extend_from_slice(&MAGIC);
    Ok(trailer)
}

/// A run of consecutive bytes of the file, and where each comes from.
#[derive(Debug, Clone)]
pub struct Part {
    offset: usize,
    len: usize,
    copies: Vec<Copy>,
}

impl Part {
    pub(crate) fn new(offset: usize, copies: Vec<Copy>) -> Self {
        let len = copies.iter().map(Copy::len).sum();
        debug_assert!(offset == padded(offset));
        Self { offset, len, copies }
    }

    /// Where in the file its first byte goes: a multiple of [`ALIGNMENT`](crate::ALIGNMENT).
    pub fn offset(&self) -> u64 {
        self.offset as u64
    }

    /// How many bytes it writes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it writes nothing: no part does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes its bytes, every one of them.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn write(&self, target: &mut [MaybeUninit<u8>]) {
        assert_eq!(target.len(), self.len, "the target is as long as the part");
        copy::write(&self.copies, 0, target, Way::of(self.len));
    }

    /// Writes its bytes, those that are copied as they are straight from where they lie.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        for copy in &self.copies {
            let (bytes, padding) = copy.to_slice();
            out.write_all(&bytes)?;
            out.write_all(&[0; ALIGNMENT][..padding])?;
        }
        Ok(())
    }

    pub(crate) fn into_copies(self) -> Vec<Copy> {
        self.copies
    }
}
