//! Column types as words, the way pyarrow spells them.

use std::sync::Arc;

use arrow_schema::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

/// Types whose name says everything; the first name of a type is how it is printed.
const PLAIN: &[(&str, DataType)] = &[
    ("null", DataType::Null),
    ("bool", DataType::Boolean),
    ("boolean", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("halffloat", DataType::Float16),
    ("float32", DataType::Float32),
    ("float", DataType::Float32),
    ("float64", DataType::Float64),
    ("double", DataType::Float64),
    ("date32", DataType::Date32),
    ("date32[day]", DataType::Date32),
    ("date64", DataType::Date64),
    ("date64[ms]", DataType::Date64),
    ("time32[s]", DataType::Time32(Second)),
    ("time32[ms]", DataType::Time32(Millisecond)),
    ("time64[us]", DataType::Time64(Microsecond)),
    ("time64[ns]", DataType::Time64(Nanosecond)),
    ("month_interval", DataType::Interval(IntervalUnit::YearMonth)),
    ("day_time_interval", DataType::Interval(IntervalUnit::DayTime)),
    ("month_day_nano_interval", DataType::Interval(IntervalUnit::MonthDayNano)),
    ("string", DataType::Utf8),
    ("str", DataType::Utf8),
    ("utf8", DataType::Utf8),
    ("large_string", DataType::LargeUtf8),
    ("large_utf8", DataType::LargeUtf8),
    ("string_view", DataType::Utf8View),
    ("binary", DataType::Binary),
    ("large_binary", DataType::LargeBinary),
    ("binary_view", DataType::BinaryView),
];

const UNITS: [(&str, TimeUnit); 4] =
    [("s", Second), ("ms", Millisecond), ("us", Microsecond), ("ns", Nanosecond)];

/// The type that a word names; `None` when no type has that name.
pub(crate) fn parse(word: &str) -> Option<DataType> {
    let word = word.trim();
    if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == word) {
        return Some(plain.clone());
    }
    let (name, rest) = word.split_once(['[', '('])?;
    let inner = rest.strip_suffix([']', ')'])?;
    let mut parts = inner.split(',').map(str::trim);
    let first = parts.next()?;
    let second = parts.next();
    if parts.next().is_some() {
        return None;
    }
    match (name, second) {
        ("timestamp" | "datetime64", None) => Some(DataType::Timestamp(unit(first)?, None)),
        ("timestamp", Some(zone)) => {
            let zone = zone.strip_prefix("tz=")?;
            Some(DataType::Timestamp(unit(first)?, Some(zone.into())))
        }
        ("duration" | "timedelta64", None) => Some(DataType::Duration(unit(first)?)),
        ("fixed_size_binary", None) => Some(DataType::FixedSizeBinary(first.parse().ok()?)),
        (_, Some(scale)) => decimal(name, first.parse().ok()?, scale.parse().ok()?),
        _ => None,
    }
}

fn unit(word: &str) -> Option<TimeUnit> {
    UNITS.iter().find(|(name, _)| *name == word).map(|(_, unit)| *unit)
}

fn unit_name(unit: TimeUnit) -> &'static str {
    UNITS.iter().find(|(_, known)| *known == unit).map_or("ns", |(name, _)| name)
}

fn decimal(name: &str, precision: u8, scale: i8) -> Option<DataType> {
    match name {
        "decimal32" => Some(DataType::Decimal32(precision, scale)),
        "decimal64" => Some(DataType::Decimal64(precision, scale)),
        "decimal128" => Some(DataType::Decimal128(precision, scale)),
        "decimal256" => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

/// The word for a type.
pub(crate) fn name(data_type: &DataType) -> String {
    if let Some((name, _)) = PLAIN.iter().find(|(_, plain)| plain == data_type) {
        return (*name).to_owned();
    }
    match data_type {
        DataType::Timestamp(unit, None) => format!("timestamp[{}]", unit_name(*unit)),
        DataType::Timestamp(unit, Some(zone)) => {
            format!("timestamp[{}, tz={zone}]", unit_name(*unit))
        }
        DataType::Duration(unit) => format!("duration[{}]", unit_name(*unit)),
        DataType::FixedSizeBinary(width) => format!("fixed_size_binary[{width}]"),
        DataType::Decimal32(p, s) => format!("decimal32({p}, {s})"),
        DataType::Decimal64(p, s) => format!("decimal64({p}, {s})"),
        DataType::Decimal128(p, s) => format!("decimal128({p}, {s})"),
        DataType::Decimal256(p, s) => format!("decimal256({p}, {s})"),
        DataType::List(item) => format!("list<{}>", field(item)),
        DataType::LargeList(item) => format!("large_list<{}>", field(item)),
        DataType::FixedSizeList(item, size) => {
            format!("fixed_size_list<{}>[{size}]", field(item))
        }
        DataType::Struct(fields) => format!("struct<{}>", joined(fields)),
        DataType::Dictionary(keys, values) => {
            format!("dictionary<values={}, indices={}>", name(values), name(keys))
        }
        other => other.to_string().to_lowercase(),
    }
}

fn joined(fields: &arrow_schema::Fields) -> String {
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

fn field(field: &Arc<Field>) -> String {
    format!("{}: {}", field.name(), name(field.data_type()))
}

/// The numpy type of a column's values in place, and how many make up one row where it is not one.
/// `None` when they have no fixed width.
pub(crate) fn numpy(data_type: &DataType) -> Option<(String, Option<usize>)> {
    let word = match data_type {
        DataType::Boolean => "uint8".to_owned(),
        DataType::Date32 | DataType::Time32(_) => "int32".to_owned(),
        DataType::Interval(IntervalUnit::YearMonth) => "int32".to_owned(),
        DataType::Date64 => "datetime64[ms]".to_owned(),
        DataType::Time64(_) => "int64".to_owned(),
        DataType::Timestamp(unit, _) => format!("datetime64[{}]", unit_name(*unit)),
        DataType::Duration(unit) => format!("timedelta64[{}]", unit_name(*unit)),
        DataType::FixedSizeBinary(width) => format!("V{width}"),
        DataType::FixedSizeList(item, size) if !matches!(item.data_type(), DataType::Boolean) => {
            let (word, inner) = numpy(item.data_type())?;
            return Some((word, Some(inner.unwrap_or(1) * usize::try_from(*size).ok()?)));
        }
        other if other.is_numeric() && other.is_primitive() => match other {
            DataType::Decimal32(..) => "int32".to_owned(),
            DataType::Decimal64(..) => "int64".to_owned(),
            DataType::Decimal128(..) => "V16".to_owned(),
            DataType::Decimal256(..) => "V32".to_owned(),
            plain => name(plain),
        },
        other => format!("V{}", other.primitive_width()?),
    };
    Some((word, None))
}
