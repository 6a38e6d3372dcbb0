//! The room and the near door: tables in shared memory, mapped by every process on the machine.
//!
//! ```text
//!   process A                    the store daemon                     process B
//!   Client ── create ──────────▶ Room: names, budget, holds
//!      ◀── writable memfd ────── memory: prepared huge pages
//!   writes in place
//!          ── seal ────────────▶ F_SEAL_WRITE, checked once
//!                                                ◀────────── get ──── Client
//!                                ──── read-only memfd ──────────────▶ maps: zero copies
//! ```
//!
//! * [`Client`] is the near door: blocking, thread-safe, fork-safe, reconnecting.
//! * [`Server`] is the daemon, as a program's main work ([`serve`]) or on a thread of your own.
//! * [`Store`] is what both doors have in common; [`conformance`] is what it promises.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use arrow_array::{Int64Array, RecordBatch};
//! use sheaf_store::{PutOptions, ServeOptions, Server};
//!
//! let folder = tempfile::tempdir()?;
//! let options = ServeOptions::new(folder.path().join("store.sock"), 64 << 20);
//! let server = Server::spawn(options)?;
//! let store = sheaf_store::connect(&server.url())?;
//!
//! let batch = RecordBatch::try_from_iter([("k", Arc::new(Int64Array::from(vec![1, 2])) as _)])?;
//! store.put("t", &batch.schema(), &[batch.clone()], &PutOptions::default())?;
//!
//! let table = store.get("t")?.table()?;
//! assert_eq!(table.batch(0)?, batch);
//! # Ok(())
//! # }
//! ```
//!
//! The code map is in `docs/architecture.md`, the bytes on the socket in `docs/protocol.md`, the
//! kernel's part in `docs/memory.md`.

pub mod client;
pub mod conformance;
pub mod error;
mod fork;
pub mod index;
pub mod memory;
pub mod object;
pub mod protocol;
pub mod room;
pub mod server;
pub mod sql;
mod store;

pub use client::{
    Client, ConnectOptions, Draft, GrowingDraft, Object, Stat, Table, TableBuilder, TableWriter,
    View, Watch, connect, connect_with, default_url,
};
pub use error::{Error, Kind, Result};
pub use object::{Event, EventKind, Holder, Info, Name, ObjectKind, Peer, PutOptions, State};
pub use server::{ServeOptions, Server, serve, serve_beside};
pub use store::{Store, Writer};

/// The README's programs, run as tests.
#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
struct Readme;
