//! One connection to the store, shared by every thread of the process.
//!
//! There is no reader thread. Of the threads that wait for replies one leads: it reads the socket
//! for all of them and hands each reply to the one it belongs to; when it has its own, another
//! leads. So an uncontended call is one send and one receive on the caller's own thread.
//!
//! After a fork the child has no part in its parent's connection: [`Link::is_usable`] says so, and
//! the client connects anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::ConnectOptions;
use super::maps::Maps;
use super::patience::Patience;
use crate::error::{Error, Kind, Result};
use crate::fork::{self, Uninherited};
use crate::index::Reader;
use crate::protocol::frame::{self, Frame, HEADER_BYTES, MAX_BODY_BYTES};
use crate::protocol::message::{
    Abort, Cancel, Hello, Release, Released, Reply, Request, Retired, Welcome,
};
use crate::protocol::{self, socket};

/// What is read when nothing is known to be missing.
const FIRST_READ_BYTES: usize = 4 << 10;

/// The most that is read at once.
const READ_BYTES: usize = 256 << 10;

/// How long a store may take to answer a hello.
const WELCOME_SECONDS: i64 = 5;

/// How long a thread waits before it asks again whether to wait on.
const ASKING: Duration = Duration::from_millis(50);

/// How long a store may take to answer a request that was cancelled.
const CANCELLING: Duration = Duration::from_secs(1);

/// Releases of small objects that may wait for the next request to carry them.
const LAZY_RELEASES: usize = 64;

/// A reply and the descriptors that came beside it.
pub(super) struct Arrived {
    pub(super) reply: Reply,
    pub(super) descriptors: Vec<OwnedFd>,
}

#[derive(Default)]
struct Inbox {
    wanted: HashSet<u64>,
    ready: HashMap<u64, Arrived>,
    leading: bool,
}

#[derive(Default)]
struct Incoming {
    received: BytesMut,
    descriptors: VecDeque<OwnedFd>,
}

/// How far the interruption of one wait is.
#[derive(Default)]
struct Interruption(Option<Instant>);

impl Interruption {
    /// Whether the wait is to end and nobody knows yet.
    fn comes(&mut self, asked: Option<fn() -> bool>) -> bool {
        let comes = self.0.is_none() && asked.is_some_and(|asked| asked());
        if comes {
            self.0 = Some(Instant::now());
        }
        comes
    }

    fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the store does not even answer that.
    fn is_overdue(&self) -> bool {
        self.0.is_some_and(|since| since.elapsed() > CANCELLING)
    }
}

/// A connection and what this process has mapped through it.
pub(super) struct Link {
    /// Before the socket, so that it is dropped before.
    _uninherited: Uninherited,
    socket: OwnedFd,
    pid: u32,
    /// Asked now and then by who waits: whether to wait no longer.
    pub(super) interrupted: Option<fn() -> bool>,
    pub(super) welcome: Welcome,
    pub(super) maps: Maps,
    pub(super) index: Option<Reader>,
    /// When the store was last seen alive without a message, in milliseconds since `start`.
    seen_ms: AtomicU64,
    start: Instant,
    /// How many retired segments this process has taken note of.
    retired: AtomicU64,
    next_id: AtomicU64,
    broken: AtomicBool,
    sending: Mutex<Vec<u8>>,
    releases: Mutex<Vec<Released>>,
    reader: Mutex<Incoming>,
    patience: Patience,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

/// No code panics while it holds one of these locks; if one did, the data is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when nobody listens there, [`Kind::Invalid`] when the store speaks
    /// another protocol version.
    pub(super) fn connect(path: &Path, options: &ConnectOptions) -> Result<Arc<Self>> {
        let unavailable = |errno: rustix::io::Errno| {
            let message = format!(
                "no store at unix:{}: {errno}; start one with `sheaf serve --socket {}`, or say \
                 where it is with --store or SHEAF_STORE",
                path.display(),
                path.display()
            );
            Error::new(Kind::Unavailable, message).because(errno)
        };
        let address = SocketAddrUnix::new(path).map_err(unavailable)?;
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| Error::os("cannot make a socket", errno))?;
        rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address))
            .map_err(unavailable)?;
        if options.interrupted.is_some() {
            // Whoever reads wakes up that often, to be asked.
            set_socket_timeout(&socket, Timeout::Recv, Some(ASKING))
                .map_err(|errno| Error::os("limiting a wait", errno))?;
        }
        Self::greet(socket, options)
    }

    fn greet(socket: OwnedFd, options: &ConnectOptions) -> Result<Arc<Self>> {
        let mut link = Self {
            _uninherited: fork::uninherited(socket.as_fd()),
            socket,
            pid: std::process::id(),
            interrupted: options.interrupted,
            welcome: Welcome {
                version: 0,
                store: [0; 16],
                pid: 0,
                small_bytes: 0,
                body_bytes: 0,
                program: String::new(),
            },
            maps: Maps::new(options.keep_descriptors),
            index: None,
            seen_ms: AtomicU64::new(0),
            start: Instant::now(),
            retired: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            broken: AtomicBool::new(false),
            sending: Mutex::default(),
            releases: Mutex::default(),
            reader: Mutex::default(),
            patience: Patience::new(),
            inbox: Mutex::default(),
            arrived: Condvar::new(),
        };
        let hello = Hello {
            magic: protocol::MAGIC,
            version: protocol::VERSION,
            command: options.command.clone(),
        };
        let id = link.send(&hello.into())?;
        link.await_welcome()?;
        let Arrived { reply, descriptors } = link.receive(id)?;
        match reply {
            Reply::Welcome(welcome) => link.welcome = welcome,
            other => return Err(unexpected(&other)),
        }
        link.index = descriptors.first().map(Reader::new).transpose()?;
        Ok(Arc::new(link))
    }

    /// A store that is stopped takes connections and answers none.
    fn await_welcome(&self) -> Result<()> {
        let mut asked = [PollFd::new(&self.socket, PollFlags::IN)];
        let limit = Timespec { tv_sec: WELCOME_SECONDS, tv_nsec: 0 };
        match rustix::io::retry_on_intr(|| rustix::event::poll(&mut asked, Some(&limit))) {
            Ok(0) => {
                let message = format!(
                    "the store took the connection and has not answered for {WELCOME_SECONDS} s: \
                     is its process stopped, or the machine out of memory?"
                );
                Err(Error::new(Kind::Unavailable, message))
            }
            Ok(_) => Ok(()),
            Err(errno) => Err(self.lost(Some(errno))),
        }
    }

    /// Whether this process may still speak here.
    pub(super) fn is_usable(&self) -> bool {
        self.pid == std::process::id() && !self.broken.load(Ordering::Relaxed)
    }

    /// Whether it belongs to the process that this one was forked from.
    pub(super) fn is_foreign(&self) -> bool {
        self.pid != std::process::id()
    }

    /// Sends a request and waits for its reply; a failure that the store reports is an error.
    pub(super) fn call(&self, request: impl Into<Request>) -> Result<Arrived> {
        let id = self.send(&request.into())?;
        self.receive(id)
    }

    /// Sends a request whose reply will be waited for; returns its id.
    ///
    /// # Errors
    /// [`Kind::Unavailable`]: the store has not got it, so it may be sent again elsewhere.
    pub(super) fn send(&self, request: &Request) -> Result<u64> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.inbox).wanted.insert(id);
        self.transmit(|out| frame::write(out, request.code(), 0, id, |body| request.put(body)))
            .inspect_err(|_| {
                lock(&self.inbox).wanted.remove(&id);
            })?;
        Ok(id)
    }

    /// Waits no more for the reply to request `id`.
    pub(super) fn forget(&self, id: u64) {
        let mut inbox = lock(&self.inbox);
        inbox.wanted.remove(&id);
        inbox.ready.remove(&id);
    }

    /// Sends what `write` makes, behind the releases that wait.
    fn transmit(&self, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut out = lock(&self.sending);
        out.clear();
        let releases = std::mem::take(&mut *lock(&self.releases));
        if !releases.is_empty() {
            put_release(&mut out, releases, Vec::new());
        }
        let before = out.len();
        write(&mut out);
        let body = (out.len() - before).saturating_sub(HEADER_BYTES);
        if body > MAX_BODY_BYTES {
            // The store would end the connection, and everybody's drafts with it.
            out.truncate(before);
            self.send_all(&out)?;
            let message =
                format!("a request of {body} bytes; the limit is {MAX_BODY_BYTES}: split it");
            return Err(Error::new(Kind::Invalid, message));
        }
        self.send_all(&out)
    }

    fn send_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match socket::send(&self.socket, bytes, &[], SendFlags::DONTWAIT) {
                Ok(count) => bytes = &bytes[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => self.make_way()?,
                Err(errno) => return Err(self.lost(Some(errno))),
            }
        }
        Ok(())
    }

    /// Waits until the socket takes more, and takes in replies meanwhile: the store reads no
    /// further requests while too many replies wait to be read.
    fn make_way(&self) -> Result<()> {
        let mut inbox = lock(&self.inbox);
        let leads = !std::mem::replace(&mut inbox.leading, true);
        drop(inbox);
        let events = if leads { PollFlags::IN | PollFlags::OUT } else { PollFlags::OUT };
        let mut asked = [PollFd::new(&self.socket, events)];
        // Whoever leads may be done before the socket takes more: then it is ours to lead.
        let limit = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        let limit = (!leads).then_some(&limit);
        let told = rustix::io::retry_on_intr(|| rustix::event::poll(&mut asked, limit));
        let readable = asked[0].revents().intersects(PollFlags::IN | PollFlags::HUP);
        if !leads {
            // Another thread reads for all of us, or has just stopped: the caller tries again.
            return told.map(|_| ()).map_err(|errno| self.lost(Some(errno)));
        }
        let read = readable.then(|| self.read_frame()).transpose();
        let mut inbox = lock(&self.inbox);
        inbox.leading = false;
        let outcome = read.map(|read| {
            if let Some((frame, descriptors)) = read.flatten() {
                self.deliver(&mut inbox, frame, descriptors);
            }
        });
        self.arrived.notify_all();
        outcome
    }

    /// Waits for the reply to request `id`.
    pub(super) fn receive(&self, id: u64) -> Result<Arrived> {
        let mut interruption = Interruption::default();
        loop {
            match self.await_arrival(id) {
                Some(Ok(Arrived { reply: Reply::Failed(failed), .. })) => {
                    return Err(if interruption.is_under_way() {
                        Error::interrupted()
                    } else {
                        failed.into()
                    });
                }
                Some(outcome) => return outcome,
                None => {}
            }
            // Without a lock: who is asked may have to wait for other threads.
            if interruption.comes(self.interrupted) {
                self.cancel(id);
            } else if interruption.is_overdue() {
                lock(&self.inbox).wanted.remove(&id);
                return Err(Error::interrupted());
            }
        }
    }

    /// Waits a while for the reply to request `id`: for ever, or until it is time to ask whether
    /// to go on.
    fn await_arrival(&self, id: u64) -> Option<Result<Arrived>> {
        let mut inbox = lock(&self.inbox);
        loop {
            if let Some(arrived) = inbox.ready.remove(&id) {
                inbox.wanted.remove(&id);
                return Some(Ok(arrived));
            }
            if self.broken.load(Ordering::Relaxed) {
                inbox.wanted.remove(&id);
                return Some(Err(self.lost(None)));
            }
            if inbox.leading {
                let (woken, late) = self.await_news(inbox);
                inbox = woken;
                if late {
                    return None;
                }
                continue;
            }
            inbox.leading = true;
            drop(inbox);
            let read = self.read_frame();
            inbox = lock(&self.inbox);
            inbox.leading = false;
            // Whoever's reply came takes it; if it is not mine, the one who wakes first leads on.
            self.arrived.notify_all();
            match read {
                Ok(Some((frame, descriptors))) => self.deliver(&mut inbox, frame, descriptors),
                Ok(None) => return None,
                Err(_) => {} // The connection is broken, which the next round tells.
            }
        }
    }

    /// Sleeps until the one who leads has read something; says whether that took too long.
    fn await_news<'a>(&self, inbox: MutexGuard<'a, Inbox>) -> (MutexGuard<'a, Inbox>, bool) {
        if self.interrupted.is_none() {
            let woken = self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner);
            return (woken, false);
        }
        let waited = self.arrived.wait_timeout(inbox, ASKING);
        let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        (woken, waited.timed_out())
    }

    /// Asks the store to answer a request at once: with a failure, if it still waits.
    fn cancel(&self, request: u64) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let cancel = Request::Cancel(Cancel { request });
        // If it fails the connection is gone, and the request with it.
        let _ = self.transmit(|out| {
            frame::write(out, cancel.code(), 0, id, |body| cancel.put(body));
        });
    }

    fn deliver(&self, inbox: &mut Inbox, frame: Frame, descriptors: Vec<OwnedFd>) {
        let id = frame.id;
        match Reply::take(frame.code, frame.body) {
            Ok(Reply::Retired(Retired { containers })) => self.maps.retire(&containers),
            Ok(reply) if inbox.wanted.contains(&id) => {
                inbox.ready.insert(id, Arrived { reply, descriptors });
            }
            Ok(_) => {} // Nobody waits any more: an abort's answer, a reply given up on.
            Err(_) => self.broken.store(true, Ordering::Relaxed),
        }
    }

    /// Reads the next frame for whoever it is; nothing when it is time to ask whether to go on.
    pub(super) fn read_frame(&self) -> Result<Option<(Frame, Vec<OwnedFd>)>> {
        let mut reader = lock(&self.reader);
        loop {
            let taken = frame::take(&mut reader.received).map_err(|_| self.lost(None))?;
            if let Some(frame) = taken {
                let count = frame.descriptors.min(reader.descriptors.len());
                let descriptors = reader.descriptors.drain(..count).collect();
                return Ok(Some((frame, descriptors)));
            }
            let missing = frame::missing(&reader.received).map_err(|_| self.lost(None))?;
            let most = missing.clamp(FIRST_READ_BYTES, READ_BYTES);
            let Incoming { received, descriptors } = &mut *reader;
            let received = self.patience.first_look(|flags| {
                socket::receive(&self.socket, most, received, descriptors, flags)
            });
            match received {
                Ok(0) => return Err(self.lost(None)),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return Ok(None),
                Err(errno) => return Err(self.lost(Some(errno))),
            }
        }
    }

    /// Gives back a hold. A large object's memory goes back at once; small ones wait for company.
    pub(super) fn release(&self, object: u64, container: u64) {
        if !self.is_usable() {
            return;
        }
        let released = Released { object, times: 1 };
        if self.maps.forget_unused(container) {
            let mut out = lock(&self.sending);
            out.clear();
            let mut releases = std::mem::take(&mut *lock(&self.releases));
            releases.push(released);
            put_release(&mut out, releases, vec![container]);
            // If it fails the connection is gone, and the hold with it.
            let _ = self.send_all(&out);
            return;
        }
        let mut releases = lock(&self.releases);
        releases.push(released);
        let many = releases.len() >= LAZY_RELEASES;
        drop(releases);
        if many {
            let _ = self.transmit(|_| {});
        }
    }

    /// Ends a draft without waiting for the answer.
    pub(super) fn abort(&self, object: u64) {
        if self.is_usable() {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let abort = Request::Abort(Abort { object });
            let _ = self.transmit(|out| {
                frame::write(out, abort.code(), 0, id, |body| abort.put(body));
            });
        }
    }

    /// Whether the store is there, as far as the socket tells; asked at most once a millisecond.
    pub(super) fn is_alive(&self) -> bool {
        let now_ms = self.start.elapsed().as_millis() as u64;
        if self.seen_ms.load(Ordering::Relaxed) == now_ms {
            return true;
        }
        let mut asked = [PollFd::new(&self.socket, PollFlags::RDHUP)];
        let told = rustix::event::poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        if told == Ok(0) {
            self.seen_ms.store(now_ms, Ordering::Relaxed);
        } else if told.is_ok() {
            self.broken.store(true, Ordering::Relaxed);
        }
        told == Ok(0)
    }

    /// Lets go of segments when the store has retired some since the last time.
    pub(super) fn note_retired(&self, retired: u64) {
        if self.retired.swap(retired, Ordering::Relaxed) == retired {
            return;
        }
        let forget = self.maps.let_go();
        if !forget.is_empty() {
            // If it fails the connection is gone, and the mappings' books with it.
            let _ = self.transmit(|out| put_release(out, Vec::new(), forget));
        }
    }

    fn lost(&self, errno: Option<rustix::io::Errno>) -> Error {
        self.broken.store(true, Ordering::Relaxed);
        let why = errno.map_or_else(|| "the store closed it".to_owned(), |e| e.to_string());
        Error::new(
            Kind::Unavailable,
            format!(
                "the connection to the store is lost ({why}): tables already mapped stay valid"
            ),
        )
    }
}

fn put_release(out: &mut Vec<u8>, objects: Vec<Released>, forget: Vec<u64>) {
    let release = Request::Release(Release { objects, forget });
    frame::write(out, release.code(), 0, 0, |body| release.put(body));
}

/// A reply that answers something else: a fault of the store.
pub(super) fn unexpected(reply: &Reply) -> Error {
    Error::new(Kind::Internal, format!("the store answered with message {:#04x}", reply.code()))
}
