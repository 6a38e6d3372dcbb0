//! What goes wrong with bytes and batches, and what the caller can do about it.

use std::fmt::Display;

use arrow_schema::ArrowError;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a batch could not be encoded or bytes could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
}

/// What the caller should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The bytes are not a sound Arrow IPC file, or the batch is not what its schema says:
    /// they will never be accepted, whatever is tried.
    Invalid,
    /// Sound, but of a kind that is not handled (compressed, unaligned, big-endian, a type
    /// without a place here): convert it first.
    Unsupported,
    /// Beyond what the format or the types can hold: split it, or use a wider type.
    TooLarge,
}

impl Error {
    /// What the caller should do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: Kind::Invalid, message: message.into() }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unsupported, message: message.into() }
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self { kind: Kind::TooLarge, message: message.into() }
    }

    /// Says where it happened: `batch 3: column trades: …`.
    pub(crate) fn at(mut self, place: impl Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        let kind = match &error {
            ArrowError::NotYetImplemented(_) => Kind::Unsupported,
            ArrowError::DictionaryKeyOverflowError
            | ArrowError::RunEndIndexOverflowError
            | ArrowError::OffsetOverflowError(_) => Kind::TooLarge,
            _ => Kind::Invalid,
        };
        Self { kind, message: error.to_string().to_lowercase_first() }
    }
}

/// Arrow's messages begin with a capital letter; ours do not.
trait LowercaseFirst {
    fn to_lowercase_first(self) -> String;
}

impl LowercaseFirst for String {
    fn to_lowercase_first(mut self) -> String {
        if let Some(first) = self.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self
    }
}
