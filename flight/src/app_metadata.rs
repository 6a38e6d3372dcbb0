//! The application metadata of a batch, as it is kept: in the batch's own IPC metadata.
//!
//! Flight sends it beside the message, as bytes; IPC metadata is text, so it is kept in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The key in the batch's metadata.
pub(crate) const KEY: &str = "sheaf:app_metadata";

/// The metadata that keeps these bytes; none at all keeps none.
pub(crate) fn kept(app_metadata: &[u8]) -> sheaf_ipc::Metadata {
    if app_metadata.is_empty() { Vec::new() } else { vec![to_pair(app_metadata)] }
}

/// The pair that keeps these bytes.
fn to_pair(app_metadata: &[u8]) -> (String, String) {
    (KEY.to_owned(), STANDARD.encode(app_metadata))
}

/// The bytes that the batch's metadata keeps; empty if there are none.
pub(crate) fn of(metadata: &sheaf_ipc::Metadata) -> Bytes {
    let kept = metadata.iter().find(|(key, _)| key == KEY);
    let bytes = kept.and_then(|(_, value)| STANDARD.decode(value).ok());
    bytes.map_or_else(Bytes::new, Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        for bytes in [&b""[..], b"0", &[0, 255, 1]] {
            assert_eq!(of(&vec![("other".into(), "x".into()), to_pair(bytes)]), bytes);
        }
        assert_eq!(of(&vec![(KEY.into(), "no base64!".into())]), "");
    }
}
