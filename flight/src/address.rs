//! Where an endpoint listens, as people write it.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use sheaf_store::{Error, Kind};

/// The port of an endpoint, unless another one is said.
pub(crate) const DEFAULT_PORT: u16 = 8815;

/// An address that an endpoint listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:8815`, `[::1]:8815`, `localhost:8815`; port 0 takes a free one.
    Tcp(SocketAddr),
    /// `unix:/path/of/the/socket`.
    Unix(PathBuf),
}

impl Address {
    /// Where an endpoint is unless it is told otherwise.
    pub const DEFAULT: Self = Self::Tcp(SocketAddr::new(
        std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        DEFAULT_PORT,
    ));

    /// Whether nobody but this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            if path.is_empty() {
                return Err(Error::new(Kind::Invalid, format!("{text} names no socket")));
            }
            return Ok(Self::Unix(path.into()));
        }
        let found = text.to_socket_addrs().ok().and_then(|mut found| found.next());
        found.map(Self::Tcp).ok_or_else(|| {
            let message = format!("{text} is no address: give HOST:PORT or unix:PATH");
            Error::new(Kind::Invalid, message)
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["127.0.0.1:8815", "[::1]:0", "unix:/tmp/a.sock", "0.0.0.0:80"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("unix:///a".parse::<Address>().unwrap(), Address::Unix("/a".into()));
        for text in ["", "8815", "unix:", "127.0.0.1", "127.0.0.1:99999"] {
            assert_eq!(text.parse::<Address>().unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }

    #[test]
    fn only_this_machine_reaches_a_local_one() {
        for (text, local) in [("127.0.0.1:1", true), ("unix:/a", true), ("0.0.0.0:1", false)] {
            assert_eq!(text.parse::<Address>().unwrap().is_local(), local, "{text}");
        }
        assert!(Address::DEFAULT.is_local());
    }
}
