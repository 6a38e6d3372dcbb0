//! A table laid out ahead, so that its values are written straight into place.
//!
//! ```text
//! magic, schema | message | validity, values | validity, values | … | footer
//! ```
//!
//! Where everything lies follows from schema and rows alone; what is known only at the end,
//! how many nulls there are, has a fixed place in the message.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_ipc::{Block, FieldNode};
use arrow_schema::{DataType, Field, SchemaRef};

use crate::copy::{self, Copy, Way};
use crate::dictionary::Dictionaries;
use crate::encode::trailer;
use crate::frame::{HEADER, MAGIC, frame, padded};
use crate::message::{self, Shape};
use crate::walk::{Body, walk};
use crate::{Error, Metadata, Result, limits};

/// A file of which the writer fills in the values in place.
///
/// First [`start`](Self::start), then the values (at [`values`](Self::values), and so on), and
/// at last [`finish`](Self::finish). Nothing is copied but dictionaries.
#[derive(Debug, Clone)]
pub struct Layout {
    schema: SchemaRef,
    batches: Vec<Batch>,
    /// Magic and schema.
    header: Vec<u8>,
    /// Where the dictionaries start, after the batches.
    end: usize,
    /// The dictionaries' messages, and where they lie.
    dictionaries: Vec<Copy>,
    dictionary_blocks: Vec<Block>,
    len: usize,
}

/// What a column of a [`Layout`] holds, beyond what its type says.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Strings and binary: how many bytes all values take together.
    pub bytes: usize,
    /// Whether there may be nulls: a bitmap is laid out for them.
    pub nulls: bool,
    /// The values of a dictionary column, whose keys are to be filled in.
    pub dictionary: Option<ArrayRef>,
}

/// One batch of the file.
#[derive(Debug, Clone)]
struct Batch {
    rows: usize,
    shape: Shape,
    columns: Vec<Column>,
    /// Where its message starts.
    start: usize,
    /// Where its body starts, after the message.
    body: usize,
}

/// Where the parts of a column lie, from the start of the body.
#[derive(Debug, Clone)]
struct Column {
    /// Its place among the message's nodes.
    node: usize,
    validity: Option<Range<usize>>,
    offsets: Option<Range<usize>>,
    values: Range<usize>,
    /// How many values there are, if each is a bit.
    bits: Option<usize>,
}

impl Layout {
    /// Lays out `rows` rows, in one batch, of columns whose values all have the same width:
    /// numbers, booleans, fixed-size binary, decimals, dates and times, and fixed-size lists of
    /// those. Nullable fields get a validity bitmap.
    ///
    /// Elements of fixed-size lists are never null, whatever the schema says.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) if a column has another type;
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if the rows are more than can be addressed.
    pub fn new(schema: SchemaRef, rows: usize) -> Result<Self> {
        let fields = schema.fields().iter();
        let contents: Vec<_> = fields
            .map(|field| Content { nulls: field.is_nullable(), ..Content::default() })
            .collect();
        Self::arrange(schema, &[rows], &contents, false)
    }

    /// Lays out batches of these numbers of rows, of columns of which more is known: strings and
    /// binary too, if there is one batch, and dictionaries. The offsets of strings start at zero,
    /// and are for the writer to fill in like the bytes.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Kind::Invalid`](crate::Kind::Invalid) if `contents` does not have
    /// one entry per column, or a dictionary is not what the schema says;
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) for strings in several batches;
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if 32-bit offsets do not reach that far.
    pub fn with_contents(schema: SchemaRef, rows: &[usize], contents: &[Content]) -> Result<Self> {
        if contents.len() != schema.fields().len() {
            return Err(Error::invalid(format!(
                "{} contents for {} columns: give one for each",
                contents.len(),
                schema.fields().len()
            )));
        }
        Self::arrange(schema, rows, contents, rows.len() == 1)
    }

    fn arrange(
        schema: SchemaRef,
        rows: &[usize],
        contents: &[Content],
        variable: bool,
    ) -> Result<Self> {
        limits::check_schema(&schema)?;
        limits::check_batches(rows.len())?;
        let mut header = Vec::from(MAGIC);
        header.resize(HEADER, 0);
        header.extend_from_slice(&frame(&message::schema(&schema), HEADER)?);
        let mut end = header.len();
        let mut batches = Vec::with_capacity(rows.len());
        for rows in rows {
            let batch = Batch::arrange(&schema, *rows, contents, variable, end)?;
            end = batch.body + batch.shape.body;
            batches.push(batch);
        }
        let (dictionaries, dictionary_blocks) = arrange_dictionaries(&schema, contents, end)?;
        let mut layout =
            Self { schema, batches, header, end, dictionaries, dictionary_blocks, len: 0 };
        let dictionaries: usize = layout.dictionaries.iter().map(Copy::len).sum();
        layout.len = end + dictionaries + layout.trailer()?.len();
        Ok(layout)
    }

    /// How many bytes the file has, exactly.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the file has no bytes: none has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many rows the file has.
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows).sum()
    }

    /// How many batches the file has.
    pub fn num_batches(&self) -> usize {
        self.batches.len()
    }

    /// The schema of the file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where the values of a column go (the bytes, if it is of strings; the keys, if it is of a
    /// dictionary). The range starts at a multiple of [`ALIGNMENT`](crate::ALIGNMENT); booleans
    /// are bits, the lowest first.
    ///
    /// # Panics
    /// If there is no such batch or column, as the other places do.
    pub fn values(&self, batch: usize, column: usize) -> Range<usize> {
        let batch = &self.batches[batch];
        batch.shift(&batch.columns[column].values)
    }

    /// Where the offsets of a column of strings or binary go: one more than rows.
    pub fn offsets(&self, batch: usize, column: usize) -> Option<Range<usize>> {
        let batch = &self.batches[batch];
        batch.columns[column].offsets.as_ref().map(|range| batch.shift(range))
    }

    /// Where a column's validity bitmap goes, if it has one: a set bit per value, a clear one
    /// per null.
    pub fn validity(&self, batch: usize, column: usize) -> Option<Range<usize>> {
        let batch = &self.batches[batch];
        batch.columns[column].validity.as_ref().map(|range| batch.shift(range))
    }

    /// Prepares the target: all rows valid, all offsets zero.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn start(&self, target: &mut [u8]) {
        assert_eq!(target.len(), self.len, "the target is as long as the file");
        for batch in &self.batches {
            for column in &batch.columns {
                if let Some(range) = &column.validity {
                    target[batch.shift(range)].fill(0xff);
                }
                if let Some(range) = &column.offsets {
                    target[batch.shift(range)].fill(0);
                }
            }
        }
    }

    /// Writes everything but the values: schema, messages with the nulls counted, padding,
    /// dictionaries, footer. What the values say is not checked.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if `target` is not [`len`](Self::len) bytes
    /// long.
    pub fn finish(&self, target: &mut [u8]) -> Result<()> {
        if target.len() != self.len {
            return Err(Error::invalid(format!(
                "a file of {} bytes does not go into {}",
                self.len,
                target.len()
            )));
        }
        target[..self.header.len()].copy_from_slice(&self.header);
        for batch in &self.batches {
            batch.finish(target)?;
        }
        let trailer = self.trailer()?;
        let footer = self.len - trailer.len();
        copy::write_init(&self.dictionaries, &mut target[self.end..footer], Way::Cached);
        target[footer..].copy_from_slice(&trailer);
        Ok(())
    }

    fn trailer(&self) -> Result<Vec<u8>> {
        let blocks: Vec<_> = self.batches.iter().map(Batch::block).collect();
        let footer =
            message::footer(&self.schema, &self.dictionary_blocks, &blocks, &Metadata::new());
        trailer(&footer)
    }
}

impl Batch {
    fn arrange(
        schema: &SchemaRef,
        rows: usize,
        contents: &[Content],
        variable: bool,
        start: usize,
    ) -> Result<Self> {
        i64::try_from(rows).map_err(|_| too_many())?;
        let mut shape = Shape::default();
        let mut columns = Vec::with_capacity(contents.len());
        for (field, content) in schema.fields().iter().zip(contents) {
            let column = Column::arrange(field, rows, content, variable, &mut shape)
                .map_err(|error| error.at(format!("column {}", field.name())))?;
            columns.push(column);
        }
        limits::check_shape(&shape)?;
        let message = frame(&message::batch(rows, &shape, &Metadata::new()), start)?;
        Ok(Self { rows, shape, columns, start, body: start + message.len() })
    }

    fn shift(&self, range: &Range<usize>) -> Range<usize> {
        self.body + range.start..self.body + range.end
    }

    fn block(&self) -> Block {
        let message = (self.body - self.start) as i32;
        Block::new(self.start as i64, message, self.shape.body as i64)
    }

    /// Writes the message, with the nulls counted, and all padding.
    fn finish(&self, target: &mut [u8]) -> Result<()> {
        let mut shape = self.shape.clone();
        for column in &self.columns {
            if let Some(bits) = column.bits {
                clear_after(&mut target[self.shift(&column.values)], bits);
            }
            if let Some(range) = &column.validity {
                let bitmap = &mut target[self.shift(range)];
                clear_after(bitmap, self.rows);
                let valid: usize = bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
                let nulls = (self.rows - valid) as i64;
                shape.nodes[column.node] = FieldNode::new(self.rows as i64, nulls);
            }
            for range in [&column.validity, &column.offsets, &Some(column.values.clone())] {
                let Some(end) = range.as_ref().map(|range| self.shift(range).end) else {
                    continue;
                };
                target[end..padded(end)].fill(0);
            }
        }
        let message = frame(&message::batch(self.rows, &shape, &Metadata::new()), self.start)?;
        target[self.start..self.body].copy_from_slice(&message);
        Ok(())
    }
}

impl Column {
    fn arrange(
        field: &Field,
        rows: usize,
        content: &Content,
        variable: bool,
        shape: &mut Shape,
    ) -> Result<Self> {
        let node = shape.nodes.len();
        let data_type = field.data_type();
        if *data_type == DataType::Null {
            shape.nodes.push(FieldNode::new(rows as i64, rows as i64));
            return Ok(Self { node, validity: None, offsets: None, values: 0..0, bits: None });
        }
        shape.nodes.push(FieldNode::new(rows as i64, 0));
        let bitmap = if content.nulls { rows.div_ceil(8) } else { 0 };
        let validity = buffer(shape, Some(bitmap))?;
        let validity = content.nulls.then_some(validity);

        let width = match data_type {
            DataType::Utf8 | DataType::Binary => Some(4),
            DataType::LargeUtf8 | DataType::LargeBinary => Some(8),
            _ => None,
        };
        if let (Some(width), true) = (width, variable) {
            let bytes = content.bytes;
            if width == 4 && i32::try_from(bytes).is_err() {
                return Err(Error::too_large(format!(
                    "{bytes} bytes of {data_type}; its offsets reach {}: use the large type",
                    i32::MAX
                )));
            }
            let count = rows.checked_add(1);
            let offsets = buffer(shape, count.and_then(|count| count.checked_mul(width)))?;
            let values = buffer(shape, Some(bytes))?;
            return Ok(Self { node, validity, offsets: Some(offsets), values, bits: None });
        }

        let keys = match data_type {
            DataType::Dictionary(keys, _) if content.dictionary.is_some() => keys,
            other => other,
        };
        let (values, bits) = values(keys, rows, shape)?;
        Ok(Self { node, validity, offsets: None, values, bits })
    }
}

/// Lays out the dictionaries: one per dictionary column, none of them with others inside.
fn arrange_dictionaries(
    schema: &SchemaRef,
    contents: &[Content],
    start: usize,
) -> Result<(Vec<Copy>, Vec<Block>)> {
    let (mut copies, mut blocks, mut end) = (Vec::new(), Vec::new(), start);
    for (field, content) in schema.fields().iter().zip(contents) {
        let Some(dictionary) = &content.dictionary else { continue };
        let DataType::Dictionary(_, values) = field.data_type() else {
            return Err(Error::invalid(format!("column {} has no dictionary", field.name())));
        };
        if values.as_ref() != dictionary.data_type() {
            return Err(Error::invalid(format!(
                "column {} has a dictionary of {values}, not of {}",
                field.name(),
                dictionary.data_type()
            )));
        }
        let mut body = Body::default();
        walk(dictionary, &mut body, &mut Dictionaries::new(&arrow_schema::Schema::empty())?)?;
        let id = blocks.len() as i64;
        let framed = frame(&message::dictionary(id, dictionary.len(), &body.shape), end)?;
        blocks.push(Block::new(end as i64, framed.len() as i32, body.shape.body as i64));
        end += framed.len() + body.shape.body;
        copies.push(Copy::new(copy::Source::Bytes(framed), 0));
        copies.extend(body.copies);
    }
    Ok((copies, blocks))
}

/// Lays out what follows an array's validity bitmap.
fn values(
    data_type: &DataType,
    rows: usize,
    shape: &mut Shape,
) -> Result<(Range<usize>, Option<usize>)> {
    let width = match data_type {
        DataType::Boolean => return Ok((buffer(shape, Some(rows.div_ceil(8)))?, Some(rows))),
        DataType::FixedSizeBinary(width) => *width as usize,
        DataType::FixedSizeList(child, size) => {
            let elements =
                rows.checked_mul(*size as usize).filter(|rows| i64::try_from(*rows).is_ok());
            let elements = elements.ok_or_else(too_many)?;
            shape.nodes.push(FieldNode::new(elements as i64, 0));
            buffer(shape, Some(0))?;
            return values(child.data_type(), elements, shape);
        }
        other => other.primitive_width().ok_or_else(|| {
            Error::unsupported(format!(
                "{other} values have no fixed width, so they cannot be laid out ahead: encode \
                 batches instead"
            ))
        })?,
    };
    Ok((buffer(shape, rows.checked_mul(width))?, None))
}

/// Gives a buffer the next place in the body.
fn buffer(shape: &mut Shape, len: Option<usize>) -> Result<Range<usize>> {
    let start = shape.body;
    let end = len.and_then(|len| start.checked_add(len)).filter(|end| *end < 1 << 62);
    let end = end.ok_or_else(too_many)?;
    shape.buffers.push(arrow_ipc::Buffer::new(start as i64, (end - start) as i64));
    shape.body = padded(end);
    Ok(start..end)
}

fn too_many() -> Error {
    Error::too_large("the values take more bytes than can be addressed: split the table")
}

/// Clears the bits of a bitmap after the first `bits`.
fn clear_after(bitmap: &mut [u8], bits: usize) {
    if let (Some(last), 1..) = (bitmap.last_mut(), bits % 8) {
        *last &= (1 << (bits % 8)) - 1;
    }
}
