//! Bytes ⇄ frames: a 16-byte header, then a message's body.
//!
//! ```text
//!  0        4      5     6        8          16
//!  │ length │ code │ fds │ zero   │ id       │ body …
//!  │ u32    │ u8   │ u8  │ u16    │ u64      │ `length` bytes
//! ```
//!
//! Every number is little-endian. `fds` descriptors travel beside the frame's first byte.

use bytes::{Buf, Bytes, BytesMut};

use super::wire::Wire;
use crate::error::{Error, Kind, Result};

/// The header's size in bytes.
pub const HEADER_BYTES: usize = 16;

/// The largest body, in bytes, in both directions.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// The most descriptors beside one frame (the kernel takes 253 in one message).
pub const MAX_DESCRIPTORS: usize = 128;

/// A frame as it came, its body not yet understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The message's number.
    pub code: u8,
    /// How many descriptors came beside it.
    pub descriptors: usize,
    /// Which request this is, or answers.
    pub id: u64,
    /// The message's body.
    pub body: Bytes,
}

/// Appends a frame; `body` writes the body in place.
pub fn write(
    out: &mut Vec<u8>,
    code: u8,
    descriptors: usize,
    id: u64,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    0u32.put(out);
    code.put(out);
    (descriptors as u8).put(out);
    0u16.put(out);
    id.put(out);
    body(out);
    let length = (out.len() - start - HEADER_BYTES) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Takes the next whole frame off the front of what was received; `None` until all of it is there.
///
/// # Errors
/// [`Kind::Invalid`] when the header breaks a limit. The stream is lost then: close it.
pub fn take(received: &mut BytesMut) -> Result<Option<Frame>> {
    let Some(length) = body_length(received)? else { return Ok(None) };
    if received.len() < HEADER_BYTES + length {
        return Ok(None);
    }
    let mut header = received.split_to(HEADER_BYTES).freeze();
    header.advance(4);
    let code = u8::take(&mut header)?;
    let descriptors = usize::from(u8::take(&mut header)?);
    let zero = u16::take(&mut header)?;
    let id = u64::take(&mut header)?;
    if zero != 0 {
        return Err(Error::new(
            Kind::Invalid,
            format!("bytes 6 and 7 of a frame are 0, not {zero}"),
        ));
    }
    Ok(Some(Frame { code, descriptors, id, body: received.split_to(length).freeze() }))
}

/// How many bytes are missing until the next frame is whole: what to read next.
///
/// # Errors
/// As [`take`].
pub fn missing(received: &BytesMut) -> Result<usize> {
    let whole = body_length(received)?.map_or(HEADER_BYTES, |length| HEADER_BYTES + length);
    Ok(whole.saturating_sub(received.len()))
}

fn body_length(received: &BytesMut) -> Result<Option<usize>> {
    let Some(first) = received.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*first) as usize;
    if length > MAX_BODY_BYTES {
        return Err(Error::new(
            Kind::Invalid,
            format!("a frame of {length} bytes; the limit is {MAX_BODY_BYTES}: split it"),
        ));
    }
    Ok((received.len() >= HEADER_BYTES).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_whole_however_it_is_cut() {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, 2, 99, |out| out.extend_from_slice(b"hello"));

        for cut in 0..bytes.len() {
            let mut received = BytesMut::from(&bytes[..cut]);
            assert_eq!(take(&mut received).unwrap(), None);
            received.extend_from_slice(&bytes[cut..]);
            let frame = take(&mut received).unwrap().unwrap();
            assert_eq!((frame.code, frame.descriptors, frame.id), (7, 2, 99));
            assert_eq!(&frame.body[..], b"hello");
            assert!(received.is_empty());
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_read() {
        let mut received = BytesMut::from(&u32::MAX.to_le_bytes()[..]);

        assert_eq!(take(&mut received).unwrap_err().kind(), Kind::Invalid);
    }
}
