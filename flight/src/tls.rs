//! TLS: the certificates, and the handshake with each client.
//!
//! The files are read once. An error names the file, never what is in it.

use std::path::Path;
use std::sync::Arc;

use sheaf_store::{Error, Kind, Result};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::options::TlsOptions;

/// Reads the files.
///
/// # Errors
/// [`Kind::Invalid`] when one of them can't be read or does not fit the others.
pub(crate) fn acceptor(options: &TlsOptions) -> Result<TlsAcceptor> {
    let chain = certificates(&options.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&options.key)
        .map_err(|error| wrong("key", &options.key, &error))?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "no version of TLS").because(error))?;
    let builder = match &options.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let (certificate, key) = (options.certificate.display(), options.key.display());
        let message = format!("the certificate {certificate} and the key {key}: {error}");
        Error::new(Kind::Invalid, message).because(error)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let fail = |error| wrong("certificate", path, &error);
    let read = CertificateDer::pem_file_iter(path).map_err(fail)?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    if chain.is_empty() {
        return Err(wrong("certificate", path, &"no certificate in PEM"));
    }
    Ok(chain)
}

fn verifier(path: &Path) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| wrong("certificate", path, &error))?;
    }
    WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::new(default_provider()))
        .build()
        .map_err(|error| wrong("certificate", path, &error))
}

fn wrong(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("the {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_error_names_the_file_and_nothing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let one = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(path("cert"), one.cert.pem()).unwrap();
        fs::write(path("key"), one.signing_key.serialize_pem()).unwrap();
        fs::write(path("other"), other.signing_key.serialize_pem()).unwrap();
        fs::write(path("secret"), "hunter2").unwrap();
        let try_with = |certificate: &str, key: &str, client_ca: Option<&str>| {
            let (certificate, key) = (path(certificate), path(key));
            let client_ca = client_ca.map(path);
            acceptor(&TlsOptions { certificate, key, client_ca }).err()
        };
        assert!(try_with("cert", "key", Some("cert")).is_none());

        for (certificate, key, client_ca, named) in [
            ("none", "key", None, "none"),
            ("secret", "key", None, "secret"),
            ("cert", "none", None, "none"),
            ("cert", "secret", None, "secret"),
            ("cert", "other", None, "other"),
            ("cert", "key", Some("none"), "none"),
            ("cert", "key", Some("key"), "key"),
        ] {
            let error = try_with(certificate, key, client_ca).unwrap();
            assert_eq!(error.kind(), Kind::Invalid, "{error}");
            assert!(error.message().contains(&path(named).display().to_string()), "{error}");
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }
}
