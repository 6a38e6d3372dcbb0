//! What the footer says: where messages lie, and whether they can.
//!
//! **Invariant:** a [`Block`] lies between the magic and the footer, its header after a whole
//! prefix; so it can be cut from the buffer without looking again.

use std::collections::HashMap;

use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_schema::{DataType, Schema};

use crate::decode::dictionary_types;
use crate::frame::{ALIGNMENT, CONTINUATION, HEADER, MAGIC, PREFIX, TRAILER};
use crate::{Error, Metadata, Result, check};

/// What there is to know of a file without looking at its messages.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) metadata: Metadata,
    pub(crate) schema: Block,
    pub(crate) dictionaries: Vec<Block>,
    pub(crate) batches: Vec<Block>,
    /// Ids and value types, those inside others first.
    pub(crate) dictionary_types: Vec<(i64, DataType)>,
}

/// Where a message lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    offset: usize,
    header: usize,
    body: usize,
}

impl Block {
    /// A block, if it lies before `end`.
    fn new(block: &arrow_ipc::Block, end: usize) -> Result<Self> {
        let inside = || {
            let offset = usize::try_from(block.offset()).ok()?;
            let header = usize::try_from(block.metaDataLength()).ok()?;
            let body = usize::try_from(block.bodyLength()).ok()?;
            let stop = offset.checked_add(header)?.checked_add(body)?;
            let sound = offset >= HEADER && header >= PREFIX && stop <= end;
            sound.then_some(Self { offset, header, body })
        };
        inside().ok_or_else(|| {
            Error::invalid(format!(
                "a message at {} with {} + {} bytes does not lie before the footer at {end}",
                block.offset(),
                block.metaDataLength(),
                block.bodyLength()
            ))
        })
    }

    /// The flatbuffer, without its prefix. Before Arrow 0.15 that was the length alone.
    pub(crate) fn header(&self, buffer: &Buffer) -> Buffer {
        let bytes = &buffer[self.offset..self.offset + self.header];
        let prefix = if bytes[..4] == CONTINUATION { PREFIX } else { PREFIX - 4 };
        let len = [bytes[prefix - 4], bytes[prefix - 3], bytes[prefix - 2], bytes[prefix - 1]];
        let len = usize::try_from(i32::from_le_bytes(len)).unwrap_or(0).min(self.header - prefix);
        buffer.slice_with_length(self.offset + prefix, len)
    }

    pub(crate) fn body(&self, buffer: &Buffer) -> Buffer {
        buffer.slice_with_length(self.offset + self.header, self.body)
    }

    /// The message's metadata, which must agree with the footer.
    pub(crate) fn message<'a>(&self, buffer: &'a Buffer) -> Result<arrow_ipc::Message<'a>> {
        let header = self.header(buffer);
        let start = header.as_ptr().addr() - buffer.as_ptr().addr();
        let message = check::message(&buffer[start..start + header.len()])?;
        check_version(message.version())?;
        if usize::try_from(message.bodyLength()).ok() != Some(self.body) {
            return Err(Error::invalid(format!(
                "the message says that its body takes {} bytes, the footer {}",
                message.bodyLength(),
                self.body
            )));
        }
        Ok(message)
    }
}

/// Reads the footer.
pub(crate) fn open(buffer: &Buffer) -> Result<(Schema, Opened)> {
    let len = buffer.len();
    if len < HEADER + TRAILER || buffer[..MAGIC.len()] != MAGIC {
        return Err(Error::invalid(format!(
            "{len} bytes that do not start with ARROW1 are not an Arrow IPC file (a stream is \
             not a file: read it and write it as one)"
        )));
    }
    let trailer = &buffer[len - TRAILER..];
    if trailer[4..] != MAGIC {
        return Err(Error::invalid("the file does not end with ARROW1: it was cut off"));
    }
    let size = i32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
    let end = len - TRAILER;
    let start = usize::try_from(size).ok().and_then(|size| end.checked_sub(size));
    let Some(start) = start.filter(|start| *start >= HEADER) else {
        return Err(Error::invalid(format!("a footer of {size} bytes does not fit {len} bytes")));
    };

    let footer = check::footer(&buffer[start..end])?;
    check_version(footer.version())?;
    let Some(schema) = footer.schema() else {
        return Err(Error::invalid("the footer has no schema"));
    };
    let schema = check::schema(schema)?;
    let blocks = |blocks: Option<flatbuffers::Vector<'_, arrow_ipc::Block>>| {
        blocks.into_iter().flatten().map(|block| Block::new(block, start)).collect::<Result<_>>()
    };
    let opened = Opened {
        metadata: check::metadata(footer.custom_metadata()),
        schema: find_schema(buffer, start)?,
        dictionaries: blocks(footer.dictionaries())?,
        batches: blocks(footer.recordBatches())?,
        dictionary_types: dictionary_types(schema.fields())?,
    };
    Ok((schema, opened))
}

/// Finds the schema's message, which the footer does not list: the magic is padded to 8 bytes,
/// or (by arrow-rs) to 64.
fn find_schema(buffer: &Buffer, end: usize) -> Result<Block> {
    for offset in [HEADER, ALIGNMENT] {
        let Some(bytes) = buffer.get(offset..offset + PREFIX).filter(|_| offset + PREFIX <= end)
        else {
            break;
        };
        let marked = bytes[..4] == CONTINUATION;
        let len = if marked { &bytes[4..] } else { &bytes[..4] };
        let len = i32::from_le_bytes([len[0], len[1], len[2], len[3]]);
        let prefix = if marked { PREFIX } else { PREFIX - 4 };
        if len > 0 && len as usize <= end - offset - prefix {
            let header = (prefix + len as usize).max(PREFIX);
            return Ok(Block { offset, header, body: 0 });
        }
    }
    Err(Error::invalid("no schema message follows the magic at the start"))
}

fn check_version(version: MetadataVersion) -> Result<()> {
    if (MetadataVersion::V4..=MetadataVersion::V5).contains(&version) {
        return Ok(());
    }
    let version = i32::from(version.0) + 1;
    Err(Error::unsupported(format!("metadata version {version} is neither 4 nor 5: rewrite it")))
}

/// Whether no two messages share bytes: else a small file could mean endless work.
pub(crate) fn check_disjoint(opened: &Opened) -> Result<()> {
    let messages = opened.dictionaries.iter().chain(&opened.batches).chain([&opened.schema]);
    let mut messages: Vec<&Block> = messages.collect();
    messages.sort_unstable_by_key(|block| block.offset);
    for pair in messages.windows(2) {
        let end = pair[0].offset + pair[0].header + pair[0].body;
        if end > pair[1].offset {
            return Err(Error::invalid(format!(
                "a message ends at {end}, the next one starts at {}",
                pair[1].offset
            )));
        }
    }
    Ok(())
}

/// Whether the schema at the start is the one in the footer: streams begin with it.
pub(crate) fn check_schema_message(
    buffer: &Buffer,
    opened: &Opened,
    schema: &Schema,
) -> Result<()> {
    let message = opened.schema.message(buffer)?;
    let Some(header) = message.header_as_schema() else {
        return Err(Error::invalid("the message at the start is not a schema"));
    };
    let first = check::schema(header)?;
    // Equality of schemas says nothing of dictionary ids.
    if first != *schema || dictionary_types(first.fields())? != opened.dictionary_types {
        return Err(Error::invalid("the schema at the start differs from the one in the footer"));
    }
    Ok(())
}

/// The blocks of each dictionary: its values, then what is to be appended to them.
pub(crate) fn by_id<'a>(
    buffer: &Buffer,
    blocks: &'a [Block],
    types: &[(i64, DataType)],
) -> Result<HashMap<i64, Vec<&'a Block>>> {
    let mut known: HashMap<i64, &DataType> = HashMap::new();
    for (id, data_type) in types {
        if *known.entry(*id).or_insert(data_type) != data_type {
            return Err(Error::invalid(format!("dictionary {id} has values of two types")));
        }
    }

    let mut parts: HashMap<i64, Vec<&Block>> = HashMap::new();
    for block in blocks {
        let message = block.message(buffer)?;
        let Some(dictionary) = message.header_as_dictionary_batch() else {
            return Err(Error::invalid(format!(
                "a dictionary was expected, a {:?} found",
                message.header_type()
            )));
        };
        let id = dictionary.id();
        if !known.contains_key(&id) {
            return Err(Error::invalid(format!("no column has dictionary {id}")));
        }
        let parts = parts.entry(id).or_default();
        if parts.is_empty() == dictionary.isDelta() {
            return Err(Error::invalid(format!(
                "dictionary {id} is replaced, or added to before it is there: a file has one"
            )));
        }
        parts.push(block);
    }
    Ok(parts)
}
