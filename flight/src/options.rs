//! What a Flight endpoint is told: where it listens, whom it lets in, what it allows.

use std::path::PathBuf;

use crate::address::Address;
use crate::limits::Limits;

/// How to serve a store by Arrow Flight.
#[derive(Clone, Debug)]
pub struct FlightOptions {
    /// The addresses that it listens on.
    pub addresses: Vec<Address>,
    /// Encrypts every TCP connection.
    pub tls: Option<TlsOptions>,
    /// The file of tokens. Without one, an endpoint that only this machine reaches is for its own
    /// user and root, as the near door is; any other is for everybody who reaches it.
    pub token_file: Option<PathBuf>,
    /// Serves other machines, and other users of this one, without TLS and without tokens.
    pub insecure: bool,
    /// What a client can make grow, and how far.
    pub limits: Limits,
}

/// The files of TLS, each in PEM. They are read once, at the start.
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
    /// An endpoint on these addresses. One that other machines reach must be given TLS, tokens, or
    /// `insecure`.
    #[must_use]
    pub fn new(addresses: Vec<Address>) -> Self {
        Self { addresses, tls: None, token_file: None, insecure: false, limits: Limits::default() }
    }
}
