//! From columns to keys: how each is read, and how many bits its numbers take.

use arrow_array::{Array, ArrayRef};
use arrow_ord::rank::rank;
use arrow_schema::{DataType, IntervalUnit, SortOptions as ArrowOptions};
use sheaf_store::Result;

use super::native::{Native, Shift};
use super::text::Coder;
use super::{Keys, Kind, Part};
use crate::lanes::{Lane, Staging, each_value};
use crate::options::{NanOrder, SortKey, Stage};
use crate::source::Source;
use crate::workers::{Workers, pieces};

/// Rows looked at in one go.
const RUN: usize = 4096;

/// Strings looked at to choose an alphabet.
const TEXTS: usize = 4096;

/// A key column, found: its lanes are known.
pub(crate) struct KeyColumn<'a> {
    pub(crate) key: &'a SortKey,
    pub(crate) column: usize,
    pub(crate) values: usize,
    pub(crate) valid: Option<usize>,
}

/// Whether a column of this type can be a key as it is; others are encoded first.
pub(crate) fn is_plain(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => {
            !values.is_nested() && !matches!(values.as_ref(), DataType::Dictionary(_, _))
        }
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_) => true,
        other => native(other).is_some(),
    }
}

/// How the values of a type are read; `None` if they are not numbers of fixed width.
fn native(data_type: &DataType) -> Option<Native> {
    Some(match data_type {
        // As its lane has it: a byte of 0 or 1.
        DataType::Boolean | DataType::UInt8 => Native::U8,
        DataType::Int8 => Native::I8,
        DataType::Int16 => Native::I16,
        DataType::UInt16 => Native::U16,
        DataType::UInt32 => Native::U32,
        DataType::UInt64 => Native::U64,
        DataType::Int32
        | DataType::Date32
        | DataType::Time32(_)
        | DataType::Decimal32(..)
        | DataType::Interval(IntervalUnit::YearMonth) => Native::I32,
        DataType::Int64
        | DataType::Date64
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Decimal64(..) => Native::I64,
        DataType::Decimal128(..) => Native::I128,
        DataType::Float16 => Native::F16,
        DataType::Float32 => Native::F32,
        DataType::Float64 => Native::F64,
        _ => return None,
    })
}

impl Keys {
    /// The keys of a source whose lanes are these.
    ///
    /// # Errors
    /// Those of the workers.
    pub(crate) fn build(
        source: &Source,
        lanes: &[Lane],
        columns: &[KeyColumn<'_>],
        nan: NanOrder,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let natural: u32 = columns
            .iter()
            .map(|column| bits(source, column) + u32::from(column.valid.is_some()))
            .sum();
        let mut left = 64;
        let mut exact = true;
        let mut parts = Vec::with_capacity(columns.len());
        for column in columns {
            let mut part = Part::new(source, lanes, column, nan, left, natural > 64, workers)?;
            part.taken = part.bits.min(left);
            exact &= left > 0 && part.taken == part.bits && part.is_exact();
            // What comes after a key decides only where that is equal, which its number must tell.
            left = if part.is_exact() { left - part.taken } else { 0 };
            parts.push(part);
        }
        Ok(Self { parts, nan, exact })
    }
}

/// How many bits a column's values take at most, as far as its type tells.
fn bits(source: &Source, column: &KeyColumn<'_>) -> u32 {
    let data_type = source.schema.field(column.column).data_type();
    match native(data_type) {
        Some(native) => native.ones().count_ones(),
        None if matches!(data_type, DataType::Dictionary(..)) => 32,
        // As many as there are.
        None => 64,
    }
}

impl Part {
    fn new(
        source: &Source,
        lanes: &[Lane],
        column: &KeyColumn<'_>,
        nan: NanOrder,
        left: u32,
        scan: bool,
        workers: &Workers<'_>,
    ) -> Result<Self> {
        let data_type = source.schema.field(column.column).data_type();
        let nullable = column.valid.is_some();
        let SortKey { descending, nulls_first, .. } = *column.key;
        // The greatest number of a valid value.
        let (kind, most) = if let Some(native) = native(data_type) {
            let range = match (left, scan) {
                // None of it gets into the code.
                (0, _) => (0, 0),
                (_, true) => scan_range(source, lanes, column, native, nan, workers)?,
                (_, false) => (0, native.ones()),
            };
            natively(native, range, descending, nullable)
        } else if let DataType::Dictionary(_, _) = data_type {
            let Lane::Values { width, .. } = lanes[column.values] else {
                unreachable!("keys of a dictionary move as they lie")
            };
            let table = ranks(source, column)?;
            let most = table.len() as u64;
            (Kind::Ranks { width, table }, most)
        } else {
            let room = left.max(8) - u32::from(nullable);
            let coder = Coder::new(&texts(source, column.column), room);
            let most = coder.most();
            (Kind::Text(Box::new(coder)), most)
        };
        let ranked = matches!(kind, Kind::Ranks { .. });
        let null = if nulls_first { 0 } else { most.wrapping_add(1) };
        let greatest = if nullable || ranked { most + 1 } else { most };
        Ok(Self {
            values: column.values,
            valid: column.valid,
            kind,
            descending,
            nulls_first,
            bump: u64::from(nulls_first),
            null,
            bits: u64::BITS - greatest.leading_zeros(),
            taken: 0,
        })
    }

    pub(super) fn is_exact(&self) -> bool {
        match &self.kind {
            Kind::Native(_, shift) => shift.drop == 0,
            Kind::Ranks { .. } => true,
            Kind::Text(_) => false,
        }
    }
}

/// How values between these two ordered integers become numbers, and the greatest of those.
fn natively(
    native: Native,
    (least, most): (u128, u128),
    descending: bool,
    nullable: bool,
) -> (Kind, u64) {
    let flip = if descending { native.ones() } else { 0 };
    let base = if descending { most ^ flip } else { least };
    let span = most - least;
    let bits = u128::BITS - (span + u128::from(nullable)).leading_zeros();
    // One bit less, so that null has room too.
    let drop = if bits > 64 { bits - 63 } else { 0 };
    (Kind::Native(native, Shift { flip, base, drop }), (span >> drop) as u64)
}

/// The least and greatest ordered integers of a column.
fn scan_range(
    source: &Source,
    lanes: &[Lane],
    column: &KeyColumn<'_>,
    native: Native,
    nan: NanOrder,
    workers: &Workers<'_>,
) -> Result<(u128, u128)> {
    let pieces = pieces(source.num_rows(), workers.threads(), 1 << 16);
    let make = || (Staging::default(), Staging::default());
    let found = workers.collect(Stage::Count, pieces.len(), make, |at, (values, valid)| {
        let mut range: Option<(u128, u128)> = None;
        for run in source.runs(pieces[at].clone(), RUN) {
            let values = lanes[column.values].stage(source, run, values);
            let valid = column.valid.map(|lane| lanes[lane].stage(source, run, &mut *valid));
            range = wider(range, native.range(values, valid, nan));
        }
        Ok((range, 0))
    })?;
    Ok(found.into_iter().fold(None, wider).unwrap_or((0, 0)))
}

fn wider(a: Option<(u128, u128)>, b: Option<(u128, u128)>) -> Option<(u128, u128)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// The number of each entry of a column's dictionary, which all its batches share.
fn ranks(source: &Source, column: &KeyColumn<'_>) -> Result<Vec<u64>> {
    use arrow_array::cast::AsArray;
    let Some(array) = source.column(column.column).next() else { return Ok(Vec::new()) };
    let values: &ArrayRef = array.as_any_dictionary().values();
    let SortKey { descending, nulls_first, .. } = *column.key;
    let options = ArrowOptions { descending, nulls_first: false };
    let ranks = rank(values.as_ref(), Some(options)).map_err(sheaf_ipc::Error::from)?;
    let null = if nulls_first { 0 } else { ranks.len() as u64 + 1 };
    let nulls = values.logical_nulls();
    let number = |(at, rank): (usize, u32)| {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
        // Ranks begin with 1.
        if is_null { null } else { u64::from(rank) - u64::from(!nulls_first) }
    };
    Ok(ranks.into_iter().enumerate().map(number).collect())
}

/// Some of a column's strings.
fn texts(source: &Source, column: usize) -> Vec<&[u8]> {
    let rows = source.num_rows();
    let count = rows.min(TEXTS);
    let mut texts = Vec::with_capacity(count);
    for at in 0..count {
        let (batch, row) = source.locate(at * rows / count);
        let array = source.batches[batch].column(column);
        if array.is_valid(row) {
            each_value(array, row..row + 1, |_, data, range| texts.push(&data[range]));
        }
    }
    texts
}
