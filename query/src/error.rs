//! DataFusion's errors as the store's, and back.

use arrow_schema::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::object_store;
use datafusion::sql::sqlparser::parser::ParserError;
use sheaf_store::{Error, Kind};

/// A store's error inside DataFusion's: [`of`] finds it again.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The store's error that this one stands for.
pub(crate) fn of(error: &DataFusionError) -> Error {
    let root = error.find_root();
    if let Some(own) = own(root) {
        return own.clone();
    }
    let kind = match root {
        DataFusionError::ResourcesExhausted(_) => Kind::Full,
        DataFusionError::Internal(message) if is_of_types(message) => Kind::Invalid,
        DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) => Kind::Internal,
        DataFusionError::ObjectStore(error) => match **error {
            object_store::Error::PermissionDenied { .. } => Kind::Denied,
            object_store::Error::NotFound { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        },
        DataFusionError::SchemaError(error, _) => match **error {
            SchemaError::FieldNotFound { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        },
        _ => Kind::Invalid,
    };
    Error::new(kind, told(root))
}

/// The message without the prefix that says which enum it comes from.
fn told(root: &DataFusionError) -> String {
    match root {
        DataFusionError::ResourcesExhausted(message) => format!(
            "the statement needs more memory than it may take: {message}; raise --sql-memory, or \
             sheaf.memory_bytes up to it"
        ),
        DataFusionError::Internal(message) => {
            let end = message.find("\nThis issue was likely").unwrap_or(message.len());
            message[..end].to_owned()
        }
        DataFusionError::SQL(error, _) => match &**error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => {
                format!("the statement can't be read: {text}")
            }
            ParserError::RecursionLimitExceeded => {
                "the statement's parts are nested too deep: put them into tables".into()
            }
        },
        DataFusionError::ArrowError(error, _) => match &**error {
            ArrowError::DivideByZero => "division by zero".into(),
            ArrowError::InvalidArgumentError(message)
            | ArrowError::ComputeError(message)
            | ArrowError::CastError(message) => message.clone(),
            error => error.to_string(),
        },
        root => root.message().into_owned(),
    }
}

/// Whether a failure that DataFusion takes for its own is a statement's, which asks a function for
/// a type that it does not know.
fn is_of_types(message: &str) -> bool {
    ["not implemented for type", "not support", "not implemented for"]
        .iter()
        .any(|part| message.contains(part))
}

/// The store's own error, if that is what it comes from.
fn own(root: &DataFusionError) -> Option<&Error> {
    match root {
        DataFusionError::External(error) => error.downcast_ref(),
        DataFusionError::ArrowError(error, _) => match &**error {
            ArrowError::ExternalError(error) => error.downcast_ref(),
            _ => None,
        },
        _ => None,
    }
}

/// Why there is no such table, and which there are that one might have meant.
pub(crate) fn no_table(name: &str) -> Error {
    let message = format!(
        "there is no table {name}: `show tables` lists them; a name in capitals, or with other \
         characters than letters, digits and _, goes into double quotes"
    );
    Error::new(Kind::NotFound, message)
}
