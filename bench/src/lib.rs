//! What the benchmarks share, and the four that are programs.
//!
//! ```text
//! bin/ratios ─▶ ratios ─┐
//!                       ├─▶ process (the store, readers) · tables · private · clock
//! bin/sort ───────▶ sort ─┤
//! bin/sql ────────▶ sql ──┤
//! bin/sheaf-peer ─▶ peer ┘
//! ```
//!
//! Nothing here asserts on time: a machine that is busy makes bad figures, not failures.

pub mod clock;
pub mod peer;
pub mod private;
pub mod process;
pub mod ratios;
pub mod sort;
pub mod sql;
pub mod tables;

/// What a benchmark returns; whatever goes wrong ends it with one line on standard error.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// 2²⁰ bytes.
pub const MIB: usize = 1 << 20;
