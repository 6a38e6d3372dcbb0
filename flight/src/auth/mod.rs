//! Who may come in, and what they may do: a layer around every call.
//!
//! ```text
//! request ─▶ address asked too often? ─▶ token known? ─▶ may it do this? ─▶ Front
//! ```
//!
//! Without a file of tokens everybody who reaches the endpoint may do everything; TLS with client
//! certificates is decided before, when the connection is made.

mod credentials;
mod failures;
mod tokens;

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::{Layer, Service};

pub use self::tokens::{hash as hash_token, line as token_line};

pub(crate) use self::credentials::{of_basic_auth, of_headers};
pub(crate) use self::tokens::Tokens;

use self::failures::Failures;
use crate::listen::ConnectInfo;

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look and get.
    Read,
    /// Put and delete, too.
    Write,
}

impl Right {
    /// Whether a caller may write.
    pub(crate) fn to_write(self) -> Result<(), Status> {
        match self {
            Self::Write => Ok(()),
            Self::Read => Err(Status::permission_denied(
                "this token may read only: ask for one that may write",
            )),
        }
    }
}

/// Calls that change something, whatever they carry.
const WRITES: [&str; 2] = ["DoPut", "DoExchange"];

/// The call with which a client introduces itself.
const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// Lets in whom the tokens know.
#[derive(Clone)]
pub(crate) struct Guard(Option<Arc<Known>>);

struct Known {
    tokens: Tokens,
    failures: Failures,
}

impl Guard {
    /// Everybody is let in without tokens.
    pub(crate) fn new(tokens: Option<Tokens>) -> Self {
        Self(tokens.map(|tokens| Arc::new(Known { tokens, failures: Failures::default() })))
    }

    /// What the holder of this token may do.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a token that nobody knows; `RESOURCE_EXHAUSTED` for an address that
    /// came with too many of those.
    pub(crate) fn admit(&self, token: Option<&str>, from: Option<IpAddr>) -> Result<Right, Status> {
        let Some(known) = &self.0 else { return Ok(Right::Write) };
        known.failures.check(from)?;
        let Some(token) = token else {
            return Err(Status::unauthenticated(
                "this store wants a token: send it as authorization: Bearer TOKEN, or as the \
                 password of Basic",
            ));
        };
        known.tokens.right(token).ok_or_else(|| {
            known.failures.note(from);
            tracing::warn!(?from, "a Flight client came with an unknown token");
            Status::unauthenticated("the token is not known here")
        })
    }

    fn check(&self, request: &mut http::Request<Body>) -> Result<(), Status> {
        let from = peer(request);
        let path = request.uri().path();
        if path == HANDSHAKE {
            return Ok(()); // Which looks at what it brings.
        }
        let token = of_headers(request.headers())?;
        let right = self.admit(token.as_deref(), from)?;
        let call = path.rsplit('/').next().unwrap_or_default();
        if WRITES.contains(&call) {
            right.to_write()?;
        }
        request.extensions_mut().insert(right);
        Ok(())
    }
}

/// The address at the other end; a Unix socket has none.
pub(crate) fn peer<B>(request: &http::Request<B>) -> Option<IpAddr> {
    peer_in(request.extensions())
}

/// The same, of a request of tonic's.
pub(crate) fn peer_in(extensions: &http::Extensions) -> Option<IpAddr> {
    use tonic::transport::server::TlsConnectInfo;
    let plain = extensions.get::<ConnectInfo>();
    let info = plain
        .or_else(|| extensions.get::<TlsConnectInfo<ConnectInfo>>().map(TlsConnectInfo::get_ref));
    info.and_then(ConnectInfo::ip)
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

/// A service behind the guard.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match self.guard.check(&mut request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(status) => Box::pin(async move { Ok(status.into_http()) }),
        }
    }
}
