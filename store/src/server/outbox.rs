//! What waits to be sent to one client.
//!
//! Whoever answers pushes whole frames; only the connection's own task sends them. A client that
//! does not read fills its own outbox: its requests are not read until it does.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// The requests that one client may have waiting in the store, by their bytes.
const PENDING_BYTES: usize = 32 << 20;

#[derive(Default)]
struct Queue {
    frames: VecDeque<Outgoing>,
    bytes: usize,
    descriptors: usize,
    retired: Vec<u64>,
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

    /// Resolves when something was queued or room was made.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Sends until all is sent (`Ok(true)`) or the socket is full (`Ok(false)`).
    pub(super) fn flush(&self, socket: impl AsFd) -> rustix::io::Result<bool> {
        let mut queue = self.queue.lock().expect("no code panics under this lock");
        while let Some(front) = queue.frames.front_mut() {
            let beside: Vec<_> = front.descriptors.iter().map(AsFd::as_fd).collect();
            let rest = &front.bytes[front.sent..];
            match socket::send(&socket, rest, &beside, SendFlags::DONTWAIT) {
                Ok(count) => {
                    drop(beside);
                    let whole = count == rest.len();
                    front.sent += count;
                    // They went with the first byte; ours are closed now, so that the kernel's
                    // lease can tell whether the client still has them.
                    let gone = std::mem::take(&mut front.descriptors).len();
                    queue.bytes -= count;
                    queue.descriptors -= gone;
                    if whole {
                        queue.frames.pop_front();
                    }
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}

impl Queue {
    fn push(&mut self, frame: Outgoing) {
        self.bytes += frame.bytes.len();
        self.descriptors += frame.descriptors.len();
        self.frames.push_back(frame);
    }
}

fn encode(out: &mut Vec<u8>, id: u64, reply: &Reply, descriptors: usize) {
    frame::write(out, reply.code(), descriptors, id, |body| reply.put(body));
}
