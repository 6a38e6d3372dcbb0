//! Messages of Flight SQL and of Flight's sessions that arrow-flight does not have yet, by hand.

use std::collections::HashMap;

use arrow_flight::sql::ActionCreatePreparedStatementResult;
use arrow_schema::Schema;
use bytes::Bytes;
use prost::Message;

/// Field 4 of an `ActionCreatePreparedStatementResult`, a bool: whether the statement changes
/// something. JDBC takes an `insert` for a query without it.
const IS_UPDATE: u8 = 4 << 3;

/// A prepared statement as the action's result has it, in an `Any`.
pub(super) fn prepared(result: &ActionCreatePreparedStatementResult, is_update: bool) -> Bytes {
    use arrow_flight::sql::ProstMessageExt;
    let mut any = result.as_any();
    let mut value = any.value.to_vec();
    value.extend_from_slice(&[IS_UPDATE, u8::from(is_update)]);
    any.value = value.into();
    any.encode_to_vec().into()
}

/// A schema as Flight carries one: the message behind a marker and its length.
pub(super) fn schema(schema: &Schema) -> Bytes {
    crate::service::framed(&crate::get::plain_schema_message(schema))
}

/// The value of a session's option.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<Value>,
}

/// What an option's value may be.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

/// A list of texts.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

impl OptionValue {
    /// The value as `set` has it; none sets the option back.
    pub(super) fn text(&self) -> Option<String> {
        Some(match self.value.as_ref()? {
            Value::Text(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Texts(texts) => texts.values.join(","),
        })
    }

    pub(super) fn of(text: String) -> Self {
        Self { value: Some(Value::Text(text)) }
    }
}

/// Sets options of a session.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetSessionOptions {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// Which options could not be set.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, SetError>,
}

/// Why an option could not be set.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetError {
    /// 1 for an unknown name, 2 for an unfit value, 3 for any other reason.
    #[prost(int32, tag = "1")]
    pub(crate) value: i32,
}

/// The options of a session.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionOptions {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// What became of a session that was closed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CloseSessionResult {
    /// 1 for closed.
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_from_the_wire() {
        let option = |value| OptionValue { value: Some(value) };
        let options: HashMap<_, _> = [
            ("a".to_owned(), option(Value::Text("x".into()))),
            ("b".to_owned(), option(Value::Int(-7))),
            ("c".to_owned(), option(Value::Bool(true))),
            ("d".to_owned(), OptionValue { value: None }),
        ]
        .into();
        let bytes = SetSessionOptions { options: options.clone() }.encode_to_vec();

        let told = SetSessionOptions::decode(&bytes[..]).unwrap().options;

        assert_eq!(told, options);
        let text = |name: &str| told[name].text();
        assert_eq!(text("b").as_deref(), Some("-7"));
        assert_eq!(text("d"), None);
    }
}
