//! A request's body that must not fall silent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

/// A body that ends with DEADLINE_EXCEEDED when nothing has come for too long while somebody
/// waited for it.
pub(crate) struct Idle {
    body: Body,
    most: Duration,
    /// Runs while the next frame is waited for.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    pub(crate) fn new(body: Body, most: Duration) -> Self {
        Self { body, most, sleep: None }
    }
}

impl http_body::Body for Idle {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            // Kept: a timer is made once for each request at most, and only if it has to wait.
            if let Some(sleep) = &mut this.sleep {
                sleep.as_mut().reset(Instant::now() + this.most);
            }
            return Poll::Ready(frame);
        }
        let most = this.most;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep(most)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(Status::deadline_exceeded(format!(
            "nothing came for {most:?}, the most that a client may be silent in a request"
        )))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_falls_silent_ends() {
        let second = Duration::from_secs(1);
        let frames = stream::iter(0..3).then(|_| async {
            sleep(Duration::from_millis(900)).await;
            Ok::<_, Status>(Frame::data(Bytes::from_static(b"x")))
        });
        let mut body =
            Idle::new(Body::new(StreamBody::new(frames.chain(stream::pending()))), second);

        for _ in 0..3 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        let start = Instant::now();
        let status = body.frame().await.unwrap().unwrap_err();

        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(start.elapsed(), second);
    }
}
