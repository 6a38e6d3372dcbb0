//! Where a store is, as a URL: of the near door or of the far one.
//!
//! `unix:PATH` and a plain path lead to the near door. `grpc://HOST:PORT` leads to the far one, and
//! so do the other schemes that Flight's clients know.

use std::fmt;

use sheaf_store::{Error, Kind, Result};

use crate::address::DEFAULT_PORT;

/// A URL of either door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Url {
    /// The near door's, as it was given.
    Near(String),
    /// The far door's.
    Far(FarUrl),
}

/// A URL of the far door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FarUrl {
    /// `grpc://HOST:PORT`, `grpc+tcp://…`.
    Plain { host: String, port: u16 },
    /// `grpc+tls://HOST:PORT`, `grpcs://…`.
    Tls { host: String, port: u16 },
    /// `grpc+unix:///PATH`.
    Unix(String),
}

impl Url {
    /// # Errors
    /// [`Kind::Invalid`] for what is no URL of a store.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Near(text.to_owned()));
        };
        let far = match scheme {
            "unix" => return Ok(Self::Near(text.to_owned())),
            "grpc" | "grpc+tcp" => {
                let (host, port) = authority(text, rest)?;
                FarUrl::Plain { host, port }
            }
            "grpc+tls" | "grpcs" => {
                let (host, port) = authority(text, rest)?;
                FarUrl::Tls { host, port }
            }
            "grpc+unix" if !rest.is_empty() => FarUrl::Unix(rest.to_owned()),
            _ => return Err(refused(text)),
        };
        Ok(Self::Far(far))
    }
}

impl FarUrl {
    /// The same, as tonic wants it.
    pub(super) fn for_tonic(&self) -> String {
        match self {
            Self::Plain { host, port } => format!("http://{host}:{port}"),
            Self::Tls { host, port } => format!("https://{host}:{port}"),
            Self::Unix(path) => format!("unix:{path}"),
        }
    }
}

impl fmt::Display for FarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { host, port } => write!(f, "grpc://{host}:{port}"),
            Self::Tls { host, port } => write!(f, "grpc+tls://{host}:{port}"),
            Self::Unix(path) => write!(f, "grpc+unix://{path}"),
        }
    }
}

/// Host and port; a host of IPv6 keeps its brackets.
fn authority(text: &str, rest: &str) -> Result<(String, u16)> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let authority: http::uri::Authority = rest.parse().map_err(|_| refused(text))?;
    if rest.contains('@') || authority.host().is_empty() {
        return Err(refused(text));
    }
    let has_port = rest.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let port = match authority.port_u16() {
        Some(port) => port,
        None if has_port => return Err(refused(text)),
        None => DEFAULT_PORT,
    };
    Ok((authority.host().to_owned(), port))
}

fn refused(text: &str) -> Error {
    let message = format!(
        "{text} is no store's URL: give unix:PATH, grpc://HOST:PORT, grpc+tls://HOST:PORT or \
         grpc+unix:///PATH"
    );
    Error::new(Kind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(text: &str) -> FarUrl {
        match Url::parse(text).unwrap() {
            Url::Far(far) => far,
            Url::Near(near) => panic!("{near} is near"),
        }
    }

    #[test]
    fn either_door_has_its_urls() {
        for near in ["unix:/a.sock", "unix:///a.sock", "/a.sock", "a.sock"] {
            assert_eq!(Url::parse(near).unwrap(), Url::Near(near.into()));
        }
        assert_eq!(far("grpc://localhost:1").for_tonic(), "http://localhost:1");
        assert_eq!(far("grpc+tcp://h/").for_tonic(), "http://h:8815");
        assert_eq!(far("grpc://[::1]:7").for_tonic(), "http://[::1]:7");
        assert_eq!(far("grpc://[::1]").for_tonic(), "http://[::1]:8815");
        assert_eq!(far("grpc+tls://lab.example").for_tonic(), "https://lab.example:8815");
        assert_eq!(far("grpcs://h:1").to_string(), "grpc+tls://h:1");
        assert_eq!(far("grpc+unix:///a/b.sock").for_tonic(), "unix:/a/b.sock");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "http://a",
            "grpc://",
            "grpc://:1",
            "grpc://a:b",
            "grpc://a:",
            "grpc://a:99999",
            "grpc://u@a",
            "grpc://a/b",
            "grpc+unix://",
            "://",
        ] {
            assert_eq!(Url::parse(text).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }
}
