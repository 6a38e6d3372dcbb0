//! The service as the sockets see it: the paths of the bytes are taken over, tonic has the rest.
//!
//! `DoGet` and `DoPut` carry the data, and tonic would copy it. So their requests never reach
//! tonic's codecs: [`Get`] and [`Put`] answer them as they come off HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_flight::flight_service_server::FlightServiceServer;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::get::Get;
use crate::put::Put;
use crate::service::Far;

const DO_GET: &str = "/arrow.flight.protocol.FlightService/DoGet";
pub(crate) const DO_PUT: &str = "/arrow.flight.protocol.FlightService/DoPut";

/// Every call of Flight. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    rest: FlightServiceServer<Far>,
    get: Get,
    put: Put,
}

impl Front {
    pub(crate) fn new(rest: FlightServiceServer<Far>, get: Get, put: Put) -> Self {
        Self { rest, get, put }
    }
}

impl NamedService for Front {
    const NAME: &'static str = <FlightServiceServer<Far> as NamedService>::NAME;
}

type Answer = Result<http::Response<Body>, Infallible>;

impl Service<http::Request<Body>> for Front {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            DO_GET => {
                let get = self.get.clone();
                Box::pin(async move { Ok(get.answer(request).await) })
            }
            DO_PUT => {
                let answer = self.put.answer(request);
                Box::pin(async move { Ok(answer) })
            }
            _ => self.rest.call(request),
        }
    }
}
