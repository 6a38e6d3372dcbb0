//! How a client of the far door connects.

use std::fmt;
use std::path::{Path, PathBuf};

use sheaf_store::{ConnectOptions, Error, Kind, Result};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// How to connect to a store by a URL of either door.
#[derive(Clone, Default)]
pub struct FarOptions {
    /// What both doors understand: time limit, name, interruption.
    pub connect: ConnectOptions,
    /// The token to show with every call.
    pub token: Option<String>,
    /// What encrypted connections go by.
    pub tls: FarTls,
    /// Stream even when the store is on this machine and could be mapped.
    pub always_stream: bool,
}

/// What the client of an encrypted endpoint goes by; files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarTls {
    /// The certificates that may have signed the server's; the system's when not given.
    pub ca: Option<PathBuf>,
    /// The client's own certificate and its key, where the server asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have; the host's in the URL when not given.
    pub server_name: Option<String>,
}

impl fmt::Debug for FarOptions {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connect, token, tls, always_stream } = self;
        f.debug_struct("FarOptions")
            .field("connect", connect)
            .field("token", &token.as_ref().map(|_| "…"))
            .field("tls", tls)
            .field("always_stream", always_stream)
            .finish()
    }
}

impl FarTls {
    /// Whether anything was said.
    pub(super) fn is_given(&self) -> bool {
        *self != Self::default()
    }

    /// The same for tonic.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a file that can't be read.
    pub(super) fn config(&self) -> Result<ClientTlsConfig> {
        let mut config = match &self.ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let message = format!("the file {} can't be read: {error}", path.display());
        Error::new(Kind::Invalid, message).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_no_log() {
        let options = FarOptions { token: Some("hunter2".into()), ..FarOptions::default() };
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let tls = FarTls { ca: Some("/no/such/ca.pem".into()), ..FarTls::default() };
        let error = tls.config().unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.message().contains("/no/such/ca.pem"));
    }
}
