//! What an upload answers: a `PutResult` for each batch, then how it ended.
//!
//! Answers wait for a client that does not read them, up to a bound; then the upload waits for the
//! client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_flight::PutResult;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tonic::Status;

/// The most bytes of answers that wait for a client to read them.
const MOST_WAITING: usize = 4 << 20;

/// What an answer takes beside its metadata, in bytes.
const AROUND: usize = 64;

type Waiting = (Frame<Bytes>, OwnedSemaphorePermit);

/// The sending side.
#[derive(Clone)]
pub(crate) struct Acks {
    answers: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
}

impl Acks {
    /// The body that carries the answers of the upload that `run` starts.
    pub(super) fn answer(run: impl FnOnce(Self) -> JoinHandle<()>) -> Answer {
        let (answers, waiting) = mpsc::unbounded_channel();
        let acks = Self { answers, room: Arc::new(Semaphore::new(MOST_WAITING)) };
        Answer { waiting, upload: run(acks) }
    }

    /// Acknowledges a batch.
    pub(super) async fn send(&self, app_metadata: &Bytes) -> Result<(), Status> {
        let result = PutResult { app_metadata: app_metadata.clone() };
        let mut bytes = BytesMut::with_capacity(8 + app_metadata.len());
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(result.encoded_len()).unwrap_or(0));
        let encoded = result.encode(&mut bytes);
        encoded.map_err(|error| Status::internal(format!("an answer is not written: {error}")))?;
        self.push(Frame::data(bytes.freeze()), AROUND + app_metadata.len()).await
    }

    /// Ends the answer, with trailers beside the status.
    pub(super) async fn end(&self, status: &Status, mut trailers: HeaderMap) {
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", http::HeaderValue::from_static("13"));
        }
        let _ = self.push(Frame::trailers(trailers), AROUND).await;
    }

    async fn push(&self, frame: Frame<Bytes>, bytes: usize) -> Result<(), Status> {
        let bytes = u32::try_from(bytes.min(MOST_WAITING)).unwrap_or(u32::MAX);
        let gone = |_| Status::cancelled("the client has left");
        let permit = self.room.clone().acquire_many_owned(bytes).await;
        let permit = permit.map_err(|_| Status::internal("no room for answers"))?;
        self.answers.send((frame, permit)).map_err(gone)
    }
}

/// The body of an answer to `DoPut`. The upload ends when it is dropped.
pub(super) struct Answer {
    waiting: mpsc::UnboundedReceiver<Waiting>,
    upload: JoinHandle<()>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.upload.abort();
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.waiting.poll_recv(cx).map(|waiting| waiting.map(|(frame, _)| Ok(frame)))
    }
}
