//! What every call passes before it is answered: who makes it, whether he may, and until when.
//!
//! ```text
//! HTTP/2 ─▶ Gate ─▶ routes ─┬─ front: Flight
//!            │              └─ health
//!            └ form, caller, right, uploads, silence, deadline
//! ```
//!
//! It stands before all of them, so the calls that carry the data are guarded as the others are.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::auth::{Caller, Guard};
use crate::deadline::{self, Timed, Timer};
use crate::idle::Idle;
use crate::limits::Limits;
use crate::peer::Peer;

const FLIGHT: &str = "/arrow.flight.protocol.FlightService/";

/// Whether somebody is there may be asked without a token.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The calls that bring data.
const UPLOADS: [&str; 2] = ["DoPut", "DoExchange"];

/// The call that always writes. Actions and uploads may only read (values of a query's parameters
/// are an upload): readers are refused where it is known what they want.
const WRITES: &str = "DoExchange";

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) guard: Arc<Guard>,
    pub(crate) limits: Limits,
    pub(crate) routes: Routes,
    /// How many uploads more there may be.
    pub(crate) uploads: Arc<Semaphore>,
}

/// The calls of one connection.
#[derive(Clone)]
pub(crate) struct Gate {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
}

/// What an upload holds as long as it runs.
type Places = [OwnedSemaphorePermit; 2];

impl Gate {
    pub(crate) fn new(shared: Arc<Shared>, peer: Arc<Peer>) -> Self {
        Self { shared, peer }
    }

    /// Answers a call, in time.
    async fn timed(self, request: Request<Incoming>) -> Response<Body> {
        if !is_grpc(&request) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let running = self.peer.begin();
        let begun = Instant::now();
        let Limits { total, stall, .. } = self.shared.limits;
        let limit = match deadline::of_headers(request.headers()) {
            Ok(given) => given.map_or(total, |given| given.min(total)),
            Err(status) => return status.into_http(),
        };
        Timer::current().begin(begun + limit);
        let answer = timeout_at(begun + limit, self.answer(request.map(Body::new))).await;
        let refused = |status: Status| (status.into_http(), None);
        let (response, places) = match answer {
            Ok(answered) => answered.unwrap_or_else(refused),
            Err(_) => refused(deadline::exceeded(limit)),
        };
        let kept = (running, places);
        response.map(|body| Body::new(Timed::new(body, begun, limit, stall, kept)))
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
    ) -> Result<(Response<Body>, Option<Places>), Status> {
        let path = request.uri().path();
        let mut places = None;
        if !path.starts_with(HEALTH) {
            let call = path.strip_prefix(FLIGHT).unwrap_or_default();
            let caller = self.caller(call, &request)?;
            tracing::debug!(%caller, path, "a call");
            if call == WRITES {
                caller.right().to_write().inspect_err(|_| {
                    tracing::info!(%caller, call, "refused: the token may only read");
                })?;
            }
            if UPLOADS.contains(&call) {
                places = Some(self.places()?);
            }
            request.extensions_mut().insert(self.peer.seat.clone());
            request.extensions_mut().insert(caller.right());
            request.extensions_mut().insert(caller);
        }
        let idle = self.shared.limits.idle;
        let request = request.map(|body| Body::new(Idle::new(body, idle)));
        match self.shared.routes.clone().call(request).await {
            Ok(response) => Ok((response, places)),
            Err(never) => match never {},
        }
    }

    fn caller(&self, call: &str, request: &Request<Body>) -> Result<Caller, Status> {
        if call == "Handshake" {
            return Ok(self.shared.guard.stranger(&self.peer));
        }
        self.shared.guard.admit(&self.peer, request.headers())
    }

    /// A place for an upload, among this connection's and among all.
    fn places(&self) -> Result<Places, Status> {
        let Limits { uploads, uploads_in_all, .. } = self.shared.limits;
        let own = self.peer.uploads.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "this connection has {uploads} uploads, the most it may have: end some first"
            ))
        })?;
        let all = self.shared.uploads.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "the endpoint has {uploads_in_all} uploads, the most it takes: try again later"
            ))
        })?;
        Ok([own, all])
    }
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    request.method() == Method::POST
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

impl hyper::service::Service<Request<Incoming>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move { Ok(gate.timed(request).await) })
    }
}
