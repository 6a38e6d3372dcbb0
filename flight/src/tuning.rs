//! How sockets and HTTP/2 are set: what made a difference when it was measured.
//!
//! - **The send buffer.** A socket that sizes it itself grows it far beyond what the receiver keeps
//!   up with, even on one machine; then it retransmits. A fixed, small one never did.
//! - **Congestion control.** On a loopback address there is no congestion to control, and `bbr`,
//!   the default in places, paces what need not be paced. `reno` needs no privilege.
//! - **Windows and frames.** A frame of HTTP/2 is a system call: large ones are fewer.

use std::os::fd::AsFd;

use hyper::server::conn::http2;
use hyper_util::rt::TokioTimer;
use rustix::net::sockopt::{set_socket_send_buffer_size, set_tcp_congestion, set_tcp_nodelay};

use crate::deadline::Calls;
use crate::limits::Limits;

/// The send buffer of a connection, in bytes. Server CPU a GB, messages of 1 MiB and 4 MiB: 128 KiB
/// 0.27 and 0.21 s, 256 KiB 0.24 and 0.18 s, 512 KiB 0.21 and 0.17 s, but a tenth slower.
const SEND_BUFFER_BYTES: usize = 384 << 10;

/// The largest frame of HTTP/2 that is taken, in bytes. A frame is a buffer that is filled, copied
/// from and freed: one that is much larger than the processor's cache is slower.
const FRAME_BYTES: u32 = 512 << 10;

/// What a client may send ahead in one stream, and in all of a connection, in bytes.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// Sets a TCP socket. What the kernel does not take is left as it is.
pub(crate) fn tcp(socket: impl AsFd, is_loopback: bool) {
    let socket = socket.as_fd();
    let _ = set_tcp_nodelay(socket, true);
    let _ = set_socket_send_buffer_size(
        socket,
        std::env::var("SHEAF_SND").ok().and_then(|v| v.parse().ok()).unwrap_or(SEND_BUFFER_BYTES),
    );
    if is_loopback {
        let _ = set_tcp_congestion(socket, "reno");
    }
}

/// Sets a Unix socket.
pub(crate) fn unix(socket: impl AsFd) {
    let _ = set_socket_send_buffer_size(socket.as_fd(), SEND_BUFFER_BYTES);
}

/// HTTP/2 as connections have it.
pub(crate) fn http2(limits: &Limits) -> http2::Builder<Calls> {
    let mut builder = http2::Builder::new(Calls);
    builder
        .timer(TokioTimer::new())
        .max_frame_size(FRAME_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits.calls)
        .max_header_list_size(limits.metadata_bytes)
        .keep_alive_interval(limits.keep_alive)
        .auto_date_header(false);
    builder
}
