//! The file's outer form: magic, alignment, and the prefix in front of each message.
//!
//! ```text
//! FF FF FF FF | length: i32 | flatbuffer, padded | body
//! ```
//!
//! The length counts the padding, so that the body starts at a multiple of [`ALIGNMENT`].

use arrow_buffer::Buffer;

use crate::{Error, Result};

#[cfg(not(target_endian = "little"))]
compile_error!("files are written in the machine's byte order, which must be little-endian");

#[cfg(not(target_pointer_width = "64"))]
compile_error!("offsets in a file are 64 bits wide, and so must be the machine's");

/// Every message, body and buffer starts at a multiple of this.
///
/// The Arrow specification asks for 8 and recommends 64: a cache line, and the widest SIMD
/// register.
pub const ALIGNMENT: usize = 64;

/// What a file starts and ends with.
pub(crate) const MAGIC: [u8; 6] = *b"ARROW1";

/// Magic at the front, padded to 8 bytes; the schema message follows.
pub(crate) const HEADER: usize = 8;

/// Footer length and magic at the back.
pub(crate) const TRAILER: usize = 10;

/// Marks the start of a message since Arrow 0.15.
pub(crate) const CONTINUATION: [u8; 4] = [0xff; 4];

/// Continuation marker and length in front of each message.
pub(crate) const PREFIX: usize = 8;

/// Ends the messages: a continuation marker and a length of zero.
pub(crate) const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// `len` rounded up to the alignment.
pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT)
}

/// Frames a message so that what follows it is aligned, if it is put at `start`.
pub(crate) fn frame(message: &[u8], start: usize) -> Result<Buffer> {
    let end = padded(start + PREFIX + message.len());
    let len = end - start - PREFIX;
    let marked = i32::try_from(len).map_err(|_| {
        Error::too_large(format!(
            "the message's metadata takes {len} bytes; a message holds {}: use fewer columns",
            i32::MAX
        ))
    })?;

    let mut framed = Vec::with_capacity(PREFIX + len);
    framed.extend_from_slice(&CONTINUATION);
    framed.extend_from_slice(&marked.to_le_bytes());
    framed.extend_from_slice(message);
    framed.resize(PREFIX + len, 0);
    Ok(Buffer::from_vec(framed))
}
