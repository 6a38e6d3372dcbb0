//! The index: tiny objects found in shared memory, without a message.
//!
//! The store writes it, every client maps it read-only. A look-up hashes the name, loads a word,
//! and compares the name in the object's own header, which never changes once it is published:
//!
//! ```text
//! word 0..8   magic, buckets, seed, retired segments, 0 …
//! word 8..    buckets of 8 words:  │ tag 12 │ container 32 │ offset / 64  20 │   0 = empty
//!                                           └──────────────┴─▶ header, name, bytes in a segment
//! ```
//!
//! It is a hint and no authority: what does not fit (two full buckets) or does not belong
//! (droppable objects, whose use must be noted; objects with metadata; larger ones, which are
//! held) is not in it, and a miss asks the store. A hit is right: the word is set after the bytes
//! and cleared before the delete is answered, so the object was bound when the word was loaded.
//!
//! **Invariant:** a word is stored with release after everything it leads to, and loaded with
//! acquire before. `race.rs` checks that under every interleaving.

mod header;
#[cfg(test)]
mod race;
mod reader;
mod table;
mod writer;

pub use header::{HEADER_BYTES, Header};
pub use reader::Reader;
pub use table::{Location, Table, Words};
pub use writer::Writer;
