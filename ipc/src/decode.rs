//! From a message's nodes and buffers to arrays that point into its body.
//!
//! No buffer is copied. Every buffer is cut to the bytes that its rows need, within the body,
//! and lies where its type wants it; so what follows, trusted or checked, cannot reach outside.
//! What the bytes *say* (offsets, keys, UTF-8) is for [`validate`](crate::validate).

use std::collections::HashMap;
use std::slice;

use arrow_buffer::{Buffer, MutableBuffer};
use arrow_data::{ArrayData, ArrayDataBuilder};
use arrow_ipc::{FieldNode, MetadataVersion, RecordBatch};
use arrow_schema::{DataType, Field, UnionMode};

use crate::{Error, Result};

/// The dictionaries of a file, by id.
pub(crate) type Values = HashMap<i64, ArrayData>;

/// A position in a message.
pub(crate) struct Decoder<'a> {
    body: &'a Buffer,
    dictionaries: &'a Values,
    nodes: flatbuffers::VectorIter<'a, FieldNode>,
    buffers: flatbuffers::VectorIter<'a, arrow_ipc::Buffer>,
    variadic: std::vec::IntoIter<i64>,
    /// Before V5, unions had a validity bitmap.
    union_nulls: bool,
    /// How many bytes of the body may still be given to buffers.
    budget: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at a message's first column.
    pub(crate) fn new(
        batch: RecordBatch<'a>,
        version: MetadataVersion,
        body: &'a Buffer,
        dictionaries: &'a Values,
    ) -> Result<Self> {
        if batch.compression().is_some() {
            return Err(Error::unsupported(
                "the buffers are compressed, and so cannot be mapped: write the file uncompressed",
            ));
        }
        let (Some(nodes), Some(buffers)) = (batch.nodes(), batch.buffers()) else {
            return Err(Error::invalid("the message lists no nodes or no buffers"));
        };
        let variadic: Vec<i64> = batch.variadicBufferCounts().into_iter().flatten().collect();
        Ok(Self {
            body,
            dictionaries,
            nodes: nodes.iter(),
            buffers: buffers.iter(),
            variadic: variadic.into_iter(),
            union_nulls: version < MetadataVersion::V5,
            budget: body.len(),
        })
    }

    /// Whether all that the message lists was used.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.nodes.next().is_some()
            || self.buffers.next().is_some()
            || self.variadic.next().is_some()
        {
            return Err(Error::invalid("the message lists more than the schema's columns need"));
        }
        Ok(())
    }

    /// The next column.
    pub(crate) fn column(&mut self, field: &Field) -> Result<ArrayData> {
        let at = |error: Error| error.at(format!("column {}", field.name()));
        #[expect(deprecated, reason = "arrow-rs has no other way to tell a dictionary's id yet")]
        let id = field.dict_id();
        self.array(field.data_type(), id).map_err(at)
    }

    fn child(&mut self, field: &Field) -> Result<ArrayData> {
        #[expect(deprecated, reason = "arrow-rs has no other way to tell a dictionary's id yet")]
        let id = field.dict_id();
        self.array(field.data_type(), id)
    }

    /// The next array. `id` is its dictionary's, if it is one.
    pub(crate) fn array(&mut self, data_type: &DataType, id: Option<i64>) -> Result<ArrayData> {
        let (rows, nulls) = self.node()?;
        let array = ArrayData::builder(data_type.clone()).len(rows);
        Ok(match data_type {
            DataType::Null => build(array),
            DataType::Boolean => {
                let array = self.validity(array, rows, nulls)?;
                build(array.add_buffer(self.fixed(rows.div_ceil(8), 1, 1)?))
            }
            DataType::Utf8 | DataType::Binary => {
                let array = self.validity(array, rows, nulls)?;
                let offsets = self.offsets(rows, 4)?;
                build(array.add_buffer(offsets).add_buffer(self.buffer()?))
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                let array = self.validity(array, rows, nulls)?;
                let offsets = self.offsets(rows, 8)?;
                build(array.add_buffer(offsets).add_buffer(self.buffer()?))
            }
            DataType::Utf8View | DataType::BinaryView => {
                let array = self.validity(array, rows, nulls)?;
                let mut array = array.add_buffer(self.fixed(rows, 16, align_of::<u128>())?);
                let count = self.variadic.next().unwrap_or(-1);
                if count < 0 || count as usize > self.buffers.len() {
                    return Err(Error::invalid(format!(
                        "{data_type} has {count} data buffers, {} are left",
                        self.buffers.len()
                    )));
                }
                for _ in 0..count {
                    array = array.add_buffer(self.buffer()?);
                }
                build(array)
            }
            DataType::List(child) | DataType::Map(child, _) => {
                let array = self.validity(array, rows, nulls)?;
                let array = array.add_buffer(self.offsets(rows, 4)?);
                build(array.add_child_data(self.child(child)?))
            }
            DataType::LargeList(child) => {
                let array = self.validity(array, rows, nulls)?;
                let array = array.add_buffer(self.offsets(rows, 8)?);
                build(array.add_child_data(self.child(child)?))
            }
            DataType::ListView(child) => {
                let array = self.validity(array, rows, nulls)?;
                let array = array.add_buffer(self.fixed(rows, 4, 4)?);
                let array = array.add_buffer(self.fixed(rows, 4, 4)?);
                build(array.add_child_data(self.child(child)?))
            }
            DataType::LargeListView(child) => {
                let array = self.validity(array, rows, nulls)?;
                let array = array.add_buffer(self.fixed(rows, 8, 8)?);
                let array = array.add_buffer(self.fixed(rows, 8, 8)?);
                build(array.add_child_data(self.child(child)?))
            }
            DataType::FixedSizeList(child, size) => {
                let array = self.validity(array, rows, nulls)?;
                let child = self.child(child)?;
                let wanted = usize::try_from(*size).ok().and_then(|size| rows.checked_mul(size));
                same_rows(child.len(), wanted, data_type)?;
                build(array.add_child_data(child))
            }
            DataType::Struct(fields) => {
                let mut array = self.validity(array, rows, nulls)?;
                for field in fields {
                    let child = self.child(field)?;
                    same_rows(child.len(), Some(rows), data_type)?;
                    array = array.add_child_data(child);
                }
                build(array)
            }
            DataType::Union(fields, mode) => {
                if self.union_nulls {
                    self.buffer()?;
                }
                let mut array = array.add_buffer(self.fixed(rows, 1, 1)?);
                if *mode == UnionMode::Dense {
                    array = array.add_buffer(self.fixed(rows, 4, 4)?);
                }
                for (_, field) in fields.iter() {
                    let child = self.child(field)?;
                    if *mode == UnionMode::Sparse {
                        same_rows(child.len(), Some(rows), data_type)?;
                    }
                    array = array.add_child_data(child);
                }
                build(array)
            }
            DataType::RunEndEncoded(ends, values) => {
                let (ends, values) = (self.child(ends)?, self.child(values)?);
                same_rows(values.len(), Some(ends.len()), data_type)?;
                if ends.null_count() > 0 || (rows > 0 && ends.is_empty()) {
                    return Err(Error::invalid(format!("{rows} rows have no or null run ends")));
                }
                build(array.add_child_data(ends).add_child_data(values))
            }
            DataType::Dictionary(keys, values) => {
                let width = keys.primitive_width().unwrap_or(8);
                let array = self.validity(array, rows, nulls)?;
                let array = array.add_buffer(self.fixed(rows, width, width)?);
                // Writers may leave out a dictionary that no row uses.
                let known = id.and_then(|id| self.dictionaries.get(&id)).cloned();
                build(array.add_child_data(known.unwrap_or_else(|| ArrayData::new_empty(values))))
            }
            other => {
                let (width, align) = match other {
                    DataType::FixedSizeBinary(width) => (usize::try_from(*width).ok(), 1),
                    other => {
                        let width = other.primitive_width();
                        (width, width.unwrap_or(1).min(align_of::<i128>()))
                    }
                };
                let width = width
                    .ok_or_else(|| Error::unsupported(format!("type {other} is not known")))?;
                let array = self.validity(array, rows, nulls)?;
                build(array.add_buffer(self.fixed(rows, width, align)?))
            }
        })
    }

    /// Rows and nulls of the next node.
    fn node(&mut self) -> Result<(usize, usize)> {
        let Some(node) = self.nodes.next() else {
            return Err(Error::invalid("the message lists fewer nodes than the schema needs"));
        };
        let rows = usize::try_from(node.length()).ok();
        let nulls = usize::try_from(node.null_count()).ok();
        match (rows, nulls) {
            (Some(rows), Some(nulls)) if nulls <= rows => Ok((rows, nulls)),
            _ => Err(Error::invalid(format!(
                "{} rows with {} nulls cannot be",
                node.length(),
                node.null_count()
            ))),
        }
    }

    /// The next buffer, as the message gives it.
    fn buffer(&mut self) -> Result<Buffer> {
        let Some(buffer) = self.buffers.next() else {
            return Err(Error::invalid("the message lists fewer buffers than the schema needs"));
        };
        let start = usize::try_from(buffer.offset()).ok();
        let len = usize::try_from(buffer.length()).ok();
        let range =
            start.zip(len).and_then(|(start, len)| Some((start, len, start.checked_add(len)?)));
        match range {
            // Empty buffers may be said to be anywhere.
            Some((_, 0, _)) => Ok(MutableBuffer::new(0).into()),
            // Buffers do not overlap, so that work is bounded by the bytes there are.
            Some((start, len, end)) if end <= self.body.len() && len <= self.budget => {
                self.budget -= len;
                Ok(self.body.slice_with_length(start, len))
            }
            _ => Err(Error::invalid(format!(
                "a buffer of {} bytes at {} overlaps others or does not fit the body of {} bytes",
                buffer.length(),
                buffer.offset(),
                self.body.len()
            ))),
        }
    }

    /// The next buffer, cut to `rows` values of `width` bytes.
    fn fixed(&mut self, rows: usize, width: usize, align: usize) -> Result<Buffer> {
        let buffer = self.buffer()?;
        let needed = rows.checked_mul(width);
        let Some(needed) = needed.filter(|needed| *needed <= buffer.len()) else {
            return Err(Error::invalid(format!(
                "{rows} values of {width} bytes do not fit a buffer of {} bytes",
                buffer.len()
            )));
        };
        if needed == 0 {
            return Ok(MutableBuffer::new(0).into());
        }
        let off = buffer.as_ptr().align_offset(align);
        if off != 0 {
            return Err(Error::unsupported(format!(
                "a buffer of values of {width} bytes lies {off} bytes before a multiple of \
                 {align}: write the file with an alignment of {}, and map it at such an address",
                crate::ALIGNMENT
            )));
        }
        Ok(buffer.slice_with_length(0, needed))
    }

    /// The next buffer, as offsets: one more than rows, or none at all if there are no rows.
    fn offsets(&mut self, rows: usize, width: usize) -> Result<Buffer> {
        let empty = self.buffers.clone().next().is_some_and(|buffer| buffer.length() == 0);
        if rows == 0 && empty {
            self.fixed(0, width, width)
        } else {
            self.fixed(rows.saturating_add(1), width, width)
        }
    }

    /// Gives an array the next buffer as its validity bitmap.
    fn validity(
        &mut self,
        array: ArrayDataBuilder,
        rows: usize,
        nulls: usize,
    ) -> Result<ArrayDataBuilder> {
        if nulls == 0 {
            // The bitmap is there or not, but says nothing.
            self.buffer()?;
            return Ok(array);
        }
        let bitmap = self.fixed(rows.div_ceil(8), 1, 1)?;
        Ok(array.null_bit_buffer(Some(bitmap)).null_count(nulls))
    }
}

/// Whether a child has the rows that its parent wants of it.
fn same_rows(child: usize, wanted: Option<usize>, data_type: &DataType) -> Result<()> {
    if Some(child) == wanted {
        return Ok(());
    }
    let wanted = wanted.map_or_else(|| "too many to count".into(), |wanted| wanted.to_string());
    Err(Error::invalid(format!("a child of {data_type} has {child} rows instead of {wanted}")))
}

fn build(array: ArrayDataBuilder) -> ArrayData {
    // SAFETY: buffers have the length and alignment that rows and type ask for, children the
    // rows (all of it seen to above). That their contents are valid is made sure before the
    // data becomes an array that can be read: by `validate`, or by who opened the file as
    // trusted.
    unsafe { array.build_unchecked() }
}

/// The ids and value types of the dictionaries of a schema, those inside others first.
pub(crate) fn dictionary_types(fields: &arrow_schema::Fields) -> Result<Vec<(i64, DataType)>> {
    let mut found: Vec<(i64, DataType)> = Vec::new();
    for field in fields {
        find(slice::from_ref(&field.as_ref()), &mut found)?;
    }
    Ok(found)
}

fn find(fields: &[&Field], found: &mut Vec<(i64, DataType)>) -> Result<()> {
    for field in fields {
        let mut data_type = field.data_type();
        if let DataType::Dictionary(_, values) = data_type {
            data_type = values;
        }
        let children: Vec<&Field> = crate::dictionary::children(data_type).collect();
        find(&children, found)?;

        #[expect(deprecated, reason = "arrow-rs has no other way to tell a dictionary's id yet")]
        if let (DataType::Dictionary(_, values), Some(id)) = (field.data_type(), field.dict_id()) {
            found.push((id, values.as_ref().clone()));
        }
    }
    Ok(())
}
