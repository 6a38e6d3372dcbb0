//! What a Flight endpoint is told: where it listens, whom it lets in, what it allows.

use std::net::SocketAddr;

/// How to serve a store by Arrow Flight.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlightOptions {
    /// The address it listens on; port 0 takes a free one.
    pub address: SocketAddr,
}

impl FlightOptions {
    /// An endpoint on this address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }
}
