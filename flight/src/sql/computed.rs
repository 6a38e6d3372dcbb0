//! A result that is computed, as an HTTP body: messages are made as batches come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow_array::RecordBatch;
use bytes::Bytes;
use http_body::{Body, Frame};
use sheaf_store::{Error, Kind};
use tonic::Status;

use super::pinned::{Pinned, Rows};
use super::shelf::Shelf;
use crate::get::{Encoding, Options, end_of_stream};
use crate::status;

/// Where batches come from.
enum Feed {
    Ready(Option<RecordBatch>),
    /// Computed now.
    Running {
        rows: Rows,
        _kept: Kept,
    },
}

/// A place on the shelf, which is free when the result has ended: read, broken, or left. It would
/// keep the tables that it reads for as long.
pub(super) struct Kept {
    shelf: Arc<Shelf<Arc<Pinned>>>,
    id: Bytes,
}

impl Kept {
    pub(super) fn new(shelf: &Arc<Shelf<Arc<Pinned>>>, id: Bytes) -> Self {
        Self { shelf: shelf.clone(), id }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.shelf.remove(&self.id);
    }
}

/// The body of an answer to `DoGet` with a ticket of Flight SQL.
pub(crate) struct Computed {
    feed: Feed,
    encoding: Encoding,
    /// What is left of the message that is being sent.
    parts: VecDeque<Bytes>,
    is_over: bool,
}

impl Computed {
    pub(super) fn ready(batch: RecordBatch, options: Options) -> Result<Self, Status> {
        let encoding = Encoding::new(&batch.schema(), options)?;
        Ok(Self::new(Feed::Ready(Some(batch)), encoding))
    }

    pub(super) fn of(pinned: &Arc<Pinned>, kept: Kept, options: Options) -> Result<Self, Status> {
        let encoding = Encoding::new(pinned.schema(), Options { hydrates: true, ..options })?;
        Ok(Self::new(Feed::Running { rows: pinned.run(), _kept: kept }, encoding))
    }

    fn new(feed: Feed, encoding: Encoding) -> Self {
        Self { feed, encoding, parts: VecDeque::new(), is_over: false }
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, Status>>> {
        match &mut self.feed {
            Feed::Ready(batch) => Poll::Ready(batch.take().map(Ok)),
            Feed::Running { rows, .. } => {
                let next = ready!(rows.poll_next(cx));
                Poll::Ready(next.map(|next| next.map_err(|error| ended(&error))))
            }
        }
    }

    /// The next frame: what is left of a message, or the beginning of the next one.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Poll::Ready(Frame::data(part));
            }
            match self.encoding.next() {
                Ok(Some(message)) => {
                    self.parts = message.framed().collect();
                    continue;
                }
                Ok(None) => {}
                Err(status) => return Poll::Ready(self.end(&status)),
            }
            match ready!(self.poll_batch(cx)) {
                Some(Ok(batch)) => {
                    if let Err(status) = self.encoding.push(batch, Bytes::new()) {
                        return Poll::Ready(self.end(&status));
                    }
                }
                Some(Err(status)) => return Poll::Ready(self.end(&status)),
                None => return Poll::Ready(self.end(&Status::ok(""))),
            }
        }
    }

    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.is_over = true;
        // What still runs ends now, not when the client has read the trailers.
        self.feed = Feed::Ready(None);
        end_of_stream(status)
    }
}

/// How a result ends that was not read to its end. Somebody else has cancelled it, if anybody has:
/// to clients CANCELLED means that they have themselves (pyarrow takes it for a Ctrl-C).
fn ended(error: &Error) -> Status {
    match error.kind() {
        Kind::Interrupted => Status::aborted(error.message()),
        _ => status::of(error),
    }
}

impl Body for Computed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.poll_next(cx).map(|frame| Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}
