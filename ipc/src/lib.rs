//! Arrow IPC files in one buffer: measured, written with one copy, checked, opened without any.
//!
//! The file format of Arrow IPC, uncompressed, with everything where a processor wants it:
//!
//! ```text
//!  0   ARROW1 ·· │ schema                 every message:
//!  64n           │ batch 0                ┌──────────┬────────┬────────────┬────┐
//!                │ batch 1                │ FFFFFFFF │ length │ flatbuffer │ 00 │  header
//!                │ …                      ├──────────┴──┬─────┴──────────┬─┴────┤
//!                │ dictionary 1           │ buffer   00 │ buffer      00 │ …    │  body
//!                │ dictionary 0           └─────────────┴────────────────┴──────┘
//!                │ end, footer: schema, where each message is, custom metadata
//!  −10           │ footer length, ARROW1
//! ```
//!
//! Messages, bodies and buffers start at multiples of 64 bytes ([`ALIGNMENT`]), and all padding
//! is zero. A column has one dictionary, written after the batches: those that bring other
//! values have their keys translated while they are copied.
//!
//! - **Write** known batches with a [`Plan`], batches as they come with an [`Encoder`], and a
//!   table whose values are yet to be computed with a [`Layout`], which copies nothing at all.
//!   Messages of somebody else's stream go through an [`Ingest`].
//! - **Read** with a [`File`]: its batches point into the buffer, and its messages are what
//!   Arrow Flight sends; a [`Cutter`] makes smaller ones of large ones.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
//! use arrow_buffer::Buffer;
//! use sheaf_ipc::{File, Plan};
//!
//! let batch = RecordBatch::try_from_iter([
//!     ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
//!     ("word", Arc::new(StringArray::from(vec!["one", "two", "three"])) as ArrayRef),
//! ])?;
//!
//! // Any memory of this length will do; here it is a vector, for a store it is shared.
//! let plan = Plan::new(&batch.schema(), &[batch.slice(1, 2)])?;
//! let mut memory = Vec::with_capacity(plan.len());
//! plan.write(&mut memory.spare_capacity_mut()[..plan.len()], 1);
//! // SAFETY: `write` wrote every byte.
//! unsafe { memory.set_len(plan.len()) };
//!
//! let file = File::open(Buffer::from_slice_ref(&memory))?;
//! assert_eq!(file.num_rows(), 2);
//! assert_eq!(file.batch(0)?, batch.slice(1, 2));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! What this crate does not do: it knows nothing of memory, files or sockets, uses no clock and
//! no randomness, and reads no file that it would have to copy (compressed, or unaligned).

mod blocks;
mod check;
mod copy;
mod cut;
mod decode;
mod dictionary;
mod encode;
mod error;
mod file;
mod fill;
mod frame;
mod ingest;
mod layout;
mod limits;
mod message;
mod plan;
mod stream;
mod validate;
mod walk;

pub use cut::{Cutter, Piece};
pub use encode::{Encoder, Part};
pub use error::{Error, Kind, Result};
pub use file::{File, Message, MessageKind};
pub use fill::{copy_bytes, copy_through};
pub use frame::ALIGNMENT;
pub use ingest::{Ingest, Intake, Placement, Run};
pub use layout::{Content, Layout};
pub use plan::Plan;

/// Custom metadata: pairs of key and value, in order.
pub type Metadata = Vec<(String, String)>;
