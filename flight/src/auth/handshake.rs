//! `Handshake`, in the three ways that clients have.
//!
//! | shown in | by | answered in |
//! |---|---|---|
//! | `authorization: Basic …` | pyarrow, Java, JDBC, ADBC | header `authorization: Bearer …` |
//! | `authorization: Bearer …` | JDBC with a token | the same |
//! | a `BasicAuth` message | older ones, with a handler | a message, for `auth-token-bin` |
//!
//! What they get is a session's token: it expires, so the one of the file need not stay in the
//! client's memory.

use std::sync::Arc;

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::credential::Credential;
use super::{Caller, Guard};

type Answers = BoxStream<'static, Result<HandshakeResponse, Status>>;

/// Answers a handshake.
pub(crate) async fn handshake(
    guard: Arc<Guard>,
    request: Request<Streaming<HandshakeRequest>>,
) -> Result<Response<Answers>, Status> {
    let (metadata, extensions, messages) = request.into_parts();
    let peer = match extensions.get::<Caller>() {
        Some(caller) => caller.peer.clone(),
        None => return Err(Status::internal("a call without a caller")),
    };
    if let Some(credential) = Credential::of(&metadata.into_headers())? {
        let secret = guard.session(&peer, &credential)?;
        let value = format!("Bearer {secret}");
        let value = value.parse().map_err(|_| Status::internal("a token that is no header"))?;
        let mut response = Response::new(stream::empty().boxed());
        response.metadata_mut().insert("authorization", value);
        return Ok(response);
    }
    // Each message is answered as it comes: clients write and read in turns.
    let answers = messages.then(move |message| {
        let (guard, peer) = (guard.clone(), peer.clone());
        async move {
            let credential = of_payload(&message?)?;
            let payload = guard.session(&peer, &credential)?.into();
            Ok(HandshakeResponse { protocol_version: 0, payload })
        }
    });
    // One is all that is needed, and each more would be another try.
    Ok(Response::new(answers.take(1).boxed()))
}

fn of_payload(message: &HandshakeRequest) -> Result<Credential, Status> {
    let basic = BasicAuth::decode(&*message.payload).map_err(|_| {
        Status::unauthenticated(
            "the handshake shows nothing: send `authorization: Basic …`, or a BasicAuth message",
        )
    })?;
    Ok(Credential::basic(&basic.username, basic.password.as_bytes()))
}
