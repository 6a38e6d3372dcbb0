//! What a Flight endpoint is told: where it listens, whom it lets in, what it allows.

use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;

/// How to serve a store by Arrow Flight.
#[derive(Clone, Debug)]
pub struct FlightOptions {
    /// The addresses that it listens on.
    pub addresses: Vec<Address>,
    /// Encrypts every TCP connection.
    pub tls: Option<TlsOptions>,
    /// The file of tokens; without one, everybody who reaches the endpoint may do everything.
    pub token_file: Option<PathBuf>,
    /// Serves other machines without TLS and without tokens.
    pub insecure: bool,
    /// The most connections at a time.
    pub connections: usize,
    /// The most calls of one connection at a time.
    pub streams: u32,
    /// How long a stream of data may stand still before it is ended.
    pub idle: Duration,
}

/// The files of TLS, each in PEM.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The certificate, and those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Only clients whose certificate one of these vouches for are let in.
    pub client_ca: Option<PathBuf>,
}

impl FlightOptions {
    /// An endpoint on these addresses, open to everybody who reaches it.
    #[must_use]
    pub fn new(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            tls: None,
            token_file: None,
            insecure: false,
            connections: 4096,
            streams: 256,
            idle: Duration::from_secs(60),
        }
    }
}
