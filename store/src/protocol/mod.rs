//! The near door's protocol: bytes ⇄ values, frames, and the socket that carries them.
//!
//! ```text
//! message.rs   what is said           (plain values)
//! values.rs    what it is said of     (the values of object.rs)
//! wire.rs      values ⇄ bytes         (no I/O)
//! frame.rs     bytes ⇄ frames         (no I/O; header, limits)
//! socket.rs    frames ⇄ the socket    (sendmsg, recvmsg, descriptors)
//! ```
//!
//! `docs/protocol.md` gives every message byte by byte; `page.rs` is the test that holds the
//! page to the code.

pub mod frame;
pub mod message;
#[cfg(test)]
mod page;
pub mod socket;
mod values;
pub mod wire;

/// The version this code speaks. A store refuses a client of another one, by name.
pub const VERSION: u16 = 1;

/// The first eight bytes of a hello: `SHEAF`, then zeros.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SHEAF\0\0\0");
