//! `DoGet`: stored messages go to the socket as they lie, without a copy in user space.
//!
//! ```text
//! ticket ─▶ object, mapped and held ─▶ Messages: one after the other, cut where too large
//!                              │  header, slices of the mapping
//!                              ▼
//!                            Stream: an HTTP body, frame by frame as the socket takes them
//! ```
//!
//! A body that is not read makes nothing: whatever the reader's speed, the server has one message's
//! header in memory for each stream. When the reader leaves, the body is dropped, and the hold with
//! it.

mod frame;
mod messages;
mod opaque;
mod options;
mod stream;

use arrow_flight::Ticket;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use prost::Message;
use sheaf_store::Object;
use tonic::Status;
use tonic::body::Body;

pub(crate) use self::opaque::{
    COLUMN as OPAQUE_COLUMN, KIND as OPAQUE_KIND, chunks_of,
    schema_message as opaque_schema_message,
};

pub(crate) use self::messages::Outgoing;

use self::messages::Messages;
use self::options::Options;
use self::stream::Stream;
use crate::door::Door;
use crate::names;
use crate::sendfile::Mapped;

/// The most that a request may take, in bytes: a ticket is a name and a few options.
const REQUEST_BYTES: usize = 64 << 10;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Answers `DoGet`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Get {
    door: Door,
    mapped: Mapped,
}

impl Get {
    pub(crate) fn new(door: Door, mapped: Mapped) -> Self {
        Self { door, mapped }
    }

    /// The answer to a request: a stream, or the error.
    pub(crate) async fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        match self.stream(request).await {
            Ok(stream) => {
                let mut response = http::Response::new(Body::new(stream));
                let kind = http::HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
                response
            }
            Err(status) => status.into_http(),
        }
    }

    async fn stream(&self, request: http::Request<Body>) -> Result<Stream, Status> {
        let (parts, body) = request.into_parts();
        let ticket: Ticket = unary(body).await?;
        let wanted = names::of_ticket(&ticket)?;
        let options = Options::new(&wanted, &parts.headers)?;
        let name = names::of_text(&wanted.name)?;
        let object = self.door.ask(move |client| client.get(&name)).await?;
        let sending = self.mapped.register(&object);
        Ok(Stream::new(Messages::new(&object, options)?, sending))
    }
}

/// The messages of an object, as a stream that asks for nothing has them.
pub(crate) fn messages(
    object: &Object,
) -> Result<impl Iterator<Item = Result<Outgoing, Status>> + Send + use<>, Status> {
    let mut messages = Messages::new(object, Options::default())?;
    Ok(std::iter::from_fn(move || messages.next().transpose()))
}

/// The one message of a request.
async fn unary<M: Message + Default>(body: Body) -> Result<M, Status> {
    let collected = Limited::new(body, REQUEST_BYTES).collect().await.map_err(|error| {
        Status::invalid_argument(format!(
            "the request could not be read: {error} (the limit is {REQUEST_BYTES} bytes)"
        ))
    })?;
    let bytes: Bytes = collected.to_bytes();
    let Some((prefix, message)) = bytes.split_at_checked(PREFIX_BYTES) else {
        return Err(Status::invalid_argument("a request without a message"));
    };
    let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if prefix[0] != 0 {
        return Err(Status::unimplemented("compressed requests: send them uncompressed"));
    }
    if len != message.len() {
        return Err(Status::invalid_argument(format!(
            "a message that says it has {len} bytes came with {}",
            message.len()
        )));
    }
    M::decode(message)
        .map_err(|error| Status::invalid_argument(format!("the message is not sound: {error}")))
}
