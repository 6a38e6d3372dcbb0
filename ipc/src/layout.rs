//! A table of one batch laid out ahead, so that its values are written straight into place.
//!
//! ```text
//! magic, schema | message | validity, values | validity, values | … | footer
//! ```
//!
//! Where everything lies follows from schema and rows alone; what is known only at the end,
//! how many nulls there are, has a fixed place in the message.

use std::ops::Range;

use arrow_ipc::{Block, FieldNode};
use arrow_schema::{DataType, Field, SchemaRef};

use crate::encode::trailer;
use crate::frame::{HEADER, MAGIC, frame, padded};
use crate::message::{self, Shape};
use crate::{Error, Metadata, Result, limits};

/// A file of one batch, of which the writer fills in the values in place.
///
/// First [`start`](Self::start), then the values (at [`values`](Self::values), and so on), and
/// at last [`finish`](Self::finish). Nothing is copied.
#[derive(Debug, Clone)]
pub struct Layout {
    schema: SchemaRef,
    rows: usize,
    shape: Shape,
    columns: Vec<Column>,
    /// Magic and schema.
    header: Vec<u8>,
    /// Where the body starts, after the message.
    body: usize,
    /// Where the footer starts, after the body.
    end: usize,
    len: usize,
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
    /// Lays out `rows` rows of columns whose values all have the same width: numbers, booleans,
    /// fixed-size binary, decimals, dates and times, and fixed-size lists of those.
    ///
    /// Elements of fixed-size lists are never null, whatever the schema says.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) if a column has another type;
    /// [`Kind::TooLarge`](crate::Kind::TooLarge) if the rows are more than can be addressed.
    pub fn new(schema: SchemaRef, rows: usize) -> Result<Self> {
        let bytes = vec![0; schema.fields().len()];
        Self::arrange(schema, rows, &bytes, false)
    }

    /// Lays out strings and binary columns too: `bytes` has, for every column, how many bytes
    /// its values take together (0 for all other types). Their offsets start at zero, and are
    /// for the writer to fill in like the bytes.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Kind::Invalid`](crate::Kind::Invalid) if `bytes` does not have
    /// one entry per column; [`Kind::TooLarge`](crate::Kind::TooLarge) if 32-bit offsets do not
    /// reach that far.
    pub fn with_bytes(schema: SchemaRef, rows: usize, bytes: &[usize]) -> Result<Self> {
        if bytes.len() != schema.fields().len() {
            return Err(Error::invalid(format!(
                "{} byte counts for {} columns: give one for each",
                bytes.len(),
                schema.fields().len()
            )));
        }
        Self::arrange(schema, rows, bytes, true)
    }

    fn arrange(schema: SchemaRef, rows: usize, bytes: &[usize], variable: bool) -> Result<Self> {
        limits::check_schema(&schema)?;
        i64::try_from(rows).map_err(|_| too_many())?;
        let mut shape = Shape::default();
        let mut columns = Vec::with_capacity(bytes.len());
        for (field, bytes) in schema.fields().iter().zip(bytes) {
            let bytes = variable.then_some(*bytes);
            let column = Column::arrange(field, rows, bytes, &mut shape)
                .map_err(|error| error.at(format!("column {}", field.name())))?;
            columns.push(column);
        }
        limits::check_shape(&shape)?;

        let mut header = Vec::from(MAGIC);
        header.resize(HEADER, 0);
        header.extend_from_slice(&frame(&message::schema(&schema), HEADER)?);
        let message = frame(&message::batch(rows, &shape, &Metadata::new()), header.len())?;
        let body = header.len() + message.len();
        let end = body + shape.body;
        let mut layout = Self { schema, rows, shape, columns, header, body, end, len: end };
        layout.len += layout.trailer()?.len();
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
        self.rows
    }

    /// The schema of the file.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where the values of a column go (the bytes, if it is of strings). The range starts at a
    /// multiple of [`ALIGNMENT`](crate::ALIGNMENT); booleans are bits, the lowest first.
    ///
    /// # Panics
    /// If there is no such column, as the other places do.
    pub fn values(&self, column: usize) -> Range<usize> {
        self.shift(&self.columns[column].values)
    }

    /// Where the offsets of a column of strings or binary go: one more than rows.
    pub fn offsets(&self, column: usize) -> Option<Range<usize>> {
        self.columns[column].offsets.as_ref().map(|range| self.shift(range))
    }

    /// Where a column's validity bitmap goes, if its field is nullable: a set bit per value, a
    /// clear one per null.
    pub fn validity(&self, column: usize) -> Option<Range<usize>> {
        self.columns[column].validity.as_ref().map(|range| self.shift(range))
    }

    fn shift(&self, range: &Range<usize>) -> Range<usize> {
        self.body + range.start..self.body + range.end
    }

    /// Prepares the target: all rows valid, all offsets zero.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn start(&self, target: &mut [u8]) {
        assert_eq!(target.len(), self.len, "the target is as long as the file");
        for column in 0..self.columns.len() {
            if let Some(range) = self.validity(column) {
                target[range].fill(0xff);
            }
            if let Some(range) = self.offsets(column) {
                target[range].fill(0);
            }
        }
    }

    /// Writes everything but the values: schema, message with the nulls counted, padding,
    /// footer. What the values say is not checked.
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

        let mut shape = self.shape.clone();
        for (i, column) in self.columns.iter().enumerate() {
            if let Some(bits) = column.bits {
                clear_after(&mut target[self.values(i)], bits);
            }
            if let Some(range) = self.validity(i) {
                let bitmap = &mut target[range];
                clear_after(bitmap, self.rows);
                let valid: usize = bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
                let nulls = (self.rows - valid) as i64;
                shape.nodes[column.node] = FieldNode::new(self.rows as i64, nulls);
            }
            for range in [self.validity(i), self.offsets(i), Some(self.values(i))] {
                let Some(end) = range.map(|range| range.end) else { continue };
                target[end..padded(end)].fill(0);
            }
        }

        let message =
            frame(&message::batch(self.rows, &shape, &Metadata::new()), self.header.len())?;
        target[..self.header.len()].copy_from_slice(&self.header);
        target[self.header.len()..self.body].copy_from_slice(&message);
        target[self.end..].copy_from_slice(&self.trailer()?);
        Ok(())
    }

    fn trailer(&self) -> Result<Vec<u8>> {
        let start = self.header.len();
        let message = (self.body - start) as i32;
        let block = Block::new(start as i64, message, self.shape.body as i64);
        trailer(&message::footer(&self.schema, &[], &[block], &Metadata::new()))
    }
}

impl Column {
    fn arrange(
        field: &Field,
        rows: usize,
        bytes: Option<usize>,
        shape: &mut Shape,
    ) -> Result<Self> {
        let node = shape.nodes.len();
        let data_type = field.data_type();
        if *data_type == DataType::Null {
            shape.nodes.push(FieldNode::new(rows as i64, rows as i64));
            return Ok(Self { node, validity: None, offsets: None, values: 0..0, bits: None });
        }
        shape.nodes.push(FieldNode::new(rows as i64, 0));
        let bitmap = if field.is_nullable() { rows.div_ceil(8) } else { 0 };
        let validity = buffer(shape, Some(bitmap))?;
        let validity = field.is_nullable().then_some(validity);

        let width = match data_type {
            DataType::Utf8 | DataType::Binary => Some(4),
            DataType::LargeUtf8 | DataType::LargeBinary => Some(8),
            _ => None,
        };
        if let (Some(width), Some(bytes)) = (width, bytes) {
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

        let (values, bits) = values(data_type, rows, shape)?;
        Ok(Self { node, validity, offsets: None, values, bits })
    }
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
