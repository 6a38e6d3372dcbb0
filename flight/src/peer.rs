//! Who is at the other end of a connection, and what he has going on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::auth::Digest;
use crate::sql::Seat;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Tcp(SocketAddr),
    /// The process at the other end of a Unix socket.
    Unix {
        pid: i32,
    },
}

impl Origin {
    /// The address that failures are counted by.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { pid } => write!(f, "pid {pid}"),
        }
    }
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) origin: Origin,
    /// Whether the connection is another user's, or may be.
    pub(crate) is_foreign: bool,
    /// Whom the client's certificate is for.
    certificate: OnceLock<String>,
    /// How many uploads more it may begin.
    pub(crate) uploads: Arc<Semaphore>,
    /// Its session of SQL, if no cookie names another.
    pub(crate) seat: Seat,
    /// The credential that was good last.
    good: Mutex<Option<Digest>>,
    calls: Mutex<Calls>,
}

/// How many calls run, and since when there is none.
struct Calls {
    running: usize,
    quiet_since: Instant,
}

impl Peer {
    pub(crate) fn new(origin: Origin, is_foreign: bool, uploads: usize) -> Arc<Self> {
        Arc::new(Self {
            origin,
            is_foreign,
            certificate: OnceLock::new(),
            uploads: Arc::new(Semaphore::new(uploads)),
            seat: Seat::default(),
            good: Mutex::new(None),
            calls: Mutex::new(Calls { running: 0, quiet_since: Instant::now() }),
        })
    }

    /// Notes whom its certificate is for.
    pub(crate) fn certify(&self, certificate: &CertificateDer<'_>) {
        let subject = common_name(certificate).unwrap_or_else(|| "a certificate".to_owned());
        let _ = self.certificate.set(subject);
    }

    /// Whether this credential was good the last time.
    pub(crate) fn is_good(&self, secret: &Digest) -> bool {
        self.good.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(secret)
    }

    pub(crate) fn set_good(&self, secret: Digest) {
        *self.good.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
    }

    /// Counts a call until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).running += 1;
        Running(self.clone())
    }

    /// Since when nothing runs; nothing if something does.
    pub(crate) fn quiet_since(&self) -> Option<Instant> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        (calls.running == 0).then_some(calls.quiet_since)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.certificate.get() {
            Some(subject) => write!(f, "{subject} at {}", self.origin),
            None => self.origin.fmt(f),
        }
    }
}

/// A call that runs.
pub(crate) struct Running(Arc<Peer>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.running -= 1;
        if calls.running == 0 {
            calls.quiet_since = Instant::now();
        }
    }
}

/// The common name in a certificate's subject, for people: what counts is who signed it.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    /// The object identifier 2.5.4.3, as DER has it.
    const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    const MOST_BYTES: u8 = 64;
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let subject = parsed.subject();
    let at = subject.windows(COMMON_NAME.len()).rposition(|window| window == COMMON_NAME)?;
    let [_tag, len, rest @ ..] = &subject[at + COMMON_NAME.len()..] else { return None };
    let name = rest.get(..usize::from(*len)).filter(|_| *len <= MOST_BYTES)?;
    let name = std::str::from_utf8(name).ok()?;
    Some(name.chars().filter(|letter| !letter.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_called_by_its_common_name() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["host.example".into()]).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Lab");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "analyst\n7");
        let certificate = parameters.self_signed(&key).unwrap();
        let peer = Peer::new(Origin::Unix { pid: 7 }, false, 1);
        assert_eq!(peer.to_string(), "pid 7");

        peer.certify(certificate.der());

        assert_eq!(peer.to_string(), "analyst7 at pid 7");
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        for bytes in [&b""[..], &[0x30, 0x80], &[0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0xff]] {
            assert_eq!(common_name(&CertificateDer::from(bytes)), None);
        }
    }

    #[test]
    fn a_peer_is_quiet_when_its_last_call_has_ended() {
        let peer = Peer::new(Origin::Unix { pid: 7 }, false, 1);
        let start = peer.quiet_since().unwrap();

        let (first, second) = (peer.begin(), peer.begin());
        drop(first);
        assert_eq!(peer.quiet_since(), None);
        drop(second);

        assert!(peer.quiet_since().unwrap() >= start);
    }
}
