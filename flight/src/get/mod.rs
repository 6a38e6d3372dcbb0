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

mod encoded;
mod frame;
mod messages;
pub(crate) mod opaque;
mod options;
mod stream;

use std::time::Duration;

use arrow_flight::Ticket;
use arrow_flight::sql::Command;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use prost::Message;
use sheaf_ipc::File;
use sheaf_store::{Client, Object};
use tonic::Status;
use tonic::body::Body;

pub(crate) use self::encoded::{Encoding, hydrated, hydrated_schema_message, plain_schema_message};
pub(crate) use self::messages::Outgoing;
pub(crate) use self::options::Options;

use self::messages::Messages;
use self::stream::Stream;
pub(crate) use self::stream::end_of_stream;
use crate::door::Door;
use crate::facts;
use crate::names::{self, TicketBody};
use crate::sendfile::Mapped;
use crate::sql::{self, Answer, Sql};

/// The most that a request may take, in bytes: a ticket is a name and a few options.
const REQUEST_BYTES: usize = 64 << 10;

/// What stands before a message of gRPC: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Answers `DoGet`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Get {
    door: Door,
    sql: Sql,
    mapped: Mapped,
}

impl Get {
    pub(crate) fn new(door: Door, sql: Sql, mapped: Mapped) -> Self {
        Self { door, sql, mapped }
    }

    /// The answer to a request: a stream, or the error.
    pub(crate) async fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        self.stream(request).await.unwrap_or_else(Status::into_http)
    }

    async fn stream(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let ticket: Ticket = unary(body).await?;
        if let Some(command) = sql::command_of_ticket(&ticket)? {
            return self.result(&parts, command).await;
        }
        let wanted = names::of_ticket(&ticket)?;
        let options = Options::new(&wanted, &parts.headers)?;
        let object = self.object(&wanted).await?;
        let mut response = self.sending(&object, options)?;
        if facts::are_asked_for(&parts.headers) {
            facts::put(response.headers_mut(), object.info());
        }
        Ok(response)
    }

    /// The answer that sends an object.
    fn sending(&self, object: &Object, options: Options) -> Result<http::Response<Body>, Status> {
        let sending = self.mapped.register(object);
        Ok(grpc(Body::new(Stream::new(Messages::new(object, options)?, sending))))
    }

    /// The result of a statement.
    async fn result(
        &self,
        parts: &Parts,
        command: Command,
    ) -> Result<http::Response<Body>, Status> {
        let options = Options::of_headers(&parts.headers)?;
        let asker = self.sql.asker(&parts.headers, &parts.extensions)?;
        match self.sql.get(&asker, command, options).await? {
            Answer::Object(object) => self.sending(&object, options),
            Answer::Computed(computed) => Ok(grpc(Body::new(*computed))),
        }
    }

    /// The object that a ticket asks for: at once, or when it comes.
    async fn object(&self, wanted: &TicketBody) -> Result<Object, Status> {
        let name = names::of_text(&wanted.name)?;
        match wanted.timeout_ms {
            None | Some(0) => self.door.ask(move |client| client.get(&name)).await,
            Some(limit) => {
                let limit = Duration::from_millis(limit);
                let get = move |client: &Client, slice| client.get_timeout(&name, slice);
                self.door.wait_up_to(limit, get).await
            }
        }
    }
}

fn grpc(body: Body) -> http::Response<Body> {
    let mut response = http::Response::new(body);
    let kind = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

/// The messages of an object, as a stream that asks for nothing has them.
pub(crate) fn messages(
    object: &Object,
) -> Result<impl Iterator<Item = Result<Outgoing, Status>> + Send + use<>, Status> {
    Messages::new(object, Options::default()).map(all)
}

/// The messages of a table that is in no store, each batch whole.
pub(crate) fn table_messages(file: File) -> impl Iterator<Item = Result<Outgoing, Status>> {
    all(Messages::of_file(file, Options::LARGEST))
}

fn all(mut messages: Messages) -> impl Iterator<Item = Result<Outgoing, Status>> + Send {
    std::iter::from_fn(move || messages.next().transpose())
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
