//! `GetFlightInfo`, `GetSchema`, `ListFlights`: what there is.
//!
//! A schema is the stored message itself: nothing is decoded and encoded again, so what is told and
//! what is streamed can't differ.

use arrow_flight::{Criteria, FlightEndpoint, FlightInfo, SchemaResult};
use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;
use serde::Deserialize;
use sheaf_store::{Client, Object, ObjectKind, State};
use tonic::Status;

use super::Answers;
use super::hint::{AppMetadata, Hint};
use crate::door::Door;
use crate::get::{self, Options};
use crate::names::{self, TicketBody};
use crate::status;

/// Objects that are asked for at a time.
const PAGE: usize = 64;

/// An object as Flight tells of it.
pub(super) async fn of(door: &Door, hint: &Hint, wanted: TicketBody) -> Result<FlightInfo, Status> {
    let name = names::of_text(&wanted.name)?;
    let hint = hint.clone();
    let hydrates = hydrates(&wanted)?;
    door.ask(move |client| {
        let object = client.get(&name)?;
        info(&object, &hint, wanted, hydrates)
    })
    .await
}

/// Whether the stream that is asked for has values in place of dictionaries.
fn hydrates(wanted: &TicketBody) -> Result<bool, Status> {
    Ok(Options::new(wanted, &HeaderMap::new())?.hydrates)
}

/// The schema of an object's stream.
pub(super) async fn schema(door: &Door, wanted: &TicketBody) -> Result<SchemaResult, Status> {
    let name = names::of_text(&wanted.name)?;
    let hydrates = hydrates(wanted)?;
    let schema = door.ask(move |client| schema_of(&client.get(&name)?, hydrates)).await?;
    Ok(SchemaResult { schema })
}

fn info(
    object: &Object,
    hint: &Hint,
    wanted: TicketBody,
    hydrates: bool,
) -> sheaf_store::Result<FlightInfo> {
    let facts = object.info();
    let descriptor = names::descriptor(&facts.name);
    let endpoint = FlightEndpoint::new().with_ticket(names::ticket(&wanted));
    let metadata = AppMetadata { sheaf: hint.clone(), kind: facts.kind.to_string() };
    let rows = match facts.kind {
        ObjectKind::Table => facts.rows,
        ObjectKind::Bytes => get::opaque::chunks_of(object),
    };
    let mut info = FlightInfo::new().with_descriptor(descriptor).with_endpoint(endpoint);
    info.schema = schema_of(object, hydrates)?;
    info.total_records = i64::try_from(rows).unwrap_or(-1);
    info.total_bytes = i64::try_from(facts.bytes).unwrap_or(-1);
    info.ordered = true;
    info.app_metadata = serde_json::to_vec(&metadata).unwrap_or_default().into();
    Ok(info)
}

/// The schema message as Flight has it.
fn schema_of(object: &Object, hydrates: bool) -> sheaf_store::Result<Bytes> {
    let header = match object.info().kind {
        ObjectKind::Table if hydrates => get::hydrated_schema_message(object.table()?.schema()),
        ObjectKind::Table => {
            let table = object.table()?;
            let message = table.file().message(0);
            message.map(|message| message.header.to_vec()).unwrap_or_default()
        }
        ObjectKind::Bytes => get::opaque::schema_message(),
    };
    Ok(framed(&header))
}

/// A message behind a marker and its length.
pub(crate) fn framed(header: &[u8]) -> Bytes {
    let padded = header.len().next_multiple_of(8);
    let mut framed = Vec::with_capacity(8 + padded);
    framed.extend_from_slice(&[0xff; 4]);
    framed.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
    framed.extend_from_slice(header);
    framed.resize(8 + padded, 0);
    framed.into()
}

/// What a list is to have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Filter {
    /// Names that start with it.
    prefix: String,
    /// `table` or `bytes`.
    kind: Option<String>,
    /// The most objects.
    limit: Option<usize>,
}

impl Filter {
    /// Nothing, JSON, or a prefix: whatever the bytes are, they mean something.
    fn of(expression: &[u8]) -> Self {
        serde_json::from_slice(expression).unwrap_or_else(|_| Self {
            prefix: String::from_utf8_lossy(expression).into_owned(),
            ..Self::default()
        })
    }
}

/// Every sealed object that the criteria let through, in order of names.
pub(super) async fn list(
    door: &Door,
    hint: &Hint,
    criteria: Criteria,
) -> Result<Answers<FlightInfo>, Status> {
    let filter = Filter::of(&criteria.expression);
    let prefix = filter.prefix.clone();
    let found = door.ask(move |client| client.list(&prefix, false)).await?;
    let names: Vec<_> = found
        .into_iter()
        .filter(|info| info.state == State::Sealed)
        .filter(|info| filter.kind.as_ref().is_none_or(|kind| *kind == info.kind.to_string()))
        .take(filter.limit.unwrap_or(usize::MAX))
        .map(|info| info.name)
        .collect();
    let pages: Vec<Vec<_>> = names.chunks(PAGE).map(<[_]>::to_vec).collect();
    let (door, hint) = (door.clone(), hint.clone());
    let told = futures_util::stream::iter(pages).then(move |names| {
        let (door, hint) = (door.clone(), hint.clone());
        async move {
            let page = door.ask(move |client| Ok(page(client, &hint, &names))).await;
            futures_util::stream::iter(page.unwrap_or_else(|status| vec![Err(status)]))
        }
    });
    Ok(told.flatten().boxed())
}

/// What is known of these objects; those that went meanwhile are passed over.
fn page(
    client: &Client,
    hint: &Hint,
    names: &[sheaf_store::Name],
) -> Vec<Result<FlightInfo, Status>> {
    let objects = match client.get_many(names, std::time::Duration::ZERO) {
        Ok(objects) => objects,
        Err(error) => return vec![Err(status::of(&error))],
    };
    let told = |object: Object| {
        let wanted = TicketBody::of(&object.info().name);
        info(&object, hint, wanted, false).map_err(|error| status::of(&error))
    };
    objects.into_iter().flatten().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_nothing_json_or_a_prefix() {
        assert_eq!(Filter::of(b""), Filter::default());
        assert_eq!(Filter::of(br#"{"prefix":"a","limit":3}"#).limit, Some(3));
        assert_eq!(Filter::of(b"trades/").prefix, "trades/");
        assert_eq!(Filter::of(br#"{"prefixx":"a"}"#).prefix, r#"{"prefixx":"a"}"#);
        assert!(!Filter::of(&[255, 0]).prefix.is_empty());
    }
}
