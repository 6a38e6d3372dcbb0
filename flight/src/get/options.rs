//! What a reader may ask of a stream: in its ticket, or in headers, which win.

use arrow_ipc::CompressionType;
use http::HeaderMap;
use tonic::Status;

use crate::names::TicketBody;

/// The most that a message may take unless more is asked for, in bytes: some clients and servers
/// take 4 MiB and no more, everything around the body included.
pub(crate) const DEFAULT_MESSAGE_BYTES: usize = (4 << 20) - (64 << 10);

/// The least that may be asked for, in bytes.
const LEAST_MESSAGE_BYTES: usize = 64 << 10;

/// The most that gRPC can carry in a message, with room for what is around the body, in bytes.
const MOST_MESSAGE_BYTES: usize = (2 << 30) - (1 << 20);

/// The header that asks for larger, or smaller, messages.
pub(crate) const MESSAGE_BYTES_HEADER: &str = "sheaf-max-message-bytes";

/// The header that asks for compression.
const COMPRESSION_HEADER: &str = "sheaf-compression";

/// The header that says what becomes of dictionaries.
const DICTIONARIES_HEADER: &str = "sheaf-dictionaries";

/// How a stream is to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Options {
    /// The most that the body of a message may take, in bytes.
    pub(crate) message_bytes: usize,
    /// How bodies are compressed.
    pub(crate) compression: Option<CompressionType>,
    /// Whether values are sent in place of dictionaries.
    pub(crate) hydrates: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { message_bytes: DEFAULT_MESSAGE_BYTES, ..Self::LARGEST }
    }
}

impl Options {
    /// Messages as they are stored, and as large as gRPC carries them.
    pub(crate) const LARGEST: Self =
        Self { message_bytes: MOST_MESSAGE_BYTES, compression: None, hydrates: false };

    /// What the ticket and the headers ask for.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for what can't be had.
    pub(crate) fn new(ticket: &TicketBody, headers: &HeaderMap) -> Result<Self, Status> {
        let word = |header, said: &Option<String>| match text(headers, header)? {
            Some(text) => Ok(Some(text)),
            None => Ok::<_, Status>(said.clone()),
        };
        let message_bytes = match text(headers, MESSAGE_BYTES_HEADER)? {
            None => message_bytes(ticket.max_message_bytes)?,
            Some(text) => message_bytes(Some(text.trim().parse().map_err(|_| {
                Status::invalid_argument(format!("{MESSAGE_BYTES_HEADER} is no number of bytes"))
            })?))?,
        };
        let compression = match word(COMPRESSION_HEADER, &ticket.compression)?.as_deref() {
            None | Some("none") => None,
            Some("lz4") => Some(CompressionType::LZ4_FRAME),
            Some("zstd") => Some(CompressionType::ZSTD),
            Some(other) => {
                let message = format!("compression is lz4, zstd or none, not {other}");
                return Err(Status::invalid_argument(message));
            }
        };
        let hydrates = match word(DICTIONARIES_HEADER, &ticket.dictionaries)?.as_deref() {
            None | Some("keep") => false,
            Some("hydrate") => true,
            Some(other) => {
                let message = format!("dictionaries are kept (keep) or hydrate, not {other}");
                return Err(Status::invalid_argument(message));
            }
        };
        Ok(Self { message_bytes, compression, hydrates })
    }

    /// What the headers ask for.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Self, Status> {
        let nothing = TicketBody {
            name: String::new(),
            max_message_bytes: None,
            timeout_ms: None,
            compression: None,
            dictionaries: None,
        };
        Self::new(&nothing, headers)
    }

    /// Whether messages go out as they are stored.
    pub(super) fn are_as_stored(&self) -> bool {
        self.compression.is_none() && !self.hydrates
    }
}

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Status> {
    let said = headers.get(name).map(|value| value.to_str().map(str::to_owned));
    said.transpose().map_err(|_| Status::invalid_argument(format!("{name} is no text")))
}

fn message_bytes(asked: Option<u64>) -> Result<usize, Status> {
    match asked {
        None => Ok(DEFAULT_MESSAGE_BYTES),
        Some(bytes) if bytes >= LEAST_MESSAGE_BYTES as u64 => {
            Ok(usize::try_from(bytes).unwrap_or(usize::MAX).min(MOST_MESSAGE_BYTES))
        }
        Some(bytes) => Err(Status::invalid_argument(format!(
            "messages of {bytes} bytes; the least is {LEAST_MESSAGE_BYTES}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(max_message_bytes: Option<u64>) -> TicketBody {
        TicketBody { max_message_bytes, ..TicketBody::of(&sheaf_store::Name::new("t").unwrap()) }
    }

    fn asked(header: Option<&str>, body: Option<u64>) -> Result<usize, Status> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(MESSAGE_BYTES_HEADER, value.parse().unwrap());
        }
        Options::new(&ticket(body), &headers).map(|options| options.message_bytes)
    }

    #[test]
    fn the_header_wins_over_the_ticket_and_both_over_the_default() {
        assert_eq!(asked(None, None).unwrap(), DEFAULT_MESSAGE_BYTES);
        assert_eq!(asked(None, Some(1 << 20)).unwrap(), 1 << 20);
        assert_eq!(asked(Some("100000"), Some(1 << 20)).unwrap(), 100_000);
        assert_eq!(asked(Some("99999999999999"), None).unwrap(), MOST_MESSAGE_BYTES);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for header in ["", "many", "-1", "100"] {
            let error = asked(Some(header), None).unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{header}");
        }
    }
}
