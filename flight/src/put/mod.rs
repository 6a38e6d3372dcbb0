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
use sheaf_store::Table;
use tonic::body::Body;

#[cfg(fuzzing)]
pub use self::parser::fuzzing;

use self::acks::Acks;
pub(crate) use self::begun::Uploads;
pub(crate) use self::options::{PutBody, abort_command, command};
use self::upload::Ended;
pub(crate) use self::upload::Upload;
use crate::auth::Right;
use crate::door::Door;
use crate::facts;
use crate::sql::{Sql, Update};

/// Answers `DoPut`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Put {
    door: Door,
    uploads: Uploads,
    sql: Sql,
    idle: Duration,
}

impl Put {
    pub(crate) fn new(door: Door, uploads: Uploads, sql: Sql, idle: Duration) -> Self {
        Self { door, uploads, sql, idle }
    }

    /// The answer to a request: acknowledgements as batches are placed, then the outcome.
    pub(crate) fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        let Self { door, uploads, sql, idle } = self.clone();
        let tells = facts::are_asked_for(&parts.headers);
        let right = parts.extensions.get().copied().unwrap_or(Right::Read);
        let answer = Acks::answer(|acks| {
            let headers = parts.headers.clone();
            let upload = Upload::new(door, uploads, headers, Some(acks.clone()), right);
            tokio::spawn(async move {
                let mut trailers = HeaderMap::new();
                let status = match upload.run(body, idle).await {
                    Ok(Ended::Object(info)) => {
                        if let Some(info) = info.filter(|_| tells) {
                            facts::put(&mut trailers, &info);
                        }
                        tonic::Status::ok("")
                    }
                    Ok(Ended::Sql(update, rows)) => {
                        let done = update_by(&sql, &parts, update, rows, &acks).await;
                        done.err().unwrap_or_else(|| tonic::Status::ok(""))
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

/// Does what a command of Flight SQL asks for, and says what came of it.
async fn update_by(
    sql: &Sql,
    parts: &http::request::Parts,
    update: Update,
    rows: Option<Table>,
    acks: &Acks,
) -> Result<(), tonic::Status> {
    let asker = sql.asker(&parts.headers, &parts.extensions)?;
    let result = sql.update(&asker, update, rows).await?;
    acks.send(&result).await
}
