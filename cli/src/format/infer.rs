//! The schema of a text, inferred from its first rows.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow_schema::{DataType, Schema, SchemaRef};
use regex::Regex;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Format, ReadOptions};
use crate::error::{Error, Result};

/// How a CSV file is written.
pub(super) fn csv_format(options: &ReadOptions) -> Result<arrow_csv::reader::Format> {
    let format = arrow_csv::reader::Format::default()
        .with_header(options.header)
        .with_delimiter(options.delimiter.unwrap_or(b','));
    let Some(null) = &options.null else { return Ok(format) };
    // Nothing at all stays null, as it is without the option.
    let pattern = Regex::new(&format!("^({})?$", regex::escape(null)));
    Ok(format.with_null_regex(pattern.map_err(|error| Error::usage(error.to_string()))?))
}

/// The schema of a text, from its first rows.
pub(super) fn infer(format: Format, input: impl Read, options: &ReadOptions) -> Result<SchemaRef> {
    let rows = options.infer_rows;
    let (schema, _) = match format {
        Format::Csv => csv_format(options)?.infer_schema(BufReader::new(input), rows)?,
        _ => {
            let mut input = BufReader::with_capacity(1 << 20, input);
            let first = first_line_keys(input.fill_buf()?);
            let (schema, rows) = arrow_json::reader::infer_json_schema(input, rows)?;
            (in_order(&schema, &first), rows)
        }
    };
    if schema.fields().is_empty() {
        return Err(Error::failed(match format {
            Format::Csv => "is empty: a CSV file begins with a line of column names",
            _ => "is empty: JSON lines need a row to tell the columns",
        }));
    }
    // A column that was all null so far: text takes whatever comes; the type null would drop it.
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Null => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => field.clone(),
    });
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// The keys of the first line's object, in its order; none if it is no object.
fn first_line_keys(start: &[u8]) -> Vec<String> {
    let mut keys = Keys::default();
    let mut lines = start.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if let Some(line) = lines.next() {
        // A line that is cut short still tells the keys before the cut.
        let _ = (&mut keys).deserialize(&mut serde_json::Deserializer::from_slice(line));
    }
    keys.0
}

#[derive(Default)]
struct Keys(Vec<String>);

impl<'de> DeserializeSeed<'de> for &mut Keys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Keys {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            self.0.push(key);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// The schema with its columns as the first line has them, which inference does not keep. Those
/// that come later follow by name.
fn in_order(schema: &Schema, first: &[String]) -> Schema {
    let place = |name: &str| first.iter().position(|key| key == name).unwrap_or(first.len());
    let mut fields = schema.fields().to_vec();
    fields.sort_by(|a, b| (place(a.name()), a.name()).cmp(&(place(b.name()), b.name())));
    Schema::new(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_in_their_order_even_of_a_line_that_is_cut_short() {
        assert_eq!(first_line_keys(b"\n{\"b\": {\"c\": 1}, \"a\": [2]}\n{\"z\": 1}"), ["b", "a"]);
        assert_eq!(first_line_keys(b"{\"b\": 1, \"a\": \"cut sho"), ["b", "a"]);
        assert!(first_line_keys(b"[1, 2]").is_empty());
        assert!(first_line_keys(b"").is_empty());
    }
}
