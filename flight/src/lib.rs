//! The far door: Arrow Flight over the bytes of a store.
//!
//! ```text
//!              ┌ auth, deadlines ┐   ┌ get: stored messages, as they lie, to the socket
//!  TCP, TLS,   │                 ├─▶ ├ put: frames from the socket, into a draft, one copy
//!  Unix socket ┴─────────────────┘   └ service: every other call of FlightService
//!                                              │
//!                                             door ──▶ near door (`sheaf_store::Client`)
//! ```
//!
//! The far door is a client of the near one, in the daemon's own process: it maps what it serves
//! and writes into drafts like everybody else, and has no other way to the store. So whatever the
//! near door promises of safety, limits and lifetime holds here, too.
//!
//! The other side is here, too: [`connect`] takes the URL of either door, maps a store that is on
//! this machine and streams from any other; both are a [`sheaf_store::Store`].
//!
//! ```
//! use sheaf_flight::{Address, FarOptions, FlightListener, FlightOptions};
//! use sheaf_store::{PutOptions, ServeOptions, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let server = Server::spawn(ServeOptions::new(folder.path().join("store.sock"), 64 << 20))?;
//! let options = FlightOptions::new(vec!["127.0.0.1:0".parse::<Address>()?]);
//! let client = sheaf_store::connect(&server.url())?;
//! let endpoint = FlightListener::bind(options)?.serve(client, None)?;
//!
//! let url = format!("grpc://{}", endpoint.addresses()[0]);
//! let store = sheaf_flight::connect(&url, &FarOptions::default())?;
//! store.put_bytes(b"note", b"hello", &PutOptions::default())?;
//! assert_eq!(store.get(b"note")?.as_bytes(), b"hello");
//! assert!(store.near().is_some()); // It is on this machine, so it is mapped.
//! # Ok(())
//! # }
//! ```
//!
//! What this crate does not do: it keeps no data of its own, knows no object that the store does
//! not know, and decodes no table that it serves.

mod address;
mod app_metadata;
mod auth;
mod client;
mod connection;
mod conversation;
mod deadline;
mod door;
mod facts;
mod front;
mod gate;
mod get;
mod idle;
mod limits;
mod listen;
mod names;
mod neighbour;
mod options;
mod peer;
mod put;
mod sendfile;
mod server;
mod service;
mod sql;
mod status;
mod tls;
mod tuning;

#[cfg(fuzzing)]
pub use put::fuzzing;

pub use address::Address;
pub use auth::{NewToken, Right, token_line};
pub use client::{AnyDoor, FarClient, FarOptions, FarTls, connect};
pub use limits::Limits;
pub use options::{FlightOptions, TlsOptions};
pub use server::{FlightListener, FlightServer};
pub use service::hint::Hint;
pub use status::{code_of, kind_of};
