//! Columns laid out ahead and filled in place: those whose values have one width, and strings.
//!
//! Bits, strings and what has an odd width move as something else first (see [`crate::lanes`]),
//! in memory of the sort's own, and are put into their place when the rows are in order.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, SchemaRef};
use sheaf_ipc::{Content, Layout};
use sheaf_store::Result;

use crate::engine::{Sorter, is_streamed};
use crate::kernels::bits;
use crate::kernels::permute::copy_short;
use crate::keys::{Keys, is_plain};
use crate::lanes::{Lane, Spans, value_width};
use crate::memory::Scratch;
use crate::options::Stage;
use crate::source::Source;
use crate::target::{Target, WHOLE};
use crate::workers::Workers;

/// Rows in a batch, as a power of two: 16 M. A multiple of what a line of the cache holds.
const BATCH: u32 = 24;

/// Rows that are gathered in one go: a multiple of 64, so that no two share a byte of a bitmap.
const BLOCK: usize = 1 << 16;

/// Strings fetched ahead of their turn.
const AHEAD: usize = 16;

/// Where each column's rows move.
pub(crate) struct Placement {
    pub(crate) lanes: Vec<Lane>,
    columns: Vec<Column>,
    layout: Layout,
    shift: u32,
    /// Whether a key is of strings.
    by_text: bool,
}

/// The lanes of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) values: Option<usize>,
    pub(crate) valid: Option<usize>,
    form: Form,
}

/// What a column's lane becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It is the values.
    Values,
    /// Bits.
    Bits,
    /// Bytes, and offsets of this many bytes.
    Text(usize),
    /// Bytes, this many for each row.
    Wide(usize),
    /// Nothing but nulls.
    Null,
}

impl Placement {
    /// `None` if there is a column that can't be laid out ahead. `keys` are key columns: they need
    /// lanes that can be compared.
    ///
    /// # Errors
    /// As [`Layout::with_contents`].
    pub(crate) fn new(source: &Source, schema: &SchemaRef, keys: &[usize]) -> Result<Option<Self>> {
        let mut lanes = Vec::new();
        let (mut columns, mut contents) = (Vec::new(), Vec::new());
        for (at, field) in schema.fields().iter().enumerate() {
            let data_type = field.data_type();
            let Some(mut content) = content(source, at, data_type) else { return Ok(None) };
            let Some(column) = Column::new(source, at, data_type, keys.contains(&at), &mut lanes)
            else {
                return Ok(None);
            };
            content.nulls = column.valid.is_some();
            columns.push(column);
            contents.push(content);
        }
        // A key beside the columns moves with them, and is not part of the result.
        for at in schema.fields().len()..source.schema.fields().len() {
            let Some(column) = Column::of_key(source, at, &mut lanes) else { return Ok(None) };
            columns.push(column);
        }
        let rows = source.num_rows();
        let texts = columns.iter().any(|column| matches!(column.form, Form::Text(_)));
        let shift = if texts { WHOLE } else { BATCH };
        let batches: Vec<usize> =
            (0..rows).step_by(1 << shift).map(|start| (rows - start).min(1 << shift)).collect();
        let layout = Layout::with_contents(schema.clone(), &batches, &contents)?;
        let by_text = keys.iter().any(|key| matches!(columns[*key].form, Form::Text(_)));
        Ok(Some(Self { lanes, columns, layout, shift, by_text }))
    }

    /// The lanes of a column.
    pub(crate) fn column(&self, index: usize) -> Column {
        self.columns[index]
    }

    /// Where everything goes.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How much memory the sort needs besides the file, in bytes.
    pub(crate) fn spare_bytes(&self) -> usize {
        let rows = self.layout.num_rows();
        let beside = (0..self.lanes.len()).filter(|lane| self.place_of(*lane).is_none());
        let widths = beside.map(|lane| self.lanes[lane].width());
        let lanes: usize = widths.map(|width| Scratch::padded(rows * width)).sum();
        lanes + Sorter::scratch_bytes(rows, self.by_text)
    }

    /// Sorts into `file`, which is as long as the layout says; all but its messages is written.
    /// What is needed besides comes from `spare` as far as that reaches.
    ///
    /// # Errors
    /// Those of the workers, and of [`Sorter::new`].
    pub(crate) fn fill(
        &self,
        source: &Source,
        keys: &Keys,
        workers: &Workers<'_>,
        file: &mut [u8],
        spare: &mut [u8],
    ) -> Result<()> {
        assert_eq!(file.len(), self.layout.len(), "the file is as long as its layout");
        let file = file.as_mut_ptr();
        let rows = source.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let mut scratch = Scratch::new(spare);
        let mut targets = Vec::with_capacity(self.lanes.len());
        for (at, lane) in self.lanes.iter().enumerate() {
            let width = lane.width();
            let streamed = is_streamed(rows * width);
            targets.push(match self.place_of(at) {
                Some(column) => {
                    let bases = (0..self.layout.num_batches())
                        .map(|batch| file.wrapping_add(self.layout.values(batch, column).start));
                    Target::many(bases.collect(), self.shift, width, streamed)
                }
                None => Target::one(scratch.take(rows * width)?, width, streamed),
            });
        }
        // Strings come last: until then their place has room for what is needed before.
        let placed = self.layout.schema().fields().len();
        let mut columns = self.columns.iter().enumerate().take(placed);
        let until_strings = columns.find_map(|(index, column)| {
            let range = self.layout.values(0, index);
            let has_room = matches!(column.form, Form::Text(_)) && range.len() >= rows * 8;
            has_room.then(|| file.wrapping_add(range.start))
        });
        let sorter =
            Sorter::new(source, &self.lanes, keys, &targets, workers, until_strings, &mut scratch)?;
        // SAFETY: each lane has a column of the file, or memory of its own, with room for all rows.
        unsafe { sorter.run()? };
        drop(sorter);
        for (index, column) in self.columns.iter().enumerate().take(placed) {
            // SAFETY: the lanes are written, and the column's places in the file are its own.
            unsafe { self.finish(index, *column, &targets, rows, workers, file)? };
        }
        Ok(())
    }

    /// The column whose values in the file a lane is.
    fn place_of(&self, lane: usize) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.form == Form::Values && column.values == Some(lane))
    }

    /// Makes of a column's lanes what the file wants.
    ///
    /// # Safety
    /// The lanes must have been written, and the column's places in `file` be writable.
    unsafe fn finish(
        &self,
        index: usize,
        column: Column,
        targets: &[Target],
        rows: usize,
        workers: &Workers<'_>,
        file: *mut u8,
    ) -> Result<()> {
        // SAFETY: the caller's promise, for all of them.
        unsafe {
            if let Some(lane) = column.valid {
                let place = |batch| self.layout.validity(batch, index);
                self.pack(&targets[lane], place, rows, workers, file)?;
            }
            let Some(lane) = column.values else { return Ok(()) };
            let (lane, target) = (&self.lanes[lane], &targets[lane]);
            match column.form {
                Form::Values | Form::Null => Ok(()),
                Form::Bits => {
                    let place = |batch| Some(self.layout.values(batch, index));
                    self.pack(target, place, rows, workers, file)
                }
                Form::Text(width) => {
                    let offsets = self.layout.offsets(0, index).unwrap_or_default();
                    let offsets = file.wrapping_add(offsets.start);
                    let values = file.wrapping_add(self.layout.values(0, index).start);
                    gather(lane, target, rows, workers, Places { offsets, width, values })
                }
                Form::Wide(width) => {
                    let base = |batch| self.layout.values(batch, index).start;
                    let bases = (0..self.layout.num_batches())
                        .map(|batch| file.wrapping_add(base(batch)))
                        .collect();
                    let wide = Target::many(bases, self.shift, width, false);
                    gather_wide(lane, target, rows, workers, &wide)
                }
            }
        }
    }

    /// Packs bytes into a bitmap.
    ///
    /// # Safety
    /// As [`finish`](Self::finish).
    unsafe fn pack(
        &self,
        bytes: &Target,
        place: impl Fn(usize) -> Option<Range<usize>> + Sync,
        rows: usize,
        workers: &Workers<'_>,
        file: *mut u8,
    ) -> Result<()> {
        let file = Address(file);
        workers.run(Stage::Gather, rows.div_ceil(BLOCK), Vec::new, |at, values| {
            let block = block(at, rows);
            // Blocks never straddle batches, whose rows are a multiple of theirs.
            let batch = block.start >> self.shift;
            let within = block.start & ((1 << self.shift) - 1);
            let Some(range) = place(batch) else { return Ok(0) };
            // SAFETY: the bytes are written; each block has bytes of the bitmap of its own.
            unsafe {
                bytes.read(block.start as u64..block.end as u64, values);
                let start = file.get().wrapping_add(range.start + within / 8);
                let bitmap = std::slice::from_raw_parts_mut(start, block.len().div_ceil(8));
                bits::pack(values, bitmap);
            }
            Ok(0)
        })
    }
}

/// A place that threads share.
#[derive(Clone, Copy)]
struct Address(*mut u8);

impl Address {
    fn get(self) -> *mut u8 {
        self.0
    }
}

// SAFETY: a place; who writes there promises that nobody else does.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Column {
    fn new(
        source: &Source,
        column: usize,
        data_type: &DataType,
        is_key: bool,
        lanes: &mut Vec<Lane>,
    ) -> Option<Self> {
        let mut add = |lane| {
            lanes.push(lane);
            lanes.len() - 1
        };
        let (values, form) = match data_type {
            DataType::Null => (None, Form::Null),
            DataType::Boolean => (Some(add(Lane::Booleans { column })), Form::Bits),
            DataType::Utf8 | DataType::Binary => {
                (Some(add(Lane::spans(source, column))), Form::Text(4))
            }
            DataType::LargeUtf8 | DataType::LargeBinary => {
                (Some(add(Lane::spans(source, column))), Form::Text(8))
            }
            DataType::FixedSizeBinary(width) => match value_width(data_type) {
                Some(width) if !is_key => (Some(add(Lane::Values { column, width })), Form::Values),
                _ => (Some(add(Lane::spans(source, column))), Form::Wide(*width as usize)),
            },
            other => {
                let width = value_width(other)?;
                (Some(add(Lane::Values { column, width })), Form::Values)
            }
        };
        let nulls = *data_type != DataType::Null && has_nulls(source, column);
        let valid = nulls.then(|| add(Lane::Validity { column }));
        Some(Self { values, valid, form })
    }

    /// The lanes of a key column alone.
    pub(crate) fn of_key(source: &Source, column: usize, lanes: &mut Vec<Lane>) -> Option<Self> {
        let data_type = source.schema.field(column).data_type().clone();
        Self::new(source, column, &data_type, true, lanes)
    }
}

fn has_nulls(source: &Source, column: usize) -> bool {
    source.column(column).any(|array| array.nulls().is_some_and(|nulls| nulls.null_count() > 0))
}

/// What a column holds, but for nulls; `None` if it can't be laid out ahead.
fn content(source: &Source, column: usize, data_type: &DataType) -> Option<Content> {
    let mut content = Content::default();
    match data_type {
        DataType::Dictionary(_, _) => content.dictionary = Some(dictionary(source, column)?),
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => {
            content.bytes = source.column(column).map(text_bytes).sum();
            let wide = matches!(data_type, DataType::LargeUtf8 | DataType::LargeBinary);
            if !wide && i32::try_from(content.bytes).is_err() {
                return None;
            }
        }
        _ => {}
    }
    Some(content)
}

/// How many bytes an array's values take.
fn text_bytes(array: &ArrayRef) -> usize {
    fn between(offsets: &[impl arrow_buffer::ArrowNativeType]) -> usize {
        offsets
            .last()
            .zip(offsets.first())
            .map_or(0, |(last, first)| last.as_usize() - first.as_usize())
    }
    match array.data_type() {
        DataType::Utf8 => between(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => between(array.as_string::<i64>().value_offsets()),
        DataType::Binary => between(array.as_binary::<i32>().value_offsets()),
        _ => between(array.as_binary::<i64>().value_offsets()),
    }
}

/// The dictionary that all batches of a column share, if they do and it holds no others.
pub(crate) fn dictionary(source: &Source, column: usize) -> Option<ArrayRef> {
    let data_type = source.schema.field(column).data_type();
    let DataType::Dictionary(_, values) = data_type else { return None };
    if !is_plain(data_type) {
        return None;
    }
    let mut dictionaries = source.column(column).map(|array| array.as_any_dictionary().values());
    let Some(first) = dictionaries.next() else {
        return Some(arrow_array::new_empty_array(values));
    };
    let data = first.to_data();
    let same = |other: &ArrayRef| Arc::ptr_eq(first, other) || data.ptr_eq(&other.to_data());
    dictionaries.all(same).then(|| first.clone())
}

/// Where a column of strings goes.
#[derive(Clone, Copy)]
struct Places {
    offsets: *mut u8,
    /// Bytes in an offset.
    width: usize,
    values: *mut u8,
}

// SAFETY: places; who writes there promises that nobody else does.
unsafe impl Sync for Places {}

impl Places {
    /// # Safety
    /// The place must be writable, and nobody else's.
    unsafe fn set_offset(&self, row: usize, offset: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.width {
                4 => self.offsets.cast::<i32>().add(row).write_unaligned(offset as i32),
                _ => self.offsets.cast::<i64>().add(row).write_unaligned(offset as i64),
            }
        }
    }
}

/// The rows of a block.
fn block(at: usize, rows: usize) -> Range<usize> {
    at * BLOCK..((at + 1) * BLOCK).min(rows)
}

/// Reads a block's spans.
///
/// # Safety
/// They must have been written.
unsafe fn read_spans(spans: &Target, rows: Range<usize>, bytes: &mut Vec<u8>) {
    // SAFETY: the caller's promise.
    unsafe { spans.read(rows.start as u64..rows.end as u64, bytes) };
}

/// Copies the strings that spans tell of, one after the other, and writes their offsets.
///
/// # Safety
/// The spans must have been written, and the places have room for what they tell of.
unsafe fn gather(
    lane: &Lane,
    spans: &Target,
    rows: usize,
    workers: &Workers<'_>,
    places: Places,
) -> Result<()> {
    let blocks = rows.div_ceil(BLOCK);
    let lens = workers.collect(Stage::Gather, blocks, Vec::new, |at, bytes| {
        // SAFETY: the caller's promise.
        unsafe { read_spans(spans, block(at, rows), bytes) };
        // SAFETY: the lane's spans.
        let spans = unsafe { Spans::new(bytes, lane.texts()) };
        Ok(((0..spans.count()).map(|row| spans.len(row)).sum::<usize>(), 0))
    })?;
    let mut start = 0;
    let starts: Vec<usize> = lens
        .iter()
        .map(|len| {
            start += len;
            start - len
        })
        .collect();
    // SAFETY: there is one more offset than rows.
    unsafe { places.set_offset(rows, start) };
    let places = &places;
    workers.run(Stage::Gather, blocks, Vec::new, |at, bytes| {
        let range = block(at, rows);
        // SAFETY: the caller's promise.
        unsafe { read_spans(spans, range.clone(), bytes) };
        let mut offset = starts[at];
        // SAFETY: the lane's spans.
        let spans = unsafe { Spans::new(bytes, lane.texts()) };
        for row in 0..spans.count() {
            spans.prefetch(row + AHEAD);
            let text = spans.bytes(row);
            // SAFETY: offsets of a block's rows, and bytes between its start and the next one's,
            // are its own.
            unsafe {
                places.set_offset(range.start + row, offset);
                copy_short(text, places.values.add(offset));
            }
            offset += text.len();
        }
        Ok(range.len())
    })
}

/// Copies the values that spans tell of, all of one width.
///
/// # Safety
/// As [`gather`].
unsafe fn gather_wide(
    lane: &Lane,
    spans: &Target,
    rows: usize,
    workers: &Workers<'_>,
    target: &Target,
) -> Result<()> {
    workers.run(Stage::Gather, rows.div_ceil(BLOCK), Vec::new, |at, bytes| {
        let range = block(at, rows);
        // SAFETY: the caller's promise.
        unsafe { read_spans(spans, range.clone(), bytes) };
        // SAFETY: the lane's spans.
        let spans = unsafe { Spans::new(bytes, lane.texts()) };
        for row in 0..spans.count() {
            spans.prefetch(row + AHEAD);
            let place = target.row((range.start + row) as u64);
            // SAFETY: each row's place is its own.
            unsafe { copy_short(spans.bytes(row), place) };
        }
        Ok(range.len())
    })
}
