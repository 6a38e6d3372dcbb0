//! TLS: files in, tonic's configuration out.

use std::path::Path;
use std::time::Duration;

use sheaf_store::{Error, Kind, Result};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::options::TlsOptions;

/// How long a client may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What the options say, read.
///
/// # Errors
/// [`Kind::Invalid`] for a file that can't be read.
pub(crate) fn config(options: &TlsOptions) -> Result<ServerTlsConfig> {
    let identity = Identity::from_pem(read(&options.certificate)?, read(&options.key)?);
    let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
    Ok(match &options.client_ca {
        Some(path) => config.client_ca_root(Certificate::from_pem(read(path)?)),
        None => config,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Error::new(Kind::Invalid, message).because(error)
    })
}
