//! Listeners, and the connections that come through them.
//!
//! Bound before the store is up, so that an address that is taken is known at once. What goes wrong
//! with one connection, or for lack of descriptors, ends no listener.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sheaf_store::{Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::transport::server::Connected;

use crate::address::Address;
use crate::sendfile::{Mapped, Sending};
use crate::tuning;

/// How long to wait when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that does not listen to anybody yet.
pub(crate) struct Bound {
    address: Address,
    socket: Socket,
}

enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, Claim),
}

/// A Unix socket's path; the socket is removed on drop.
struct Claim(PathBuf);

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Bound {
    /// Binds an address.
    ///
    /// # Errors
    /// [`Kind::Exists`] when somebody else listens there; [`Kind::Unavailable`] when it can't be
    /// bound otherwise.
    pub(crate) fn new(address: &Address) -> Result<Self> {
        let fail = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::AddrInUse => Kind::Exists,
                io::ErrorKind::PermissionDenied => Kind::Denied,
                _ => Kind::Unavailable,
            };
            let message = format!("cannot listen on {address}: {error}: choose another --flight");
            Error::new(kind, message).because(error)
        };
        let socket = match address {
            Address::Tcp(at) => {
                let listener = std::net::TcpListener::bind(at).map_err(fail)?;
                listener.set_nonblocking(true).map_err(fail)?;
                Socket::Tcp(listener)
            }
            Address::Unix(path) => {
                let (listener, claim) = bind_unix(path).map_err(fail)?;
                Socket::Unix(listener, claim)
            }
        };
        let address = match &socket {
            Socket::Tcp(listener) => Address::Tcp(listener.local_addr().map_err(fail)?),
            Socket::Unix(..) => address.clone(),
        };
        Ok(Self { address, socket })
    }

    /// The address, with the port that was taken.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is a TCP address.
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    /// Accepts connections into `accepted` until its other end is gone; `seats` are how many there
    /// may be at a time.
    pub(crate) async fn accept(
        self,
        accepted: mpsc::Sender<io::Result<Connection>>,
        seats: Arc<Semaphore>,
        mapped: Mapped,
    ) -> io::Result<()> {
        let _claim;
        let listener = match self.socket {
            Socket::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener, claim) => {
                _claim = claim;
                Listener::Unix(UnixListener::from_std(listener)?)
            }
        };
        loop {
            // Who finds no seat waits in the kernel's queue.
            let seat = tokio::select! {
                seat = seats.clone().acquire_owned() => seat.map_err(io::Error::other)?,
                () = accepted.closed() => return Ok(()),
            };
            let stream = tokio::select! {
                stream = listener.accept(&mapped) => stream,
                () = accepted.closed() => return Ok(()),
            };
            match stream {
                Ok(stream) => {
                    if accepted.send(Ok(Connection { stream, _seat: seat })).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a Flight connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Binds a Unix socket, mode 0600. A dead one in its place is replaced, a live one is not.
fn bind_unix(path: &Path) -> io::Result<(std::os::unix::net::UnixListener, Claim)> {
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    let claim = Claim(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok((listener, claim))
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    async fn accept(&self, mapped: &Mapped) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                tuning::tcp(&socket, peer.ip().is_loopback());
                Ok(Stream::Tcp(Sending::new(socket, mapped.clone())))
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                tuning::unix(&socket);
                Ok(Stream::Unix(Sending::new(socket, mapped.clone())))
            }
        }
    }
}

/// A connection, which has a seat as long as it lives.
pub(crate) struct Connection {
    stream: Stream,
    _seat: OwnedSemaphorePermit,
}

enum Stream {
    Tcp(Sending<TcpStream>),
    Unix(Sending<UnixStream>),
}

/// Who is at the other end: an address, or somebody on a Unix socket.
#[derive(Clone)]
pub(crate) struct ConnectInfo(Option<IpAddr>);

impl ConnectInfo {
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.0
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectInfo;

    fn connect_info(&self) -> ConnectInfo {
        match &self.stream {
            Stream::Tcp(stream) => {
                ConnectInfo(stream.connect_info().remote_addr().map(|peer| peer.ip()))
            }
            Stream::Unix(_) => ConnectInfo(None),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
