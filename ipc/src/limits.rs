//! A limit on everything: what is written here can be opened here, and by others.

use arrow_schema::{DataType, Schema};

use crate::dictionary::children;
use crate::message::Shape;
use crate::{Error, Metadata, Result};

/// How deep types may nest. Others (arrow-rs, Arrow C++) stop at 61 to 64 levels.
pub(crate) const MAX_DEPTH: usize = 60;

/// How many fields a schema may have, nested ones included: other readers give up beyond
/// a million flatbuffer tables, of which a field takes two.
pub(crate) const MAX_FIELDS: usize = 400_000;

/// How many bytes one flatbuffer may take, below the 2 GiB that the format allows.
const MAX_FLATBUFFER: usize = 1 << 30;

/// How many batches: at 24 bytes each, the footer stays within [`MAX_FLATBUFFER`].
const MAX_BATCHES: usize = 40_000_000;

/// Whether a schema can be written.
pub(crate) fn check_schema(schema: &Schema) -> Result<()> {
    let (mut fields, mut bytes) = (0, 0);
    for (key, value) in schema.metadata() {
        bytes += key.len() + value.len() + 64;
    }
    for field in schema.fields() {
        check_field(field, 1, &mut fields, &mut bytes)
            .map_err(|error| error.at(format!("column {}", field.name())))?;
    }
    if fields > MAX_FIELDS {
        return Err(Error::too_large(format!(
            "the schema has {fields} fields, nested ones included; at most {MAX_FIELDS} can be \
             read back: split the table by columns"
        )));
    }
    check_bytes("schema", bytes)
}

fn check_field(
    field: &arrow_schema::Field,
    depth: usize,
    fields: &mut usize,
    bytes: &mut usize,
) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::unsupported(format!(
            "nests deeper than {MAX_DEPTH} levels, more than readers accept: flatten it"
        )));
    }
    *fields += 1;
    *bytes += field.name().len() + 256;
    for (key, value) in field.metadata() {
        *bytes += key.len() + value.len() + 64;
    }
    let mut data_type = field.data_type();
    while let DataType::Dictionary(_, values) = data_type {
        data_type = values;
    }
    for child in children(data_type) {
        check_field(child, depth + 1, fields, bytes)?;
    }
    Ok(())
}

/// Whether metadata can be written.
pub(crate) fn check_metadata(metadata: &Metadata) -> Result<()> {
    check_bytes("metadata", metadata.iter().map(|(key, value)| key.len() + value.len() + 64).sum())
}

/// Whether a batch's message can be written.
pub(crate) fn check_shape(shape: &Shape) -> Result<()> {
    let bytes = 16 * (shape.nodes.len() + shape.buffers.len()) + 8 * shape.variadic.len();
    check_bytes("message", bytes)
}

/// Whether the footer can list so many batches.
pub(crate) fn check_batches(batches: usize) -> Result<()> {
    if batches > MAX_BATCHES {
        return Err(Error::too_large(format!(
            "{batches} batches; a file holds {MAX_BATCHES}: make them larger"
        )));
    }
    Ok(())
}

fn check_bytes(what: &str, bytes: usize) -> Result<()> {
    if bytes > MAX_FLATBUFFER {
        return Err(Error::too_large(format!(
            "the {what} takes {bytes} bytes; {MAX_FLATBUFFER} fit"
        )));
    }
    Ok(())
}
