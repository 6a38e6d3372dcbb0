//! `DoPut`: from the socket into a draft, with one copy.
//!
//! ```text
//! HTTP/2 frames ─▶ parser ─▶ upload ─▶ making ─▶ draft, in shared memory
//!                              │                   │ seal: checked like any other
//!                             acks ◀───────────────┘
//! ```

mod acks;
mod begun;
mod making;
mod options;
mod parser;
mod upload;

use std::time::Duration;

use http::HeaderMap;
use tonic::body::Body;

#[cfg(fuzzing)]
pub use self::parser::fuzzing;

use self::acks::Acks;
pub(crate) use self::begun::Uploads;
pub(crate) use self::options::{PutBody, abort_command, command};
pub(crate) use self::upload::Upload;
use crate::door::Door;
use crate::facts;

/// Answers `DoPut`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Put {
    door: Door,
    uploads: Uploads,
    idle: Duration,
}

impl Put {
    pub(crate) fn new(door: Door, uploads: Uploads, idle: Duration) -> Self {
        Self { door, uploads, idle }
    }

    /// The answer to a request: acknowledgements as batches are placed, then the outcome.
    pub(crate) fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        let Self { door, uploads, idle } = self.clone();
        let tells = facts::are_asked_for(&parts.headers);
        let answer = Acks::answer(|acks| {
            let upload = Upload::new(door, uploads, parts.headers, Some(acks.clone()));
            tokio::spawn(async move {
                let mut trailers = HeaderMap::new();
                let status = match upload.run(body, idle).await {
                    Ok(info) => {
                        if let Some(info) = info.filter(|_| tells) {
                            facts::put(&mut trailers, &info);
                        }
                        tonic::Status::ok("")
                    }
                    Err(status) => status,
                };
                acks.end(&status, trailers).await;
            })
        });
        let mut response = http::Response::new(Body::new(answer));
        let kind = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
        response
    }
}
