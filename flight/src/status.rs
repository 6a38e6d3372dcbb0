//! Kinds of the store's errors and codes of gRPC: the same thing, in both directions.

use sheaf_store::{Error, Kind};
use tonic::{Code, Status};

/// The header in which an error's kind travels, where the code alone says too little.
pub(crate) const KIND_HEADER: &str = "sheaf-error-kind";

/// The gRPC code of a kind of error.
#[must_use]
pub fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::NotFound => Code::NotFound,
        Kind::Exists => Code::AlreadyExists,
        Kind::Full => Code::ResourceExhausted,
        Kind::Timeout => Code::DeadlineExceeded,
        Kind::WriterGone => Code::Aborted,
        Kind::Invalid => Code::InvalidArgument,
        Kind::Denied => Code::PermissionDenied,
        Kind::Unavailable => Code::Unavailable,
        Kind::Interrupted => Code::Cancelled,
        _ => Code::Internal,
    }
}

/// The kind of error that a gRPC code stands for.
#[must_use]
pub fn kind_of(code: Code) -> Kind {
    match code {
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::Exists,
        Code::ResourceExhausted => Kind::Full,
        Code::DeadlineExceeded => Kind::Timeout,
        Code::Aborted => Kind::WriterGone,
        Code::InvalidArgument | Code::OutOfRange | Code::FailedPrecondition => Kind::Invalid,
        Code::PermissionDenied | Code::Unauthenticated => Kind::Denied,
        Code::Unavailable => Kind::Unavailable,
        Code::Cancelled => Kind::Interrupted,
        _ => Kind::Internal,
    }
}

/// The status that a caller gets for the store's error.
pub(crate) fn of(error: &Error) -> Status {
    let mut status = Status::new(code_of(error.kind()), error.message());
    if let Ok(kind) = error.kind().to_string().parse() {
        status.metadata_mut().insert(KIND_HEADER, kind);
    }
    status
}

/// The store's error that a status tells of.
pub(crate) fn to_error(status: &Status) -> Error {
    let said = status.metadata().get(KIND_HEADER).and_then(|kind| kind.to_str().ok());
    let known = Kind::ALL.iter().find(|(.., name)| said == Some(*name)).map(|(kind, ..)| *kind);
    let kind = known.unwrap_or_else(|| kind_of(status.code()));
    Error::new(kind, status.message().to_owned())
}

/// Whether a store has said it, and not what lies between.
pub(crate) fn is_told(status: &Status) -> bool {
    status.metadata().contains_key(KIND_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_from_its_code() {
        for (kind, ..) in Kind::ALL {
            assert_eq!(kind_of(code_of(kind)), kind);
        }
    }

    #[test]
    fn every_error_comes_back_from_its_status() {
        for (kind, ..) in Kind::ALL {
            let error = Error::new(kind, "what was wrong");
            assert_eq!(to_error(&of(&error)), error);
            assert!(is_told(&of(&error)));
        }
        assert!(!is_told(&Status::unavailable("nobody there")));
    }
}
