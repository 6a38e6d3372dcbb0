//! Types as SQL's tools know them: `GetXdbcTypeInfo`, and what is said beside each column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType as X};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use tonic::Status;

use super::metadata::unbuilt;

/// A type that a statement may name.
struct Type {
    name: &'static str,
    kind: X,
    /// Digits, characters or bits, at the most.
    size: i32,
    /// What stands around a literal.
    quotes: Option<(&'static str, &'static str)>,
    /// What `create table` takes in parentheses.
    parameters: &'static [&'static str],
    unsigned: Option<bool>,
    scale: Option<(i32, i32)>,
}

impl Type {
    const fn number(name: &'static str, kind: X, size: i32, unsigned: bool) -> Self {
        let (quotes, parameters) = (None, &[]);
        Self { name, kind, size, quotes, parameters, unsigned: Some(unsigned), scale: None }
    }

    const fn quoted(name: &'static str, kind: X, size: i32, before: &'static str) -> Self {
        let quotes = Some((before, "'"));
        Self { name, kind, size, quotes, parameters: &[], unsigned: None, scale: None }
    }
}

const LONG: i32 = i32::MAX;

/// Every type, in the order of their numbers, as the specification wants it.
const TYPES: [Type; 21] = [
    Type::number("BOOLEAN", X::XdbcBit, 1, false),
    Type::number("TINYINT", X::XdbcTinyint, 3, false),
    Type::number("TINYINT UNSIGNED", X::XdbcTinyint, 3, true),
    Type::number("BIGINT", X::XdbcBigint, 19, false),
    Type::number("BIGINT UNSIGNED", X::XdbcBigint, 20, true),
    Type::quoted("BYTEA", X::XdbcVarbinary, LONG, "x'"),
    Type {
        name: "DECIMAL",
        kind: X::XdbcDecimal,
        size: 76,
        quotes: None,
        parameters: &["precision", "scale"],
        unsigned: Some(false),
        scale: Some((0, 76)),
    },
    Type {
        name: "NUMERIC",
        kind: X::XdbcNumeric,
        size: 76,
        quotes: None,
        parameters: &["precision", "scale"],
        unsigned: Some(false),
        scale: Some((0, 76)),
    },
    Type::number("INTEGER", X::XdbcInteger, 10, false),
    Type::number("INTEGER UNSIGNED", X::XdbcInteger, 10, true),
    Type::number("SMALLINT", X::XdbcSmallint, 5, false),
    Type::number("SMALLINT UNSIGNED", X::XdbcSmallint, 5, true),
    Type::number("FLOAT", X::XdbcFloat, 7, false),
    Type::number("REAL", X::XdbcReal, 7, false),
    Type::number("DOUBLE", X::XdbcDouble, 15, false),
    Type::quoted("VARCHAR", X::XdbcVarchar, LONG, "'"),
    Type::quoted("CHAR", X::XdbcChar, LONG, "'"),
    Type::quoted("TEXT", X::XdbcLongvarchar, LONG, "'"),
    Type::quoted("DATE", X::XdbcDate, 10, "date '"),
    Type::quoted("TIME", X::XdbcTime, 18, "time '"),
    Type::quoted("TIMESTAMP", X::XdbcTimestamp, 29, "timestamp '"),
];

/// Every type, for `GetXdbcTypeInfo`.
pub(super) fn all() -> Result<XdbcTypeInfoData, Status> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for Type { name, kind, size, quotes, parameters, unsigned, scale } in &TYPES {
        let is_text = quotes.is_some();
        builder.append(XdbcTypeInfo {
            type_name: (*name).to_owned(),
            data_type: *kind,
            column_size: Some(*size),
            literal_prefix: quotes.map(|(before, _)| before.to_owned()),
            literal_suffix: quotes.map(|(_, after)| after.to_owned()),
            create_params: (!parameters.is_empty())
                .then(|| parameters.iter().map(|text| (*text).to_owned()).collect()),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: is_text,
            searchable: if is_text { Searchable::Full } else { Searchable::Basic },
            unsigned_attribute: *unsigned,
            fixed_prec_scale: false,
            auto_increment: Some(false),
            local_type_name: Some((*name).to_owned()),
            minimum_scale: scale.map(|(least, _)| least),
            maximum_scale: scale.map(|(_, most)| most),
            sql_data_type: *kind,
            datetime_subcode: None,
            num_prec_radix: unsigned.map(|_| 10),
            interval_precision: None,
        });
    }
    builder.build().map_err(unbuilt)
}

/// The schema of a table with what drivers ask of each column: its type's name, digits, scale.
pub(super) fn described(schema: &SchemaRef) -> Schema {
    let fields = schema.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        metadata.extend(facts_of(field));
        Arc::new(field.as_ref().clone().with_metadata(metadata))
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
}

fn facts_of(field: &Field) -> HashMap<String, String> {
    let (name, precision, scale) = named(field.data_type());
    let facts = [
        ("TYPE_NAME", Some(name)),
        ("PRECISION", precision.map(|precision| precision.to_string())),
        ("SCALE", scale.map(|scale| scale.to_string())),
        ("IS_AUTO_INCREMENT", Some("0".into())),
        ("IS_SEARCHABLE", Some("1".into())),
    ];
    let told = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
    told.map(|(key, value)| (format!("ARROW:FLIGHT:SQL:{key}"), value)).collect()
}

/// What SQL calls a type; how many digits or characters it has, and how many behind the point.
fn named(data_type: &DataType) -> (String, Option<i32>, Option<i32>) {
    use DataType as T;
    let plain = |name: &str, precision: i32| (name.to_owned(), Some(precision), None);
    match data_type {
        T::Boolean => plain("BOOLEAN", 1),
        T::Int8 => plain("TINYINT", 3),
        T::UInt8 => plain("TINYINT UNSIGNED", 3),
        T::Int16 => plain("SMALLINT", 5),
        T::UInt16 => plain("SMALLINT UNSIGNED", 5),
        T::Int32 => plain("INTEGER", 10),
        T::UInt32 => plain("INTEGER UNSIGNED", 10),
        T::Int64 => plain("BIGINT", 19),
        T::UInt64 => plain("BIGINT UNSIGNED", 20),
        T::Float16 | T::Float32 => plain("FLOAT", 7),
        T::Float64 => plain("DOUBLE", 15),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            ("DECIMAL".into(), Some(i32::from(*p)), Some(i32::from(*s)))
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => ("VARCHAR".into(), None, None),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => {
            ("BYTEA".into(), None, None)
        }
        T::Date32 | T::Date64 => plain("DATE", 10),
        T::Time32(_) | T::Time64(_) => plain("TIME", 18),
        T::Timestamp(_, _) => plain("TIMESTAMP", 29),
        other => (other.to_string(), None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_order_and_told_by_their_number() {
        let all = all().unwrap();

        assert_eq!(all.record_batch(None).unwrap().num_rows(), TYPES.len());
        let bigint = all.record_batch(X::XdbcBigint as i32).unwrap();
        assert_eq!(bigint.num_rows(), 2);
    }

    #[test]
    fn columns_tell_their_digits() {
        let field = |data_type| Field::new("c", data_type, true);
        let fields = vec![field(DataType::Decimal128(12, 2)), field(DataType::Utf8)];

        let told = described(&Arc::new(Schema::new(fields)));

        assert_eq!(told.field(0).metadata()["ARROW:FLIGHT:SQL:PRECISION"], "12");
        assert_eq!(told.field(0).metadata()["ARROW:FLIGHT:SQL:SCALE"], "2");
        assert_eq!(told.field(1).metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"], "VARCHAR");
    }
}
