//! The Flight endpoint's part of the command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sheaf_flight::{Address, FlightListener, FlightOptions, TlsOptions};

use crate::error::{Error, Result};

/// How `serve` serves Arrow Flight.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Arrow Flight")]
pub(crate) struct Flight {
    /// Where to serve Arrow Flight: HOST:PORT, unix:PATH, or off; may be given several times
    /// [default: 127.0.0.1:8815, if that is free]. Another machine's reach needs TLS, tokens, or
    /// --insecure.
    #[arg(long = "flight", value_name = "ADDRESS")]
    addresses: Vec<Where>,
    /// The server's certificate, in PEM: encrypts every TCP connection.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let in only clients with a certificate that one of these signed.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Let in only clients with a token of this file, which is read again when it changes:
    /// `sheaf token` makes its lines.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Serve other machines, and other users of this one, without TLS and without tokens.
    #[arg(long)]
    insecure: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Where {
    Off,
    At(Address),
}

impl FromStr for Where {
    type Err = sheaf_store::Error;

    fn from_str(text: &str) -> Result<Self, sheaf_store::Error> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl Flight {
    /// Takes the addresses; nothing when it is off, or when the default one can't be had and
    /// nothing says that it must. Calls that run go on for `drain` when it is stopped.
    pub(crate) fn bind(&self, drain: Duration) -> Result<Option<FlightListener>> {
        let addresses: Vec<Address> = self
            .addresses
            .iter()
            .filter_map(|at| if let Where::At(at) = at { Some(at.clone()) } else { None })
            .collect();
        if !self.addresses.is_empty() && addresses.is_empty() {
            return Ok(None);
        }
        if addresses.len() < self.addresses.len() {
            return Err(Error::usage("--flight off and --flight ADDRESS exclude each other"));
        }
        let is_default = addresses.is_empty();
        let addresses = if is_default { vec![Address::DEFAULT] } else { addresses };
        let is_asked_for = !is_default || self.token_file.is_some() || self.tls_cert.is_some();
        let mut options = self.options(addresses);
        options.limits.drain = drain;
        match FlightListener::bind(options) {
            Ok(listener) => {
                listener.warnings().iter().for_each(|line| eprintln!("sheaf: warning: {line}"));
                Ok(Some(listener))
            }
            Err(error) if is_asked_for => Err(error.into()),
            Err(error) => {
                eprintln!("sheaf: no Arrow Flight: {}", Error::from(error).line());
                Ok(None)
            }
        }
    }

    fn options(&self, addresses: Vec<Address>) -> FlightOptions {
        let mut options = FlightOptions::new(addresses);
        if let (Some(certificate), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) {
            let client_ca = self.tls_client_ca.clone();
            options.tls = Some(TlsOptions { certificate, key, client_ca });
        }
        options.token_file = self.token_file.clone();
        options.insecure = self.insecure;
        options
    }
}
