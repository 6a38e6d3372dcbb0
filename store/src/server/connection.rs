//! One client's connection: frames in, frames out, until either side ends it.
//!
//! The task reads only while its outbox has room, so a client that does not read its replies
//! stops being served and costs nothing more. Whatever goes wrong here ends this connection only.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::keeper::{Keeper, Session};
use super::outbox::Outbox;
use crate::error::{Error, Kind, Result};
use crate::object::Peer;
use crate::protocol::message::{Hello, Request, Welcome};
use crate::protocol::{self, frame, socket};

/// How long a new connection may take to say hello.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// The most that is read at once: the others get their turn in between.
const READ_BYTES: usize = 256 << 10;

/// The frames that one connection has handled before others get their turn.
const FRAMES_A_TURN: usize = 64;

/// The most that a hello may take, in bytes: who sends it is nobody yet.
const HELLO_BYTES: usize = 4 << 10;

/// What is read when nothing is known to be missing: most requests fit.
const FIRST_READ_BYTES: usize = 4 << 10;

/// Serves one connection to its end.
pub(super) async fn serve(socket: UnixStream, peer: Peer, keeper: Arc<Keeper>) {
    let mut received = BytesMut::new();
    let hello = tokio::time::timeout(HELLO_TIME, first_frame(&socket, &mut received)).await;
    let Ok(Some(hello)) = hello else { return };
    let session = keeper.connect(peer.clone());
    match greet(hello, peer, &keeper, &session) {
        Ok(()) => serve_requests(&socket, received, &keeper, &session).await,
        Err((id, error)) => {
            session.outbox.fail(id, &error);
            let _ = session.outbox.flush(&socket);
        }
    }
    keeper.disconnect(&session);
}

/// Checks the hello and answers it.
fn greet(
    hello: frame::Frame,
    mut peer: Peer,
    keeper: &Keeper,
    session: &Session,
) -> Result<(), (u64, Error)> {
    let id = hello.id;
    let request = Request::take(hello.code, hello.body).map_err(|error| (id, error))?;
    let Request::Hello(Hello { magic, version, command }) = request else {
        return Err((id, Error::new(Kind::Invalid, "the first message must be a hello")));
    };
    if magic != protocol::MAGIC || version != protocol::VERSION {
        let message = format!(
            "this store speaks protocol {}; the client came with {version}: use the same release",
            protocol::VERSION
        );
        return Err((id, Error::new(Kind::Invalid, message)));
    }
    if !command.is_empty() {
        peer.command = command.chars().filter(|c| !c.is_control()).take(64).collect();
        keeper.rename(session, peer);
    }
    let welcome = Welcome {
        version: protocol::VERSION,
        store: keeper.store_id(),
        pid: std::process::id(),
        small_bytes: keeper.small_bytes(),
        body_bytes: frame::MAX_BODY_BYTES as u32,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let index = keeper.open_index().map_err(|error| (id, error))?;
    session.outbox.reply_with(id, welcome, vec![index]);
    Ok(())
}

async fn first_frame(socket: &UnixStream, received: &mut BytesMut) -> Option<frame::Frame> {
    loop {
        if let Some(frame) = frame::take(received).ok()? {
            return Some(frame);
        }
        if frame::missing(received).ok()? > HELLO_BYTES {
            return None;
        }
        socket.readable().await.ok()?;
        if !read_some(socket, received) {
            return None;
        }
    }
}

async fn serve_requests(
    socket: &UnixStream,
    mut received: BytesMut,
    keeper: &Arc<Keeper>,
    session: &Session,
) {
    let outbox = &session.outbox;
    loop {
        let turn = handle_received(&mut received, keeper, session);
        if turn == Turn::Broken {
            let _ = outbox.flush(socket);
            return;
        }
        if outbox.flush(socket).is_err() || session.is_over() {
            return;
        }
        // However much comes, the others get their turn.
        tokio::task::yield_now().await;
        if turn == Turn::Over {
            continue;
        }
        let blocked = !outbox.is_empty();
        tokio::select! {
            () = outbox.changed() => {}
            ready = socket.writable(), if blocked => {
                if ready.is_err() || !write_some(socket, outbox) {
                    return;
                }
            }
            ready = socket.readable(), if outbox.has_room() => {
                if ready.is_err() || !read_some(socket, &mut received) {
                    return;
                }
            }
        }
    }
}

/// How a turn of handling frames ended.
#[derive(PartialEq)]
enum Turn {
    /// Nothing whole is left, or the outbox is full.
    Done,
    /// There is more, and others wait.
    Over,
    /// The stream can't be understood any more.
    Broken,
}

/// Handles whole frames, a turn's worth.
fn handle_received(received: &mut BytesMut, keeper: &Arc<Keeper>, session: &Session) -> Turn {
    for _ in 0..FRAMES_A_TURN {
        if !session.outbox.has_room() {
            return Turn::Done;
        }
        match frame::take(received) {
            Ok(Some(frame)) => keeper.handle(session, frame),
            Ok(None) => return Turn::Done,
            Err(error) => {
                session.outbox.fail(0, &error);
                return Turn::Broken;
            }
        }
    }
    Turn::Over
}

/// Sends what the socket takes; false when the connection is over.
fn write_some(socket: &UnixStream, outbox: &Outbox) -> bool {
    let written = socket.try_io(Interest::WRITABLE, || {
        let all = outbox.flush(socket)?;
        if all { Ok(()) } else { Err(std::io::ErrorKind::WouldBlock.into()) }
    });
    goes_on(written)
}

/// Receives what is there; false when the connection is over.
fn read_some(socket: &UnixStream, received: &mut BytesMut) -> bool {
    let missing = frame::missing(received).unwrap_or(0);
    let most = missing.clamp(FIRST_READ_BYTES, READ_BYTES);
    // Clients send no descriptors; what a hostile one sends is closed at once.
    let mut unwanted: Vec<OwnedFd> = Vec::new();
    let read = socket.try_io(Interest::READABLE, || {
        match socket::receive(socket, most, received, &mut unwanted, RecvFlags::DONTWAIT)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    });
    goes_on(read)
}

fn goes_on(outcome: std::io::Result<()>) -> bool {
    outcome.map_or_else(|error| error.kind() == std::io::ErrorKind::WouldBlock, |()| true)
}
