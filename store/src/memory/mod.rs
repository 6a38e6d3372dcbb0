//! Memory: containers that the kernel keeps immutable, and how they are mapped.
//!
//! ```text
//! memfd ── prepare ─▶ lent to one writer ── seal ─▶ mapped read-only by anyone
//!                       (WriteMap)                   (ReadMap)
//! segment: written by the store alone, for as long as it lives ─▶ mapped read-only by anyone
//! ```
//!
//! **Invariant:** bytes behind a [`ReadMap`] never change once they were published, and never go
//! away under it. The kernel's seals see to the first, the mapping's own reference to the second.
//!
//! This is the one place of the store that maps memory, so its `unsafe` lives here. It knows
//! nothing of objects, names or budgets.

mod buffer;
mod fill;
mod lease;
mod memfd;
mod place;
mod prepare;
mod probe;
mod read_map;
mod seals;
mod segment;
#[cfg(test)]
mod testing;
mod write_map;

pub use buffer::{aligned, buffer, typed_mut};
pub use memfd::Memfd;
pub use prepare::{Threads, prepare};
pub use probe::{HugePages, Probe};
pub use read_map::ReadMap;
pub use seals::{Expect, Outcome};
pub use segment::Segment;
pub use write_map::{PrivateMap, WriteMap};

/// A huge page: what `prepare` aims at, and what every mapping is aligned to.
pub const HUGE_PAGE_BYTES: u64 = 2 << 20;
