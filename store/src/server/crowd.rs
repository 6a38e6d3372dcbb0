//! How many connections the store serves at a time.
//!
//! Each takes a descriptor, and so does each large object. Without a limit, who connects often
//! enough would keep everybody from putting anything.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::process::{Resource, getrlimit};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::outbox::Outbox;
use crate::error::{Error, Kind};
use crate::protocol::frame;

/// The least that a store serves, however few descriptors it has.
const LEAST: u64 = 16;

/// How many of those that are turned away may still say hello at a time; more are not listened to.
const LEAVING: usize = 8;

/// How long one that is turned away may take to say hello.
const HELLO_TIME: Duration = Duration::from_secs(1);

/// The most that such a hello may take, in bytes.
const HELLO_BYTES: usize = 4 << 10;

/// Who is connected, and who is being turned away.
pub(super) struct Crowd {
    seats: Arc<Semaphore>,
    leaving: Arc<Semaphore>,
    most: usize,
}

impl Crowd {
    /// Half of the descriptors that this process may have are for connections.
    pub(super) fn new() -> Self {
        let half = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 2;
        let most = usize::try_from(half.max(LEAST)).unwrap_or(usize::MAX);
        let most = most.min(Semaphore::MAX_PERMITS);
        let (seats, leaving) = (Semaphore::new(most).into(), Semaphore::new(LEAVING).into());
        Self { seats, leaving, most }
    }

    /// A seat, given back when it is dropped; none when all are taken.
    pub(super) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.clone().try_acquire_owned().ok()
    }

    /// Tells a client for whom there is no seat so, and hangs up.
    pub(super) fn turn_away(&self, stream: UnixStream) {
        let most = self.most;
        let message = format!(
            "the store has {most} connections, the most it serves: close some, or raise the \
             descriptor limit"
        );
        let error = Error::new(Kind::Full, message);
        let Ok(leaving) = self.leaving.clone().try_acquire_owned() else {
            return answer(&stream, 0, &error);
        };
        tokio::spawn(async move {
            // It looks for the answer to its hello, so that is heard first.
            let hello = tokio::time::timeout(HELLO_TIME, hello_id(&stream)).await;
            answer(&stream, hello.ok().flatten().unwrap_or(0), &error);
            drop(leaving);
        });
    }
}

fn answer(stream: &UnixStream, id: u64, error: &Error) {
    let outbox = Outbox::default();
    outbox.fail(id, error);
    let _ = outbox.flush(stream);
}

/// The id of the first frame.
async fn hello_id(stream: &UnixStream) -> Option<u64> {
    let mut received = BytesMut::new();
    let mut chunk = [0; 512];
    while received.len() < HELLO_BYTES {
        stream.readable().await.ok()?;
        match stream.try_read(&mut chunk) {
            Ok(0) => return None,
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        if let Some(frame) = frame::take(&mut received).ok()? {
            return Some(frame.id);
        }
    }
    None
}
