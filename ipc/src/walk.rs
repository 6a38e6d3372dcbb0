//! From arrays to the nodes, buffers and copies of a message's body.
//!
//! Nothing is copied here. A slice contributes only what it shows: its part of each buffer,
//! and of each child.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    BinaryViewType, ByteViewType, Int16Type, Int32Type, Int64Type, RunEndIndexType, StringViewType,
};
use arrow_array::{
    Array, ArrayRef, GenericByteViewArray, GenericListArray, GenericListViewArray, OffsetSizeTrait,
    RunArray, UnionArray,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, OffsetBuffer, ScalarBuffer};
use arrow_ipc::FieldNode;
use arrow_schema::{DataType, UnionMode};

use crate::copy::{Copy, Source, Width};
use crate::dictionary::Dictionaries;
use crate::frame::padded;
use crate::message::Shape;
use crate::{Error, Result};

/// The body of a message as it grows.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) shape: Shape,
    pub(crate) copies: Vec<Copy>,
}

impl Body {
    fn node(&mut self, rows: usize, nulls: usize) {
        self.shape.nodes.push(FieldNode::new(rows as i64, nulls as i64));
    }

    fn push(&mut self, source: Source) {
        let unpadded = Copy::new(source.clone(), 0).len();
        let end = self.shape.body + unpadded;
        self.shape.buffers.push(arrow_ipc::Buffer::new(self.shape.body as i64, unpadded as i64));
        self.shape.body = padded(end);
        if unpadded > 0 {
            self.copies.push(Copy::new(source, self.shape.body - end));
        }
    }

    fn bytes(&mut self, buffer: &Buffer, start: usize, len: usize) {
        self.push(Source::Bytes(buffer.slice_with_length(start, len)));
    }

    fn bits(&mut self, bits: &BooleanBuffer) {
        self.push(Source::Bits(bits.clone()));
    }

    /// The node of an array that may have a validity bitmap, and the bitmap: empty if all valid.
    fn validity(&mut self, array: &dyn Array) {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        self.node(array.len(), nulls.map_or(0, |nulls| nulls.null_count()));
        match nulls {
            Some(nulls) => self.bits(nulls.inner()),
            None => self.push(Source::Bytes(Buffer::default())),
        }
    }

    /// Offsets that start at zero, and the range of the child they cover.
    fn offsets<O: OffsetSizeTrait>(&mut self, offsets: &OffsetBuffer<O>) -> (usize, usize) {
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        let integers = exact(offsets.inner());
        if first.as_usize() == 0 {
            self.push(Source::Bytes(integers));
        } else {
            self.push(Source::Rebased {
                integers,
                width: Width::of(size_of::<O>()),
                base: first.as_usize() as i64,
                cap: i64::MAX,
            });
        }
        (first.as_usize(), last.as_usize() - first.as_usize())
    }
}

/// Adds an array and its children to the body, depth first, as the format has it.
pub(crate) fn walk(
    array: &dyn Array,
    body: &mut Body,
    dictionaries: &mut Dictionaries,
) -> Result<()> {
    match array.data_type() {
        DataType::Null => body.node(array.len(), array.len()),
        DataType::Boolean => {
            body.validity(array);
            body.bits(array.as_boolean().values());
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            body.validity(array);
            bytes(body, array.offsets(), array.values());
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>();
            body.validity(array);
            bytes(body, array.offsets(), array.values());
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>();
            body.validity(array);
            bytes(body, array.offsets(), array.values());
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>();
            body.validity(array);
            bytes(body, array.offsets(), array.values());
        }
        DataType::Utf8View => views::<StringViewType>(array.as_string_view(), body),
        DataType::BinaryView => views::<BinaryViewType>(array.as_binary_view(), body),
        DataType::List(_) => list::<i32>(array.as_list(), body, dictionaries)?,
        DataType::LargeList(_) => list::<i64>(array.as_list(), body, dictionaries)?,
        DataType::Map(_, _) => {
            let map = array.as_map();
            body.validity(map);
            let (start, len) = body.offsets(map.offsets());
            walk(&map.entries().slice(start, len), body, dictionaries)?;
        }
        DataType::ListView(_) => list_view::<i32>(array.as_list_view(), body, dictionaries)?,
        DataType::LargeListView(_) => list_view::<i64>(array.as_list_view(), body, dictionaries)?,
        DataType::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            body.validity(list);
            let len = list.len() * list.value_length() as usize;
            walk(&list.values().slice(0, len), body, dictionaries)?;
        }
        DataType::Struct(_) => {
            body.validity(array);
            for column in array.as_struct().columns() {
                walk(column, body, dictionaries)?;
            }
        }
        DataType::Union(_, _) => union(array.as_union(), body, dictionaries)?,
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array.as_run(), body, dictionaries)?,
            DataType::Int32 => runs::<Int32Type>(array.as_run(), body, dictionaries)?,
            DataType::Int64 => runs::<Int64Type>(array.as_run(), body, dictionaries)?,
            other => return Err(Error::invalid(format!("run ends are {other}, not int16 to 64"))),
        },
        DataType::Dictionary(_, values) => {
            let dictionary = array.as_any_dictionary();
            body.validity(array);
            let keys = dictionary.keys();
            let used = keys.null_count() < keys.len();
            let map = dictionaries.merge(values, dictionary.values(), used)?;
            let data = keys.to_data();
            let width = keys.data_type().primitive_width().unwrap_or(8);
            let bytes =
                data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width);
            body.push(match map {
                None => Source::Bytes(bytes),
                Some(map) => Source::Keys {
                    keys: bytes,
                    width: Width::of(width),
                    map,
                    nulls: keys.nulls().cloned(),
                },
            });
        }
        other => {
            let width = match other {
                DataType::FixedSizeBinary(width) => *width as usize,
                other => other
                    .primitive_width()
                    .ok_or_else(|| Error::unsupported(format!("type {other} is not known")))?,
            };
            body.validity(array);
            let data = array.to_data();
            body.bytes(&data.buffers()[0], data.offset() * width, data.len() * width);
        }
    }
    Ok(())
}

/// The bytes of the integers shown: buffers that came from elsewhere may be longer.
fn exact<T: ArrowNativeType>(integers: &ScalarBuffer<T>) -> Buffer {
    integers.inner().slice_with_length(0, integers.len() * size_of::<T>())
}

fn bytes<O: OffsetSizeTrait>(body: &mut Body, offsets: &OffsetBuffer<O>, values: &Buffer) {
    let (start, len) = body.offsets(offsets);
    body.bytes(values, start, len);
}

/// Views keep the buffers they point into, unless a slice would drag along mostly strangers.
fn views<T: ByteViewType>(array: &GenericByteViewArray<T>, body: &mut Body) {
    let held: usize = array.data_buffers().iter().map(Buffer::len).sum();
    let compact;
    let array = if held > 0 && array.total_buffer_bytes_used() < held / 2 {
        compact = array.gc();
        &compact
    } else {
        array
    };

    body.validity(array);
    body.push(Source::Bytes(exact(array.views())));
    for buffer in array.data_buffers().iter() {
        body.push(Source::Bytes(buffer.clone()));
    }
    body.shape.variadic.push(array.data_buffers().len() as i64);
}

fn list<O: OffsetSizeTrait>(
    array: &GenericListArray<O>,
    body: &mut Body,
    dictionaries: &mut Dictionaries,
) -> Result<()> {
    body.validity(array);
    let (start, len) = body.offsets(array.offsets());
    walk(&array.values().slice(start, len), body, dictionaries)
}

/// A list view's entries may lie anywhere in the child; only the part between the first and
/// the last is kept.
fn list_view<O: OffsetSizeTrait>(
    array: &GenericListViewArray<O>,
    body: &mut Body,
    dictionaries: &mut Dictionaries,
) -> Result<()> {
    let (offsets, sizes) = (array.offsets(), array.sizes());
    let (mut start, mut end) = (usize::MAX, 0);
    for (offset, size) in offsets.iter().zip(sizes.iter()) {
        let (offset, size) = (offset.as_usize(), size.as_usize());
        if size > 0 {
            start = start.min(offset);
            end = end.max(offset + size);
        }
    }
    let start = start.min(end);

    body.validity(array);
    let integers = exact(offsets);
    if start == 0 && end == array.values().len() {
        body.push(Source::Bytes(integers));
    } else {
        // Offsets of empty entries are free, and might point outside of what is kept.
        let width = Width::of(size_of::<O>());
        let (base, cap) = (start as i64, (end - start) as i64);
        body.push(Source::Rebased { integers, width, base, cap });
    }
    body.push(Source::Bytes(exact(sizes)));
    walk(&array.values().slice(start, end - start), body, dictionaries)
}

fn union(array: &UnionArray, body: &mut Body, dictionaries: &mut Dictionaries) -> Result<()> {
    let DataType::Union(fields, mode) = array.data_type() else {
        unreachable!("a union array is of union type")
    };
    // Unions have no validity bitmap: their children do.
    body.node(array.len(), 0);
    let types = array.type_ids();
    body.push(Source::Bytes(exact(types)));

    let offsets = match (mode, array.offsets()) {
        (UnionMode::Dense, Some(offsets)) => offsets,
        _ => {
            for (id, _) in fields.iter() {
                walk(array.child(id), body, dictionaries)?;
            }
            return Ok(());
        }
    };

    let (mut starts, mut ends) = ([i32::MAX; 128], [0; 128]);
    for (id, offset) in types.iter().zip(offsets.iter()) {
        let id = usize::from(id.unsigned_abs() & 0x7f);
        starts[id] = starts[id].min(*offset);
        ends[id] = ends[id].max(*offset + 1);
    }
    for (start, end) in starts.iter_mut().zip(&ends) {
        *start = (*start).min(*end);
    }
    if starts.iter().all(|start| *start == 0) {
        body.push(Source::Bytes(exact(offsets)));
    } else {
        body.push(Source::UnionOffsets {
            offsets: exact(offsets),
            types: exact(types),
            bases: Arc::new(starts),
        });
    }
    for (id, _) in fields.iter() {
        let index = usize::from(id.unsigned_abs() & 0x7f);
        let (start, end) = (starts[index] as usize, ends[index] as usize);
        walk(&array.child(id).slice(start, end - start), body, dictionaries)?;
    }
    Ok(())
}

fn runs<R: RunEndIndexType>(
    array: &RunArray<R>,
    body: &mut Body,
    dictionaries: &mut Dictionaries,
) -> Result<()> {
    let ends = array.run_ends();
    let (start, count) = if array.is_empty() {
        (0, 0)
    } else {
        let start = ends.get_start_physical_index();
        (start, ends.get_end_physical_index() - start + 1)
    };

    // Neither the runs nor their ends have a validity bitmap of their own; the ends have the
    // place for one, as every integer column does.
    body.node(array.len(), 0);
    body.node(count, 0);
    body.push(Source::Bytes(Buffer::default()));
    let width = size_of::<R::Native>();
    let integers = ends.inner().inner().slice_with_length(start * width, count * width);
    let exact = count == 0 || ends.values()[start + count - 1].as_usize() == array.len();
    if ends.offset() == 0 && exact {
        body.push(Source::Bytes(integers));
    } else {
        body.push(Source::Rebased {
            integers,
            width: Width::of(width),
            base: ends.offset() as i64,
            cap: array.len() as i64,
        });
    }
    let values: ArrayRef = array.values().slice(start, count);
    walk(&values, body, dictionaries)
}
