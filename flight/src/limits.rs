//! What a peer can make grow, and how far.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// The limits of an endpoint. The defaults suit a machine that serves some hundred clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most connections at a time: 4096, and never more than a quarter of the descriptors
    /// that the process may have. One more is closed at once.
    pub connections: usize,
    /// The most calls at a time in one connection: 256. HTTP/2 tells the client, which waits.
    pub calls: u32,
    /// The most uploads (`DoPut`, `DoExchange`) at a time in one connection: 64. What a client has
    /// sent and nobody has read yet is at most 8 MiB for each, and 64 MiB for a connection.
    pub uploads: usize,
    /// The most uploads at a time in all connections: 256.
    pub uploads_in_all: usize,
    /// The most that the metadata (headers) of a call may take: 16 KiB.
    pub metadata_bytes: u32,
    /// The most that one message of a call may take that is decoded as a whole: 64 MiB. The
    /// bodies of `DoPut` go to shared memory, where the store's budget is the limit.
    pub message_bytes: usize,
    /// How long a client may take for TLS and the first bytes of HTTP/2: 10 s.
    pub opening: Duration,
    /// How long an upload may bring nothing: 60 s.
    pub idle: Duration,
    /// How long a client may take nothing of an answer that is there: 10 min.
    pub stall: Duration,
    /// How long any call may last: 24 h. A client's own deadline (`grpc-timeout`) holds if it is
    /// shorter.
    pub total: Duration,
    /// How long a connection may be without calls before the client is told to close it: 1 h.
    pub connection_idle: Duration,
    /// How often a silent connection is asked whether its client lives: 60 s. One that does not
    /// answer within 20 s is closed.
    pub keep_alive: Duration,
    /// How long running calls may go on when the endpoint stops: 500 ms.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            calls: 256,
            uploads: 64,
            uploads_in_all: 256,
            metadata_bytes: 16 << 10,
            message_bytes: 64 << 20,
            opening: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(600),
            total: Duration::from_secs(24 * 3600),
            connection_idle: Duration::from_secs(3600),
            keep_alive: Duration::from_secs(60),
            drain: Duration::from_millis(500),
        }
    }
}

impl Limits {
    /// The same, with times that can be added to the clock's.
    pub(crate) fn countable(mut self) -> Self {
        const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        for time in [
            &mut self.opening,
            &mut self.idle,
            &mut self.stall,
            &mut self.total,
            &mut self.connection_idle,
            &mut self.keep_alive,
            &mut self.drain,
        ] {
            *time = (*time).min(LONGEST);
        }
        self
    }

    /// How many connections there may be with the descriptors that this process may have.
    pub(crate) fn seats(&self) -> usize {
        let quarter = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4;
        self.connections.min(usize::try_from(quarter).unwrap_or(usize::MAX)).max(1)
    }
}
