//! Frames ⇄ the socket: `sendmsg` and `recvmsg` with descriptors beside the bytes.
//!
//! Blocking or not is the descriptor's own setting or the caller's flag; both doors' ends use the
//! same two functions. Received descriptors are close-on-exec from the first moment.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::{BufMut, BytesMut};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use super::frame::MAX_DESCRIPTORS;

/// Sends some of `bytes`, with `descriptors` beside the first; returns how many went.
///
/// # Errors
/// The kernel's; `EAGAIN` when the socket is full and does not block.
pub fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let flags = flags | SendFlags::NOSIGNAL;
    if descriptors.is_empty() {
        return rustix::io::retry_on_intr(|| rustix::net::send(&socket, bytes, flags));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let fits = beside.push(SendAncillaryMessage::ScmRights(descriptors));
    debug_assert!(fits, "at most {MAX_DESCRIPTORS} descriptors beside a frame");
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, flags)
}

/// Receives at most `most` bytes behind what is there, and the descriptors beside them.
/// Returns how many bytes came; 0 is the end.
///
/// # Errors
/// The kernel's; `EAGAIN` when nothing is there and the socket does not block.
pub fn receive(
    socket: impl AsFd,
    most: usize,
    received: &mut BytesMut,
    descriptors: &mut impl Extend<OwnedFd>,
    flags: RecvFlags,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    // Only what is asked for is reserved, so a length that a peer merely claims costs nothing
    // until its bytes come.
    let start = received.len();
    received.put_bytes(0, most);
    let outcome = rustix::net::recvmsg(
        &socket,
        &mut [IoSliceMut::new(&mut received[start..])],
        &mut beside,
        flags | RecvFlags::CMSG_CLOEXEC,
    );
    received.truncate(start + outcome.as_ref().map_or(0, |message| message.bytes));
    let message = outcome?;
    if message.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        // Descriptors were lost (our own limit): the stream can't be trusted to match any more.
        return Err(Errno::MFILE);
    }
    for item in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = item {
            descriptors.extend(fds);
        }
    }
    Ok(message.bytes)
}
