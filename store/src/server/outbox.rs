//! What waits to be sent to one client.
//!
//! Whoever answers pushes whole frames; only the connection's own task sends them. A client that
//! does not read fills its own outbox: its requests are not read until it does.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::sync::Notify;

use crate::error::Error;
use crate::protocol::frame;
use crate::protocol::message::{Failed, Reply, Retired};
use crate::protocol::socket;

/// Above this many unsent bytes no further request is read.
const FULL_BYTES: usize = 4 << 20;

/// Above this many unsent bytes even events, which nobody asked for one by one, are too many.
const FLOODED_BYTES: usize = 32 << 20;

/// Above this many unsent descriptors no further request is read: in flight they count against
/// the whole user's limit.
const FULL_DESCRIPTORS: usize = 256;

/// Below this many unsent bytes a replay goes on: well below what keeps requests from being read.
const REPLAY_BYTES: usize = 1 << 20;

/// How long to wait when the user has as many descriptors in flight as the kernel allows: they
/// may be anybody's, so nothing tells when they arrive.
const STALL: Duration = Duration::from_millis(10);

/// The requests that one client may have waiting in the store, by their bytes.
const PENDING_BYTES: usize = 32 << 20;

#[derive(Default)]
struct Queue {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    descriptors: usize,
    retired: Vec<u64>,
    /// Until when the kernel takes no descriptors.
    stalled_until: Option<Instant>,
    /// The connection has ended: nothing will be sent any more.
    closed: bool,
}

struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Vec<OwnedFd>,
}

/// One client's unsent frames.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    pending_bytes: AtomicUsize,
    changed: Notify,
    drained: Notify,
}

impl Outbox {
    /// Queues a reply to request `id`.
    pub(super) fn reply(&self, id: u64, reply: impl Into<Reply>) {
        self.reply_with(id, reply, Vec::new());
    }

    /// Queues a reply to request `id` with descriptors beside it.
    pub(super) fn reply_with(&self, id: u64, reply: impl Into<Reply>, descriptors: Vec<OwnedFd>) {
        let mut queue = self.queue.lock().expect("no code panics under this lock");
        let mut bytes = Vec::with_capacity(128);
        if !queue.retired.is_empty() {
            let containers = std::mem::take(&mut queue.retired);
            encode(&mut bytes, 0, &Retired { containers }.into(), 0);
            queue.push(Outgoing {
                bytes: std::mem::take(&mut bytes),
                sent: 0,
                descriptors: vec![],
            });
        }
        encode(&mut bytes, id, &reply.into(), descriptors.len());
        queue.push(Outgoing { bytes, sent: 0, descriptors });
        drop(queue);
        self.changed.notify_one();
    }

    /// Queues the error as the answer to request `id`.
    pub(super) fn fail(&self, id: u64, error: &Error) {
        self.reply(id, Failed::from(error));
    }

    /// Tells the client, before its next reply, that it should unmap this container.
    pub(super) fn retire(&self, container: u64) {
        self.queue.lock().expect("no code panics under this lock").retired.push(container);
    }

    /// Whether further requests may be read.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.queue.lock().expect("no code panics under this lock");
        queue.bytes < FULL_BYTES
            && queue.descriptors < FULL_DESCRIPTORS
            && self.pending_bytes.load(Ordering::Relaxed) < PENDING_BYTES
    }

    /// Whether so much is unsent that events must stop.
    pub(super) fn is_flooded(&self) -> bool {
        self.queue.lock().expect("no code panics under this lock").bytes > FLOODED_BYTES
    }

    /// Whether everything was sent.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.lock().expect("no code panics under this lock").frames.is_empty()
    }

    /// Counts bytes of a request that waits in the store.
    pub(super) fn add_pending(&self, bytes: usize) {
        self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes such bytes off again.
    pub(super) fn remove_pending(&self, bytes: usize) {
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Resolves when something was queued, room was made, or it is time to try again.
    pub(super) async fn changed(&self) {
        let stalled = self.queue.lock().expect("no code panics under this lock").stalled_until;
        let Some(until) = stalled else { return self.changed.notified().await };
        tokio::select! {
            () = self.changed.notified() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }

    /// Resolves when little is unsent, or the connection has ended.
    pub(super) async fn drained(&self) {
        loop {
            let told = self.drained.notified();
            if self.queue.lock().expect("no code panics under this lock").is_drained() {
                return;
            }
            told.await;
        }
    }

    /// The connection has ended.
    pub(super) fn close(&self) {
        self.queue.lock().expect("no code panics under this lock").closed = true;
        self.drained.notify_waiters();
    }

    /// Sends until all is sent (`Ok(true)`) or the socket is full (`Ok(false)`).
    pub(super) fn flush(&self, socket: impl AsFd) -> rustix::io::Result<bool> {
        let mut queue = self.queue.lock().expect("no code panics under this lock");
        let sent =
            queue.flush(|bytes, beside| socket::send(&socket, bytes, beside, SendFlags::DONTWAIT));
        if queue.is_drained() {
            self.drained.notify_waiters();
        }
        sent
    }
}

impl Queue {
    fn push(&mut self, frame: Outgoing) {
        self.bytes += frame.bytes.len();
        self.descriptors += frame.descriptors.len();
        self.frames.push_back(frame);
    }

    fn is_drained(&self) -> bool {
        self.bytes < REPLAY_BYTES || self.closed
    }

    fn flush(
        &mut self,
        mut send: impl FnMut(&[u8], &[BorrowedFd<'_>]) -> rustix::io::Result<usize>,
    ) -> rustix::io::Result<bool> {
        if self.stalled_until.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        self.stalled_until = None;
        while let Some(front) = self.frames.front_mut() {
            let beside: Vec<_> = front.descriptors.iter().map(AsFd::as_fd).collect();
            let rest = &front.bytes[front.sent..];
            match send(rest, &beside) {
                Ok(count) => {
                    drop(beside);
                    let whole = count == rest.len();
                    front.sent += count;
                    // They went with the first byte; ours are closed now, so that the kernel's
                    // lease can tell whether the client still has them.
                    let gone = std::mem::take(&mut front.descriptors).len();
                    self.bytes -= count;
                    self.descriptors -= gone;
                    if whole {
                        self.frames.pop_front();
                    }
                }
                Err(Errno::AGAIN) => return Ok(false),
                // No fault of this client's, and it passes.
                Err(Errno::TOOMANYREFS) => {
                    self.stalled_until = Some(Instant::now() + STALL);
                    return Ok(false);
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}

fn encode(out: &mut Vec<u8>, id: u64, reply: &Reply, descriptors: usize) {
    frame::write(out, reply.code(), descriptors, id, |body| reply.put(body));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::message::Done;

    fn queue(outbox: &Outbox) -> std::sync::MutexGuard<'_, Queue> {
        outbox.queue.lock().unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn too_many_descriptors_in_flight_end_nothing_and_are_tried_again() {
        let outbox = Outbox::default();
        outbox.reply_with(1, Done {}, vec![std::fs::File::open("/dev/null").unwrap().into()]);
        outbox.changed().await; // Of the reply.

        let refused = queue(&outbox).flush(|_, _| Err(Errno::TOOMANYREFS));
        assert_eq!(refused, Ok(false));
        let at_once = queue(&outbox).flush(|_, _| panic!("it is too early"));
        assert_eq!(at_once, Ok(false));

        outbox.changed().await; // By time alone.

        let mut descriptors = 0;
        let sent = queue(&outbox).flush(|bytes, beside| {
            descriptors += beside.len();
            Ok(bytes.len())
        });
        assert_eq!((sent, descriptors), (Ok(true), 1));
        assert!(outbox.is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_replay_need_not_wait_for_who_has_left() {
        let outbox = Outbox::default();
        outbox.drained().await;
        queue(&outbox).bytes = REPLAY_BYTES;

        let (told, ()) = tokio::join!(outbox.drained(), async { outbox.close() });

        assert_eq!(told, ());
    }
}
