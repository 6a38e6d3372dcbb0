//! What is sorted by: columns found, keys that need it encoded, the order told in the schema.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_buffer::Buffer;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::{DataType, Field, Schema, SchemaRef, SortOptions as ArrowOptions};
use sheaf_store::{Error, Kind, Result};

use crate::keys::{self, KeyColumn, Keys};
use crate::lanes::Lane;
use crate::memory::Memory;
use crate::options::{NanOrder, SortKey, SortOptions};
use crate::place::{self, Column, Placement};
use crate::size::least_bytes;
use crate::source::Source;
use crate::take;
use crate::workers::Workers;

/// The key in the metadata of a sorted table's schema that tells its order: a JSON list of
/// `{"column", "descending", "nulls_first"}`.
pub const SORTED_BY: &str = "sheaf.sorted_by";

/// The most keys.
const MOST_KEYS: usize = 64;

/// Rows whose keys are encoded in one go.
const ENCODED: usize = 64 << 10;

/// A sort that is about to begin: what it reads is found, what it writes is laid out.
pub(crate) struct Sorting<'a> {
    source: Source,
    schema: SchemaRef,
    workers: Workers<'a>,
    options: SortOptions<'a>,
    keys: Vec<(SortKey, usize)>,
    /// `None` if there is a column that can't be laid out ahead.
    pub(crate) placement: Option<Placement>,
}

/// A sorted table in this process's own memory.
#[derive(Debug)]
pub(crate) struct Sorted {
    pub(crate) batches: Vec<RecordBatch>,
    /// The Arrow IPC file that they lie in, if they do.
    pub(crate) file: Option<Buffer>,
}

impl<'a> Sorting<'a> {
    /// # Errors
    /// [`Kind::Invalid`] if a key is no column or has no order, or there are none, or too many.
    pub(crate) fn new(
        schema: &SchemaRef,
        batches: Vec<RecordBatch>,
        by: &[SortKey],
        options: SortOptions<'a>,
    ) -> Result<Self> {
        let keys = find(schema, by)?;
        let mut source = Source::new(schema.clone(), batches)?;
        let workers = Workers::new(options, source.num_rows());
        let plain = keys.iter().all(|(_, column)| is_plain(&source, *column));
        let keys = if plain {
            keys
        } else {
            source = encoded(source, &keys, options.nan)?;
            vec![(SortKey::new("keys"), schema.fields().len())]
        };
        let schema = sorted_schema(schema, by)?;
        let columns: Vec<usize> = keys.iter().map(|(_, column)| *column).collect();
        let placement = Placement::new(&source, &schema, &columns)?;
        Ok(Self { source, schema, workers, options, keys, placement })
    }

    /// The schema of the result, which tells the order.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The bytes that the result has at the least.
    pub(crate) fn least_bytes(&self) -> usize {
        let columns: Vec<usize> = (0..self.schema.fields().len()).collect();
        let of_result = |batch: &RecordBatch| batch.project(&columns).ok();
        self.source.batches.iter().filter_map(of_result).map(|batch| least_bytes(&batch)).sum()
    }

    /// Sorts into a file that the placement laid out, with spare memory to do so.
    ///
    /// # Errors
    /// As [`Placement::fill`].
    pub(crate) fn fill(
        &self,
        placement: &Placement,
        file: &mut [u8],
        spare: &mut [u8],
    ) -> Result<()> {
        // A key that is encoded is no column of the result, and moves beside it.
        let keys = self.keys(&placement.lanes, |column| placement.column(column))?;
        placement.fill(&self.source, &keys, &self.workers, file, spare)
    }

    /// Sorts, and hands out batch after batch.
    ///
    /// # Errors
    /// As [`take::take`].
    pub(crate) fn take(&self, each: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
        let mut lanes = Vec::new();
        let mut columns = Vec::new();
        for (_, column) in &self.keys {
            let column = Column::of_key(&self.source, *column, &mut lanes);
            columns.push(
                column.ok_or_else(|| Error::new(Kind::Internal, "a key column has no lane"))?,
            );
        }
        let place = |column: usize| {
            let at = self.keys.iter().position(|(_, key)| *key == column);
            columns[at.unwrap_or_default()]
        };
        let keys = self.keys(&lanes, place)?;
        take::take(&self.source, &self.schema, lanes, &keys, &self.workers, each)
    }

    /// Sorts into this process's own memory.
    ///
    /// # Errors
    /// As [`fill`](Self::fill) and [`take`](Self::take).
    pub(crate) fn in_memory(&self) -> Result<Sorted> {
        let mut batches = Vec::new();
        let Some(placement) = &self.placement else {
            self.take(|batch| {
                batches.push(batch.clone());
                Ok(())
            })?;
            return Ok(Sorted { batches, file: None });
        };
        let mut memory = Memory::new(placement.layout().len())?;
        self.fill(placement, memory.as_mut_slice(), &mut [])?;
        placement.layout().finish(memory.as_mut_slice())?;
        // SAFETY: the file was made of checked arrays just now, and nobody changes it.
        let file = unsafe { sheaf_ipc::File::open_trusted(memory.into_buffer()) }?;
        for batch in file.batches() {
            batches.push(batch?);
        }
        Ok(Sorted { batches, file: Some(file.buffer().clone()) })
    }

    fn keys(&self, lanes: &[Lane], place: impl Fn(usize) -> Column) -> Result<Keys> {
        let columns: Vec<KeyColumn<'_>> = self
            .keys
            .iter()
            .filter_map(|(key, column)| {
                let Column { values, valid, .. } = place(*column);
                Some(KeyColumn { key, column: *column, values: values?, valid })
            })
            .collect();
        Keys::build(&self.source, lanes, &columns, self.options.nan, &self.workers)
    }
}

/// The columns of the keys. One that repeats decides nothing.
///
/// # Errors
/// As [`Sorting::new`].
pub(crate) fn find(schema: &SchemaRef, by: &[SortKey]) -> Result<Vec<(SortKey, usize)>> {
    let invalid = |message: String| Err(Error::new(Kind::Invalid, message));
    if by.is_empty() {
        return invalid("nothing to sort by: name at least one column".into());
    }
    if by.len() > MOST_KEYS {
        return invalid(format!("{} columns to sort by; at most {MOST_KEYS}", by.len()));
    }
    let mut keys: Vec<(SortKey, usize)> = Vec::with_capacity(by.len());
    for key in by {
        let mut named = schema.fields().iter().enumerate().filter(|(_, f)| *f.name() == key.column);
        let Some((column, field)) = named.next() else {
            let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            return invalid(format!("no column {}; there are {}", key.column, names.join(", ")));
        };
        if named.next().is_some() {
            return invalid(format!("several columns are named {}: rename one", key.column));
        }
        let data_type = field.data_type();
        if !keys::is_plain(data_type) && !RowConverter::supports_fields(&[sort_field(key, field)]) {
            return invalid(format!("column {} is {data_type}, which has no order", key.column));
        }
        if keys.iter().all(|(_, other)| *other != column) {
            keys.push((key.clone(), column));
        }
    }
    Ok(keys)
}

fn sort_field(key: &SortKey, field: &Field) -> SortField {
    let options = ArrowOptions { descending: key.descending, nulls_first: key.nulls_first };
    SortField::new_with_options(field.data_type().clone(), options)
}

/// Whether a key column is compared as it is.
fn is_plain(source: &Source, column: usize) -> bool {
    let data_type = source.schema.field(column).data_type();
    match data_type {
        DataType::Dictionary(_, _) => place::dictionary(source, column).is_some(),
        _ => keys::is_plain(data_type),
    }
}

/// Keys as bytes of the same order, which is Arrow's row format.
#[derive(Debug)]
pub(crate) struct KeyRows {
    converter: RowConverter,
    columns: Vec<usize>,
    nan: NanOrder,
}

impl KeyRows {
    /// # Errors
    /// [`Kind::Invalid`] if a key has no such form.
    pub(crate) fn new(schema: &Schema, keys: &[(SortKey, usize)], nan: NanOrder) -> Result<Self> {
        let fields = keys.iter().map(|(key, column)| sort_field(key, schema.field(*column)));
        let converter = RowConverter::new(fields.collect()).map_err(sheaf_ipc::Error::from)?;
        let columns = keys.iter().map(|(_, column)| *column).collect();
        Ok(Self { converter, columns, nan })
    }

    /// The keys of a batch's rows.
    ///
    /// # Errors
    /// [`Kind::Invalid`] as Arrow says.
    pub(crate) fn of(&self, batch: &RecordBatch) -> Result<Rows> {
        let column = |at: &usize| one_nan(batch.column(*at), self.nan);
        let columns: Vec<ArrayRef> = self.columns.iter().map(column).collect();
        Ok(self.converter.convert_columns(&columns).map_err(sheaf_ipc::Error::from)?)
    }
}

/// The source with one more column: the keys as bytes of the same order.
fn encoded(source: Source, keys: &[(SortKey, usize)], nan: NanOrder) -> Result<Source> {
    let rows = KeyRows::new(&source.schema, keys, nan)?;
    let mut fields = source.schema.fields().to_vec();
    fields.push(Arc::new(Field::new("keys", DataType::Binary, false)));
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for run in source.runs(0..source.num_rows(), ENCODED) {
        let batch = source.slice(run);
        let bytes = rows.of(&batch)?.try_into_binary().map_err(sheaf_ipc::Error::from)?;
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(bytes));
        let batch = RecordBatch::try_new(schema.clone(), columns);
        batches.push(batch.map_err(sheaf_ipc::Error::from)?);
    }
    Source::new(schema, batches)
}

/// The column, every NaN made the one that stands where it is to stand in IEEE 754's total order,
/// which Arrow's rows have. Floats inside structs and lists stay as they are.
fn one_nan(column: &ArrayRef, nan: NanOrder) -> ArrayRef {
    macro_rules! unary {
        ($type:ty) => {{
            type Native = <$type as ArrowPrimitiveType>::Native;
            let value = match nan {
                NanOrder::Greatest => Native::from_bits(Native::NAN.to_bits() & !0 >> 1),
                NanOrder::Smallest => Native::from_bits(Native::NAN.to_bits() | !(!0 >> 1)),
            };
            let one = |each: Native| if each.is_nan() { value } else { each };
            Arc::new(column.as_primitive::<$type>().unary::<_, $type>(one))
        }};
    }
    match column.data_type() {
        DataType::Float16 => unary!(Float16Type),
        DataType::Float32 => unary!(Float32Type),
        DataType::Float64 => unary!(Float64Type),
        _ => column.clone(),
    }
}

/// The schema that a table has once it is sorted: the same, telling the order under [`SORTED_BY`].
///
/// # Errors
/// [`Kind::Invalid`] as [`sort`](crate::sort()) has it.
pub fn sorted_schema(schema: &SchemaRef, by: &[SortKey]) -> Result<SchemaRef> {
    find(schema, by)?;
    let order: Vec<_> = by
        .iter()
        .map(|SortKey { column, descending, nulls_first }| {
            serde_json::json!({
                "column": column, "descending": descending, "nulls_first": nulls_first
            })
        })
        .collect();
    let mut metadata = schema.metadata().clone();
    metadata.insert(SORTED_BY.into(), serde_json::Value::from(order).to_string());
    Ok(Arc::new(schema.as_ref().clone().with_metadata(metadata)))
}
