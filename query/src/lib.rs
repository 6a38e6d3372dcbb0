//! SQL over stored tables: DataFusion reads them where they lie, and results become objects.
//!
//! ```text
//! words ─▶ plan over pinned tables ─▶ scan: rows of mapped batches ─▶ DataFusion ─▶ batches
//!                                                                                └▶ object
//! ```
//!
//! In a program of your own, a store is a catalog of your DataFusion context:
//!
//! ```no_run
//! use datafusion::prelude::SessionContext;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let context = SessionContext::new();
//! sheaf_query::register(&context, sheaf_store::connect(&sheaf_store::default_url())?)?;
//! context.sql("select count(*) from sheaf.public.flights").await?.show().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The daemon has a [`SqlEngine`], which both doors ask: it writes as well, and keeps each
//! statement within its limits.
//!
//! What this crate does not do: it opens no sockets, and copies no table to read it.

mod bound;
mod bounded;
mod catalog;
mod change;
mod changing;
mod dialect;
mod engine;
mod error;
mod expanded;
mod fence;
mod files;
mod known;
mod memory;
mod narrow;
mod options;
mod order;
mod plan;
mod pruning;
mod scan;
mod session;
mod sink;
mod snapshot;
mod spill;
mod statement;
mod statistics;
mod stop;
mod stored;
mod system;
mod words;

pub use self::catalog::register;
pub use self::engine::SqlEngine;
pub use self::options::{EngineOptions, SheafOptions};
