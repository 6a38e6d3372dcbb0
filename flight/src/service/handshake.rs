//! `Handshake`: a client shows who it is, and learns what to send from then on.
//!
//! pyarrow and Java send `authorization: Basic`, and take a Bearer token from the answer's headers;
//! JDBC sends `Bearer` here already; older clients send a `BasicAuth` message and take the token
//! from the answer's payload. All get the token that they came with: nothing is kept for them.

use arrow_flight::{HandshakeRequest, HandshakeResponse};
use bytes::Bytes;
use futures_util::StreamExt;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use crate::auth::{self, Guard};

pub(super) async fn shake(
    guard: &Guard,
    request: Request<Streaming<HandshakeRequest>>,
) -> Result<Response<Answers<HandshakeResponse>>, Status> {
    let from = auth::peer_in(request.extensions());
    let in_headers = auth::of_headers(&request.metadata().clone().into_headers())?;
    let mut messages = request.into_inner();
    let (token, in_payload) = match in_headers {
        Some(token) => (Some(token), false),
        None => {
            let first = messages.message().await?;
            let token = first.and_then(|first| auth::of_basic_auth(&first.payload));
            (token, true)
        }
    };
    guard.admit(token.as_deref(), from)?;
    let token = token.unwrap_or_default();
    let payload = if in_payload { Bytes::from(token.clone()) } else { Bytes::new() };
    let answer = HandshakeResponse { protocol_version: 0, payload };
    let mut response = Response::new(futures_util::stream::iter([Ok(answer)]).boxed());
    if let Ok(bearer) = MetadataValue::try_from(format!("Bearer {token}")) {
        response.metadata_mut().insert("authorization", bearer);
    }
    Ok(response)
}
