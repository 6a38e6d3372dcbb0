//! Arrow types in few letters, as they stand under a column's name.

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};

/// The type's name: `int64`, `timestamp[ms, UTC]`, `list<utf8>`.
pub(crate) fn type_name(data_type: &DataType) -> String {
    use DataType as T;
    match data_type {
        T::Timestamp(unit, None) => format!("timestamp[{}]", short(unit)),
        T::Timestamp(unit, Some(zone)) => format!("timestamp[{}, {zone}]", short(unit)),
        T::Time32(unit) | T::Time64(unit) => format!("time[{}]", short(unit)),
        T::Duration(unit) => format!("duration[{}]", short(unit)),
        T::Interval(IntervalUnit::YearMonth) => "interval[months]".into(),
        T::Interval(IntervalUnit::DayTime) => "interval[days, ms]".into(),
        T::Interval(IntervalUnit::MonthDayNano) => "interval[months, days, ns]".into(),
        T::FixedSizeBinary(size) => format!("binary[{size}]"),
        T::List(item) => format!("list<{}>", of(item)),
        T::LargeList(item) => format!("large_list<{}>", of(item)),
        T::ListView(item) => format!("list_view<{}>", of(item)),
        T::LargeListView(item) => format!("large_list_view<{}>", of(item)),
        T::FixedSizeList(item, size) => format!("list<{}>[{size}]", of(item)),
        T::Struct(fields) => format!("struct<{}>", named(fields.iter().map(AsRef::as_ref))),
        T::Union(fields, _) => format!("union<{}>", named(fields.iter().map(|(_, f)| f.as_ref()))),
        T::Dictionary(key, value) => {
            format!("dictionary<{}, {}>", type_name(key), type_name(value))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                format!("map<{}, {}>", of(&fields[0]), of(&fields[1]))
            }
            other => format!("map<{}>", type_name(other)),
        },
        T::RunEndEncoded(_, values) => format!("run_end_encoded<{}>", of(values)),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            format!("decimal[{p}, {s}]")
        }
        T::Utf8View => "utf8_view".into(),
        T::LargeUtf8 => "large_utf8".into(),
        T::BinaryView => "binary_view".into(),
        T::LargeBinary => "large_binary".into(),
        plain => plain.to_string().to_lowercase(),
    }
}

fn of(field: &Field) -> String {
    type_name(field.data_type())
}

fn named<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let fields =
        fields.map(|field| format!("{}: {}", crate::term::printable(field.name()), of(field)));
    fields.collect::<Vec<_>>().join(", ")
}

fn short(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn types_are_named_in_few_letters() {
        let text = Arc::new(Field::new("item", DataType::Utf8, true));

        assert_eq!(type_name(&DataType::Int64), "int64");
        assert_eq!(type_name(&DataType::Utf8), "utf8");
        assert_eq!(type_name(&DataType::Boolean), "boolean");
        assert_eq!(type_name(&DataType::Date32), "date32");
        assert_eq!(type_name(&DataType::List(text.clone())), "list<utf8>");
        assert_eq!(type_name(&DataType::Struct(vec![text].into())), "struct<item: utf8>");
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        assert_eq!(type_name(&zoned), "timestamp[ms, UTC]");
        let words = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        assert_eq!(type_name(&words), "dictionary<int32, utf8>");
    }
}
