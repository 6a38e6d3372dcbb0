//! One connection, from the first byte to the last.
//!
//! ```text
//! accepted ─▶ TLS, HTTP/2's preface (in time) ─▶ calls ─▶ quiet for long, or told to stop:
//!                                                         GOAWAY, then closed
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::conversation::{Conversation, PREFACE_BYTES};
use crate::gate::{Gate, Shared};
use crate::peer::Peer;
use crate::sendfile::Sending;
use crate::tuning;

/// How long a client may take to say goodbye after it was asked to.
const GOODBYE: Duration = Duration::from_secs(10);

/// A socket that was accepted.
pub(crate) enum Accepted {
    Tcp(Sending<TcpStream>),
    /// To be encrypted.
    Tls(TcpStream, TlsAcceptor),
    Unix(Sending<UnixStream>),
}

/// Serves one connection until it ends or `stop` says so. The seat is given back at the end.
pub(crate) async fn serve(
    accepted: Accepted,
    peer: Arc<Peer>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
    _seat: OwnedSemaphorePermit,
) {
    let deadline = Instant::now() + shared.limits.opening;
    match accepted {
        Accepted::Tcp(socket) => run(socket, peer, deadline, shared, stop).await,
        Accepted::Unix(socket) => run(socket, peer, deadline, shared, stop).await,
        Accepted::Tls(socket, acceptor) => {
            match timeout_at(deadline, acceptor.accept(socket)).await {
                Ok(Ok(socket)) => {
                    certify(&peer, &socket);
                    run(socket, peer, deadline, shared, stop).await;
                }
                Ok(Err(error)) => tracing::info!(%peer, %error, "refused: no TLS"),
                Err(_) => tracing::info!(%peer, "refused: TLS took too long"),
            }
        }
    }
}

fn certify(peer: &Peer, socket: &TlsStream<TcpStream>) {
    let certificates = socket.get_ref().1.peer_certificates().unwrap_or_default();
    if let Some(certificate) = certificates.first() {
        peer.certify(certificate);
    }
}

async fn run(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Arc<Peer>,
    deadline: Instant,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let limits = shared.limits.clone();
    let heard = Arc::new(AtomicUsize::new(0));
    let socket = TokioIo::new(Conversation::new(socket, heard.clone()));
    let gate = Gate::new(shared, peer.clone());
    let mut connection = pin!(tuning::http2(&limits).serve_connection(socket, gate));
    let opened = async {
        sleep_until(deadline).await;
        if heard.load(Ordering::Relaxed) >= PREFACE_BYTES {
            std::future::pending().await
        }
    };
    tokio::select! {
        biased;
        result = &mut connection => return ended(&peer, result),
        _ = stop.wait_for(|stop| *stop) => {}
        () = opened => return tracing::info!(%peer, "refused: nothing of HTTP/2 came"),
        () = quiet(&peer, limits.connection_idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that begins a call nevertheless is served, since it can't know yet.
    tokio::select! {
        result = &mut connection => ended(&peer, result),
        () = quiet(&peer, GOODBYE) => {}
    }
}

/// Ends when nothing has run for so long.
async fn quiet(peer: &Peer, most: Duration) {
    let start = std::time::Instant::now();
    loop {
        let now = std::time::Instant::now();
        let since = peer.quiet_since().map_or(now, |since| since.max(start));
        let left = (since + most).saturating_duration_since(now);
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

fn ended(peer: &Peer, result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(%peer, %error, cause, "a connection broke off");
    }
}
