//! A message of Flight as gRPC carries it, but for its body.
//!
//! ```text
//! 00 │ length, big-endian │ 12 len data_header │ 1a len app_metadata │ c2 3e len │ body …
//! └──────── gRPC ─────────┴──────────────────── FlightData ───────────────────────────────
//! ```
//!
//! The flatbuffer is padded with zeros so that the body begins at a multiple of 64 within the
//! message: receivers that keep messages as they come (gRPC's C++ library does, up to 8) then have
//! aligned buffers without a copy.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};

/// Field 2, length-delimited.
const DATA_HEADER: u64 = 2 << 3 | 2;

/// Field 3, length-delimited.
const APP_METADATA: u64 = 3 << 3 | 2;

/// Field 1000, length-delimited.
const DATA_BODY: u64 = 1000 << 3 | 2;

/// What the body is aligned to within the message.
const ALIGNMENT: usize = 64;

/// Everything that goes before the body. A message without one, such as a schema, has `None`.
pub(super) fn before_body(header: &[u8], app_metadata: &[u8], body_len: Option<usize>) -> Bytes {
    let mut around = 0;
    if !app_metadata.is_empty() {
        around += field_len(APP_METADATA, app_metadata.len()) + app_metadata.len();
    }
    around += body_len.map_or(0, |len| field_len(DATA_BODY, len));
    let padded = padded_header(header.len(), around, body_len.is_some());
    let before = field_len(DATA_HEADER, padded) + padded + around;
    let message = before + body_len.unwrap_or(0);

    let mut bytes = BytesMut::with_capacity(5 + before);
    bytes.put_u8(0);
    // Bodies are cut far below 4 GiB.
    bytes.put_u32(u32::try_from(message).unwrap_or(u32::MAX));
    put_field(&mut bytes, DATA_HEADER, padded);
    bytes.put_slice(header);
    bytes.put_bytes(0, padded - header.len());
    if !app_metadata.is_empty() {
        put_field(&mut bytes, APP_METADATA, app_metadata.len());
        bytes.put_slice(app_metadata);
    }
    if let Some(len) = body_len {
        put_field(&mut bytes, DATA_BODY, len);
    }
    debug_assert_eq!(bytes.len(), 5 + before);
    bytes.freeze()
}

/// The flatbuffer's length with padding: the body then begins at a multiple of the alignment.
fn padded_header(len: usize, around: usize, has_body: bool) -> usize {
    if !has_body {
        return len;
    }
    // The padding may make the length itself a byte longer, so it is looked for.
    (len..len + 2 * ALIGNMENT)
        .find(|padded| {
            (field_len(DATA_HEADER, *padded) + padded + around).is_multiple_of(ALIGNMENT)
        })
        .unwrap_or(len)
}

/// The bytes of a field's tag and length.
fn field_len(tag: u64, len: usize) -> usize {
    encoded_len_varint(tag) + encoded_len_varint(len as u64)
}

fn put_field(bytes: &mut BytesMut, tag: u64, len: usize) {
    encode_varint(tag, bytes);
    encode_varint(len as u64, bytes);
}

#[cfg(test)]
mod tests {
    use arrow_flight::FlightData;
    use prost::Message;

    use super::*;

    #[test]
    fn a_framed_message_is_read_as_it_was_meant() {
        for header_len in [1, 100, 127, 128, 200, 16_383, 16_384, 70_000] {
            for app_metadata in [&b""[..], b"7", &[9; 300]] {
                for body_len in [None, Some(0), Some(64), Some(1_000_000)] {
                    let header = vec![5; header_len];

                    let before = before_body(&header, app_metadata, body_len);

                    let mut message = before[5..].to_vec();
                    let starts = message.len();
                    message.resize(starts + body_len.unwrap_or(0), 1);
                    assert_eq!(before[0], 0);
                    assert_eq!(before[1..5], (message.len() as u32).to_be_bytes());
                    let data = FlightData::decode(&message[..]).unwrap();
                    assert_eq!(data.data_header[..header_len], header);
                    assert!(data.data_header[header_len..].iter().all(|byte| *byte == 0));
                    assert_eq!(data.app_metadata, app_metadata);
                    assert_eq!(data.data_body.len(), body_len.unwrap_or(0));
                    assert!(body_len.is_none() || starts.is_multiple_of(ALIGNMENT), "{header_len}");
                }
            }
        }
    }
}
