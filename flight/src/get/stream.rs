//! A stream as an HTTP body: frames are made when the connection asks for them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::Status;

use super::messages::Messages;
use crate::sendfile::Registered;

/// The body of an answer to `DoGet`.
pub(crate) struct Stream {
    /// None after the last.
    messages: Option<Messages>,
    /// What is left of the message that is being sent.
    parts: VecDeque<Bytes>,
    _sending: Registered,
}

impl Stream {
    pub(super) fn new(messages: Messages, sending: Registered) -> Self {
        Self { messages: Some(messages), parts: VecDeque::new(), _sending: sending }
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Some(Frame::data(part));
            }
            match self.messages.as_mut()?.next() {
                Ok(Some(message)) => self.parts = message.framed().collect(),
                Ok(None) => return Some(self.end(&Status::ok(""))),
                Err(status) => return Some(self.end(&status)),
            }
        }
    }

    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.messages = None;
        end_of_stream(status)
    }
}

/// The last frame of a stream.
pub(crate) fn end_of_stream(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
    }
    Frame::trailers(trailers)
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.next().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.parts.is_empty()
    }
}
