//! How long a call may last, and how long its client may keep the answer waiting.
//!
//! ```text
//! grpc-timeout, limits ─▶ Timer ─┬─ before the answer, or while it is made: DEADLINE_EXCEEDED
//!                                └─ while the client takes nothing of it: the stream is reset
//! ```
//!
//! An answer whose client does not read is not asked for its next frame, so no body can end it:
//! its task must be ended from outside. [`Calls`] runs every call in a task that watches its timer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tonic::body::Body;
use tonic::{Code, Status};

/// How long after its deadline a call is ended that could not say so by itself.
const GRACE: Duration = Duration::from_millis(250);

/// Longer than any call may last.
const NEVER: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

tokio::task_local! {
    static TIMER: Timer;
}

/// The time of the call that this task runs. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Timer(Arc<Mutex<Times>>);

#[derive(Clone, Copy, Default)]
struct Times {
    /// When the call ends at the latest.
    deadline: Option<Instant>,
    /// When its client must have taken the frame that it was given.
    taken_by: Option<Instant>,
}

impl Timer {
    /// The timer of this task's call.
    pub(crate) fn current() -> Self {
        TIMER.try_with(Self::clone).unwrap_or_default()
    }

    /// Begins a call that ends at `deadline` at the latest.
    pub(crate) fn begin(&self, deadline: Instant) {
        self.set(|times| times.deadline = Some(deadline));
    }

    fn set(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// When the task must be ended; nothing if it needs no end.
    fn end(&self) -> Option<Instant> {
        let times = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = times.deadline.map(|deadline| deadline + GRACE);
        [deadline, times.taken_by].into_iter().flatten().min()
    }

    /// Ends when the call must. The call changes its times only when it is polled, and after each
    /// of its polls this is polled, too.
    async fn over(&self) {
        // Not asked for before it is set: a timer that is due at once wakes a thread.
        let mut sleep = pin!(sleep(NEVER));
        std::future::poll_fn(|cx| {
            let Some(end) = self.end() else { return Poll::Pending };
            loop {
                // Later ends are found out about when the earlier one has come.
                if end < sleep.deadline() || sleep.is_elapsed() {
                    sleep.as_mut().reset(end);
                }
                ready!(sleep.as_mut().poll(cx));
                if end <= Instant::now() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}

/// Runs calls in tasks that end when their time is over.
#[derive(Clone)]
pub(crate) struct Calls;

impl<F> hyper::rt::Executor<F> for Calls
where
    F: Future + Send + 'static,
{
    fn execute(&self, call: F) {
        let timer = Timer::default();
        tokio::spawn(TIMER.scope(timer.clone(), async move {
            let call = pin!(call);
            tokio::select! {
                biased;
                _ = call => {}
                () = timer.over() => tracing::debug!("a call was ended: its time is over"),
            }
        }));
    }
}

/// How long the client gives the call, as it says.
///
/// # Errors
/// INVALID_ARGUMENT when it can't be read.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let wrong = || Status::invalid_argument("grpc-timeout is not 1 to 8 digits and a unit");
    let text = value.to_str().map_err(|_| wrong())?;
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return Err(wrong());
    }
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        "H" => Ok(Some(Duration::from_secs(count * 3600))),
        "M" => Ok(Some(Duration::from_secs(count * 60))),
        "S" => Ok(Some(Duration::from_secs(count))),
        "m" => Ok(Some(Duration::from_millis(count))),
        "u" => Ok(Some(Duration::from_micros(count))),
        "n" => Ok(Some(Duration::from_nanos(count))),
        _ => Err(wrong()),
    }
}

/// What a call is told that took too long.
pub(crate) fn exceeded(limit: Duration) -> Status {
    Status::deadline_exceeded(format!("the call took longer than {limit:?}, its deadline"))
}

/// An answer that ends in time.
pub(crate) struct Timed<T> {
    body: Body,
    timer: Timer,
    limit: Duration,
    stall: Duration,
    sleep: Pin<Box<Sleep>>,
    ended: bool,
    /// Dropped with the answer.
    _kept: T,
}

impl<T> Timed<T> {
    /// The body, to end `limit` after `begun`; each of its frames to be taken within `stall`.
    pub(crate) fn new(
        body: Body,
        begun: Instant,
        limit: Duration,
        stall: Duration,
        kept: T,
    ) -> Self {
        let timer = Timer::current();
        let deadline = begun + limit;
        timer.begin(deadline);
        let sleep = Box::pin(sleep_until(deadline));
        Self { body, timer, limit, stall, sleep, ended: false, _kept: kept }
    }
}

impl<T: Unpin> http_body::Body for Timed<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.timer.set(|times| times.taken_by = None);
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let taken_by = Instant::now() + self.stall;
            if taken_by - self.stall < self.sleep.deadline() {
                self.timer.set(|times| times.taken_by = Some(taken_by));
                return Poll::Ready(frame);
            }
        }
        ready!(self.sleep.as_mut().poll(cx));
        self.ended = true;
        let mut trailers = HeaderMap::new();
        if exceeded(self.limit).add_header(&mut trailers).is_err() {
            let code = HeaderValue::from(Code::DeadlineExceeded as i32);
            trailers.insert("grpc-status", code);
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::rt::Executor;

    use super::*;

    fn of(text: &str) -> Result<Option<Duration>, Code> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        of_headers(&headers).map_err(|status| status.code())
    }

    #[test]
    fn a_deadline_is_read_as_grpc_writes_it() {
        for (text, time) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("5m", Duration::from_millis(5)),
            ("0u", Duration::ZERO),
            ("70n", Duration::from_nanos(70)),
        ] {
            assert_eq!(of(text), Ok(Some(time)), "{text}");
        }
        for text in ["", "S", "1", "1s", "+1S", "-1S", "123456789S", "1 S", "1SS"] {
            assert_eq!(of(text), Err(Code::InvalidArgument), "{text}");
        }
        assert!(matches!(of_headers(&HeaderMap::new()), Ok(None)));
    }

    fn never() -> Body {
        Body::new(http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, Status>,
        >()))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_made_in_time_says_so() {
        let second = Duration::from_secs(1);
        let mut body = Timed::new(never(), Instant::now(), second, second, ());

        let frame = body.frame().await.unwrap().unwrap();

        let trailers = frame.into_trailers().ok().unwrap();
        assert_eq!(trailers["grpc-status"], "4");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_ended() {
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let (stall, limit) = (Duration::from_secs(5), Duration::from_secs(3600));
        let start = Instant::now();

        Calls.execute(async move {
            let body = Body::new(http_body_util::Full::new(Bytes::from_static(b"x")));
            let mut timed = Timed::new(body, Instant::now(), limit, stall, ended);
            let _ = timed.frame().await;
            std::future::pending::<()>().await; // As if the window were closed.
        });

        assert!(end.await.is_err());
        assert_eq!(start.elapsed(), stall);
    }

    #[tokio::test(start_paused = true)]
    async fn the_makers_time_is_not_the_takers() {
        let (stall, limit) = (Duration::from_secs(5), Duration::from_secs(3600));
        let start = Instant::now();
        let (ended, end) = tokio::sync::oneshot::channel::<()>();

        Calls.execute(async move {
            let mut timed = Timed::new(never(), Instant::now(), limit, stall, ended);
            let _ = timed.frame().await;
        });

        assert!(end.await.is_err());
        assert_eq!(start.elapsed(), limit);
    }
}
