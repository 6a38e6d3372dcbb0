//! Listeners: bound before the store is up, so that an address that is taken is known at once.
//!
//! Nothing that a client does or leaves undone keeps the next one waiting: whatever takes time is
//! done in the connection's own task. What goes wrong with one connection, or for lack of
//! descriptors, ends no listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sheaf_store::server::Listener as Claimed;
use sheaf_store::{Error, Kind, Result};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::address::Address;
use crate::connection::{self, Accepted};
use crate::gate::Shared;
use crate::neighbour::{self, Neighbours};
use crate::peer::{Origin, Peer};
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
    Unix(Claimed),
}

impl Bound {
    /// Binds an address.
    ///
    /// # Errors
    /// [`Kind::Exists`] when somebody else listens there; [`Kind::Denied`] when it may not be
    /// bound; [`Kind::Unavailable`] when it can't be otherwise.
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
        match address {
            Address::Tcp(at) => {
                let listener = std::net::TcpListener::bind(at).map_err(fail)?;
                listener.set_nonblocking(true).map_err(fail)?;
                let address = Address::Tcp(listener.local_addr().map_err(fail)?);
                Ok(Self { address, socket: Socket::Tcp(listener) })
            }
            Address::Unix(path) => {
                let claimed = Claimed::bind(path, "--flight")?;
                Ok(Self { address: address.clone(), socket: Socket::Unix(claimed) })
            }
        }
    }

    /// The address, with the port that was taken.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts connections until told to stop.
    pub(crate) async fn accept(self, hall: Hall) -> io::Result<()> {
        let mut stop = hall.stop.clone();
        tokio::select! {
            never = self.listen(hall) => never,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    async fn listen(self, hall: Hall) -> io::Result<()> {
        match self.socket {
            Socket::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    match listener.accept().await {
                        Ok((socket, peer)) => {
                            let Ok(here) = socket.local_addr() else { continue };
                            tuning::tcp(&socket, peer.ip().to_canonical().is_loopback());
                            let accepted = match &hall.tls {
                                Some(tls) => Accepted::Tls(socket, tls.clone()),
                                None => Accepted::Tcp(Sending::new(socket, hall.mapped.clone())),
                            };
                            hall.seat(accepted, Origin::Tcp(peer), Some(here));
                        }
                        Err(error) => pause(&error).await,
                    }
                }
            }
            Socket::Unix(claimed) => {
                let listener = UnixListener::from_std(claimed.socket)?;
                let _claim = claimed.claim;
                loop {
                    match listener.accept().await {
                        Ok((socket, _)) => {
                            let Some(origin) = owner(&socket) else { continue };
                            tuning::unix(&socket);
                            let sending = Sending::new(socket, hall.mapped.clone());
                            hall.seat(Accepted::Unix(sending), origin, None);
                        }
                        Err(error) => pause(&error).await,
                    }
                }
            }
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "a Flight connection could not be accepted");
    tokio::time::sleep(PAUSE).await;
}

/// Who is at the other end, if he is the store's user or root: as at the near door.
fn owner(socket: &tokio::net::UnixStream) -> Option<Origin> {
    let credentials = socket.peer_cred().ok()?;
    let (uid, pid) = (credentials.uid(), credentials.pid().unwrap_or(0));
    let own = rustix::process::geteuid().as_raw();
    if uid != own && uid != 0 {
        tracing::warn!(pid, uid, "refused: a foreign user");
        return None;
    }
    Some(Origin::Unix { pid })
}

/// Where connections are served: what they share, and how many there may be.
#[derive(Clone)]
pub(crate) struct Hall {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mapped: Mapped,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) seats: Arc<Semaphore>,
    /// Tells other users' connections from our own, where that matters.
    pub(crate) neighbours: Option<Arc<Neighbours>>,
    pub(crate) stop: watch::Receiver<bool>,
    /// Closed when the last connection has ended.
    pub(crate) open: mpsc::Sender<()>,
}

impl Hall {
    /// Serves a connection in a task of its own; closes it if there is no seat.
    fn seat(&self, accepted: Accepted, origin: Origin, here: Option<SocketAddr>) {
        let Ok(seat) = self.seats.clone().try_acquire_owned() else {
            tracing::warn!(peer = %origin, "refused: as many connections as are served at a time");
            return;
        };
        let Self { shared, stop, open, neighbours, .. } = self.clone();
        tokio::spawn(async move {
            let is_foreign = match (neighbours, origin, here) {
                (Some(neighbours), Origin::Tcp(there), Some(here)) => {
                    !neighbours.owner(there, here).is_some_and(neighbour::is_ours)
                }
                _ => false,
            };
            let peer = Peer::new(origin, is_foreign, shared.limits.uploads);
            connection::serve(accepted, peer, shared, stop, seat).await;
            drop(open);
        });
    }
}
