//! A socket that knows how much its peer has said, and is not closed while that still speaks.
//!
//! Whoever closes a socket with bytes unread, a window update say, has the kernel send a reset, and
//! that takes from the peer what it was sent last and has not read yet. So the way out is closed
//! first, and what comes in is read until the peer closes as well, or takes too long.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a client of HTTP/2 sends before anything else: the preface and a frame's header.
pub(crate) const PREFACE_BYTES: usize = 24 + 9;

/// How long a peer may take to close, once it can see that we have.
const LINGER: Duration = Duration::from_secs(2);

/// A socket that counts the first bytes that come, up to [`PREFACE_BYTES`] at least, and lingers.
pub(crate) struct Conversation<S> {
    socket: S,
    heard: Arc<AtomicUsize>,
    /// Until when, once the way out is closed.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Conversation<S> {
    pub(crate) fn new(socket: S, heard: Arc<AtomicUsize>) -> Self {
        Self { socket, heard, until: None }
    }
}

impl<S: AsyncRead + Unpin> Conversation<S> {
    /// Reads what comes, until there is no more.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 4096];
        loop {
            let mut into = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut into)) {
                Ok(()) if !into.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Conversation<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, into))?;
        if self.heard.load(Ordering::Relaxed) < PREFACE_BYTES {
            self.heard.fetch_add(into.filled().len() - before, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Conversation<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.until = Some(Box::pin(sleep(LINGER)));
        }
        if self.poll_silence(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        match &mut self.until {
            Some(until) => until.as_mut().poll(cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_sent_last_is_read_though_the_peer_still_speaks() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer =
            tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut socket = Conversation::new(socket, Arc::default());
        let sent = vec![7; 1 << 20];
        let sending = tokio::spawn(async move {
            socket.write_all(&sent).await.unwrap();
            socket.shutdown().await.unwrap();
        });

        // Speaks while it is sent to, and reads only then.
        let mut read = Vec::new();
        loop {
            let spoken = peer.write_all(b"a window update").await;
            let mut some = vec![0; 64 << 10];
            match peer.read(&mut some).await.unwrap() {
                0 => break,
                count => read.extend_from_slice(&some[..count]),
            }
            spoken.unwrap();
        }
        drop(peer);

        assert_eq!(read.len(), 1 << 20);
        sending.await.unwrap();
    }
}
