//! The hint to the near door, in the application metadata of a `FlightInfo`.
//!
//! A client on the same machine finds the store's socket there, and maps what it would otherwise
//! have streamed. It must check that the store behind the socket has this id: a path means
//! something else on another machine.

use serde::{Deserialize, Serialize};

/// Where a store's near door is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The path of the near door's socket, on the server's machine.
    pub socket: String,
    /// The store's id, another one after each start, as hexadecimal digits.
    pub store: String,
    /// The server's version of Sheaf.
    pub version: String,
}

/// What a `FlightInfo`'s application metadata says, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AppMetadata {
    /// Where the same bytes can be mapped.
    pub(crate) sheaf: Hint,
    /// Whether the object is a `table` or opaque `bytes`.
    pub(crate) kind: String,
}
