//! `DoExchange`: what comes goes back, as it came or as it was stored.
//!
//! A descriptor with the command `echo` sends every message back. One of type PATH, or a command as
//! for `DoPut`, stores what comes, as `DoPut` does, and then streams the object from the store.

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightData, FlightDescriptor};
use futures_util::{StreamExt, TryStreamExt};
use http::HeaderMap;
use sheaf_store::Object;
use tonic::{Status, Streaming};

use super::Answers;
use crate::auth::Right;
use crate::door::Door;
use crate::get::{self, Outgoing};
use crate::put::{Upload, Uploads};

/// The command that sends everything back.
const ECHO: &[u8] = b"echo";

pub(super) async fn exchange(
    door: &Door,
    uploads: &Uploads,
    headers: HeaderMap,
    mut incoming: Streaming<FlightData>,
) -> Result<Answers<FlightData>, Status> {
    let Some(first) = incoming.message().await? else {
        return Err(Status::invalid_argument("an exchange without a message"));
    };
    let Some(descriptor) = first.flight_descriptor.clone() else {
        return Err(Status::invalid_argument(
            "the first message of an exchange has a descriptor: the command echo, or a name",
        ));
    };
    let rest = futures_util::stream::iter([Ok(first)]).chain(incoming);
    if is_echo(&descriptor) {
        return Ok(rest.try_filter_map(|data| async { Ok(answer(data)) }).boxed());
    }
    let object = store(door, uploads, headers, rest).await?;
    let messages = get::messages(&object)?.map(|message| message.map(Outgoing::into_data));
    Ok(futures_util::stream::iter(messages).boxed())
}

fn is_echo(descriptor: &FlightDescriptor) -> bool {
    descriptor.r#type() == DescriptorType::Cmd && descriptor.cmd == ECHO
}

/// A message as a server sends it: without a descriptor, and not at all if that was all.
fn answer(mut data: FlightData) -> Option<FlightData> {
    data.flight_descriptor = None;
    (data != FlightData::default()).then_some(data)
}

/// Stores what comes, and gets it.
async fn store(
    door: &Door,
    uploads: &Uploads,
    headers: HeaderMap,
    rest: impl futures_util::Stream<Item = Result<FlightData, Status>> + Unpin,
) -> Result<Object, Status> {
    let mut upload = Upload::new(door.clone(), uploads.clone(), headers, None, Right::Write);
    let mut rest = rest;
    while let Some(data) = rest.try_next().await? {
        upload.message(data).await?;
    }
    let Some(info) = upload.finish().await? else {
        let message = "an exchange stores an object of its own: append by DoPut";
        return Err(Status::invalid_argument(message));
    };
    door.ask(move |client| client.get(&info.name)).await
}
