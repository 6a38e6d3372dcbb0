//! Whether a schema's flatbuffer can be made into types, before arrow-rs tries.
//!
//! arrow-rs panics where a schema lacks what its type needs (a list without a child, an
//! integer of 7 bits). Every such place is looked at here first.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_ipc::{
    DateUnit, DictionaryKind, Endianness, Field, Footer, Int, IntervalUnit, Message, Precision,
    Schema, TimeUnit, Type, UnionMode,
};
use flatbuffers::VerifierOptions;

use crate::limits::{MAX_DEPTH, MAX_FIELDS};
use crate::{Error, Metadata, Result};

/// Runs what may panic on malformed input, and makes it an error.
pub(crate) fn guard<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nothing that was being built when it panicked is looked at again.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(Error::invalid(format!("not valid Arrow data ({text})")))
    })
}

/// Reads the footer.
pub(crate) fn footer(bytes: &[u8]) -> Result<Footer<'_>> {
    arrow_ipc::root_as_footer_with_opts(&options(bytes), bytes)
        .map_err(|error| Error::invalid(format!("the footer is not a sound flatbuffer: {error}")))
}

/// Reads a message's metadata.
pub(crate) fn message(bytes: &[u8]) -> Result<Message<'_>> {
    arrow_ipc::root_as_message_with_opts(&options(bytes), bytes)
        .map_err(|error| Error::invalid(format!("the message is not a sound flatbuffer: {error}")))
}

/// Flatbuffers may refer to the same bytes many times over: what they unfold to is bounded by
/// what they take.
fn options(bytes: &[u8]) -> VerifierOptions {
    VerifierOptions {
        max_depth: MAX_DEPTH + 16,
        max_tables: 64 + bytes.len() / 8,
        max_apparent_size: 4096 + bytes.len().saturating_mul(8),
        ignore_missing_null_terminator: false,
    }
}

/// The pairs of a flatbuffer's metadata.
pub(crate) fn metadata<'a>(
    pairs: Option<impl IntoIterator<Item = arrow_ipc::KeyValue<'a>>>,
) -> Metadata {
    pairs
        .into_iter()
        .flatten()
        .map(|pair| {
            (pair.key().unwrap_or_default().into(), pair.value().unwrap_or_default().into())
        })
        .collect()
}

/// Makes a schema of its flatbuffer.
pub(crate) fn schema(schema: Schema<'_>) -> Result<arrow_schema::Schema> {
    if schema.endianness() != Endianness::Little {
        return Err(Error::unsupported(
            "the file is big-endian, this machine little-endian: rewrite it on one",
        ));
    }
    let Some(fields) = schema.fields() else {
        return Err(Error::invalid("the schema has no list of fields"));
    };
    let mut count = 0;
    for field in fields {
        check_field(field, 1, &mut count)
            .map_err(|error| error.at(format!("column {}", field.name().unwrap_or_default())))?;
    }
    guard(|| Ok(arrow_ipc::convert::fb_to_schema(schema)))
}

fn check_field(field: Field<'_>, depth: usize, count: &mut usize) -> Result<()> {
    *count += 1;
    if depth > MAX_DEPTH || *count > MAX_FIELDS {
        return Err(Error::unsupported(format!(
            "the schema has more than {MAX_FIELDS} fields or {MAX_DEPTH} levels: flatten it"
        )));
    }
    if let Some(dictionary) = field.dictionary() {
        let sound = dictionary.indexType().is_some_and(|keys| is_int(keys, &[8, 16, 32, 64]));
        if !sound || dictionary.dictionaryKind() != DictionaryKind::DenseArray {
            return Err(Error::unsupported("dictionary keys are not integers of 8 to 64 bits"));
        }
    }

    check_type(field)?;
    for child in field.children().into_iter().flatten() {
        check_field(child, depth + 1, count)?;
    }
    Ok(())
}

/// Whether the type has all that makes it one: its table, sensible values, its children.
fn check_type(field: Field<'_>) -> Result<()> {
    let children = field.children().map_or(0, |children| children.len());
    let sound = match field.type_type() {
        Type::Null
        | Type::Bool
        | Type::Binary
        | Type::LargeBinary
        | Type::BinaryView
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View => true,
        Type::Struct_ => true,
        Type::Int => field.type_as_int().is_some_and(|int| is_int(int, &[8, 16, 32, 64])),
        Type::FloatingPoint => field.type_as_floating_point().is_some_and(|float| {
            [Precision::HALF, Precision::SINGLE, Precision::DOUBLE].contains(&float.precision())
        }),
        Type::FixedSizeBinary => {
            field.type_as_fixed_size_binary().is_some_and(|binary| binary.byteWidth() >= 0)
        }
        Type::Date => field
            .type_as_date()
            .is_some_and(|date| [DateUnit::DAY, DateUnit::MILLISECOND].contains(&date.unit())),
        Type::Time => field.type_as_time().is_some_and(|time| match time.unit() {
            TimeUnit::SECOND | TimeUnit::MILLISECOND => time.bitWidth() == 32,
            TimeUnit::MICROSECOND | TimeUnit::NANOSECOND => time.bitWidth() == 64,
            _ => false,
        }),
        Type::Timestamp => field.type_as_timestamp().is_some_and(|time| is_unit(time.unit())),
        Type::Duration => field.type_as_duration().is_some_and(|time| is_unit(time.unit())),
        Type::Interval => field.type_as_interval().is_some_and(|interval| {
            [IntervalUnit::YEAR_MONTH, IntervalUnit::DAY_TIME, IntervalUnit::MONTH_DAY_NANO]
                .contains(&interval.unit())
        }),
        Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
            let most = match decimal.bitWidth() {
                32 => 9,
                64 => 18,
                128 => 38,
                256 => 76,
                _ => 0,
            };
            (1..=most).contains(&decimal.precision()) && i8::try_from(decimal.scale()).is_ok()
        }),
        Type::List | Type::LargeList | Type::ListView | Type::LargeListView => children == 1,
        Type::FixedSizeList => {
            children == 1
                && field.type_as_fixed_size_list().is_some_and(|list| list.listSize() >= 0)
        }
        Type::Map => children == 1 && field.type_as_map().is_some() && has_entries(field),
        Type::RunEndEncoded => children == 2 && has_run_ends(field),
        Type::Union => has_type_ids(field, children),
        other => {
            let name = other.variant_name().unwrap_or("unknown");
            return Err(Error::unsupported(format!("type {} ({name}) is not known", other.0)));
        }
    };
    if sound {
        Ok(())
    } else {
        let name = field.type_type().variant_name().unwrap_or("unknown");
        Err(Error::invalid(format!("type {name} lacks something, or has it wrong")))
    }
}

fn is_int(int: Int<'_>, widths: &[i32]) -> bool {
    widths.contains(&int.bitWidth())
}

fn is_unit(unit: TimeUnit) -> bool {
    [TimeUnit::SECOND, TimeUnit::MILLISECOND, TimeUnit::MICROSECOND, TimeUnit::NANOSECOND]
        .contains(&unit)
}

/// A map's child is a struct of a key, which is never null, and a value.
fn has_entries(field: Field<'_>) -> bool {
    let Some(entries) = field.children().map(|children| children.get(0)) else { return false };
    let Some(pair) = entries.children() else { return false };
    entries.type_type() == Type::Struct_
        && entries.dictionary().is_none()
        && !entries.nullable()
        && pair.len() == 2
        && !pair.get(0).nullable()
}

/// Run ends are signed integers of 16 to 64 bits, and never null.
fn has_run_ends(field: Field<'_>) -> bool {
    let Some(ends) = field.children().map(|children| children.get(0)) else { return false };
    let int = ends.type_type() == Type::Int && ends.dictionary().is_none() && !ends.nullable();
    int && ends.type_as_int().is_some_and(|int| int.is_signed() && is_int(int, &[16, 32, 64]))
}

/// A union's type ids are distinct, from 0 to 127, one per child.
fn has_type_ids(field: Field<'_>, children: usize) -> bool {
    let Some(union) = field.type_as_union() else { return false };
    if ![UnionMode::Dense, UnionMode::Sparse].contains(&union.mode()) {
        return false;
    }
    let Some(ids) = union.typeIds() else { return children <= 128 };
    let mut seen = [false; 128];
    ids.len() == children
        && ids.iter().all(|id| {
            usize::try_from(id)
                .ok()
                .and_then(|id| seen.get_mut(id))
                .is_some_and(|seen| !std::mem::replace(seen, true))
        })
}
