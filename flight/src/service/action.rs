//! `DoAction` and `ListActions`: what Flight has no call of its own for.
//!
//! Bodies and results are JSON, but for those that the specification of Flight defines.

use std::time::Duration;

use arrow_flight::{Action, ActionType, RenewFlightEndpointRequest};
use bytes::Bytes;
use futures_util::StreamExt;
use prost::Message;
use serde::{Deserialize, Serialize};
use sheaf_store::{Info, ObjectKind};
use tonic::Status;

use super::Answers;
use super::hint::Hint;
use crate::auth::Right;
use crate::door::Door;
use crate::facts::Facts;
use crate::names;
use crate::put::{PutBody, Uploads};

/// Every action: its name, and what goes in and comes out.
const ACTIONS: &[(&str, &str)] = &[
    (
        "create",
        r#"begins an upload of several steps, and takes its name: {"name": …, "kind": "table" |
"bytes", "replace": false, "droppable": false, "wait_ms": 0, "metadata": "", "metadata_base64": ""}
→ {"upload": id}; each DoPut with the command {"append": {"upload": id}} adds its batches"#,
    ),
    ("seal", r#"ends an upload of several steps well: {"upload": id} → as info"#),
    ("abort", r#"gives an upload of several steps up: {"upload": id} → {}"#),
    ("delete", r#"unbinds a name: {"name": …} → {}"#),
    (
        "wait",
        r#"waits until an object is sealed: {"name": …, "timeout_ms": …} → as info; fails with
DEADLINE_EXCEEDED at the limit, with ABORTED when its writer is gone"#,
    ),
    (
        "info",
        r#"what is known of an object or a draft: {"name": …, "holders": false} → {"name": …,
"kind": "table" | "bytes", "state": "sealed" | "draft", "bytes": …, "charged_bytes": …,
"rows": …, "batches": …, "created_ms": …, "sealed_ms": …, "droppable": …, "metadata": base64,
"holders": [{"pid": …, "uid": …, "command": …, "holds": …, "writer": …}]}"#,
    ),
    ("list", r#"as info, a result for each object and draft: {"prefix": "", "holders": false}"#),
    ("stat", r#"the store's counters: {} → {"store": …, "version": …, "pid": …, "counters": {…}}"#),
    (
        "hint",
        r#"the near door, for clients on the same machine: {} → {"socket": …, "store": …, …}"#,
    ),
    ("evict", r#"drops droppable objects that nobody holds: {"bytes": …} → {"bytes": …}"#),
    ("cancel", "as CancelFlightInfo"),
    ("renew", "as RenewFlightEndpoint"),
    (
        "query",
        r#"runs a statement of SQL and puts its result under a name: {"sql": …, "into": …,
"replace": false} → as info; without a name, ask by Flight SQL"#,
    ),
    (
        "CancelFlightInfo",
        "of the specification: ends a statement of SQL; a stored object is none, so it is not \
         cancellable; to end a stream, cancel its call",
    ),
    ("CancelQuery", "of Flight SQL, as CancelFlightInfo"),
    ("CreatePreparedStatement", "of Flight SQL"),
    ("ClosePreparedStatement", "of Flight SQL"),
    ("SetSessionOptions", "of the specification: what `set name = value` sets"),
    ("GetSessionOptions", "of the specification: the options that were set"),
    ("CloseSession", "of the specification: sets all options back"),
    (
        "RenewFlightEndpoint",
        "of the specification: endpoints do not expire, so it comes back as it is",
    ),
];

/// Actions that change something.
const WRITES: [&str; 5] = ["create", "seal", "abort", "delete", "evict"];

/// What actions there are.
pub(super) fn list() -> Answers<ActionType> {
    let types = ACTIONS.iter().map(|(name, description)| {
        Ok(ActionType { r#type: (*name).to_owned(), description: description.replace('\n', " ") })
    });
    futures_util::stream::iter(types.collect::<Vec<_>>()).boxed()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    holders: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Listing {
    prefix: String,
    holders: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Size {
    bytes: u64,
}

/// An upload of several steps, by its id.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Step {
    upload: String,
}

/// Does an action.
pub(super) async fn act(
    door: &Door,
    uploads: &Uploads,
    hint: &Hint,
    right: Right,
    action: Action,
) -> Result<Answers<arrow_flight::Result>, Status> {
    let body = action.body;
    if WRITES.contains(&action.r#type.as_str()) {
        right.to_write()?;
    }
    let result = match action.r#type.as_str() {
        "create" => {
            let upload = create(door, uploads, json(&body)?).await?;
            to_json(&Step { upload })?
        }
        "seal" => {
            let Step { upload } = json(&body)?;
            to_json(&Facts::of(&uploads.seal(door, &upload).await?))?
        }
        "abort" => {
            let Step { upload } = json(&body)?;
            uploads.abort(door, &upload).await?;
            Bytes::from_static(b"{}")
        }
        "delete" => {
            let Named { name, .. } = json(&body)?;
            let name = names::of_text(&name)?;
            door.ask(move |client| client.delete(&name)).await?;
            Bytes::from_static(b"{}")
        }
        "wait" => to_json(&Facts::of(&wait(door, json(&body)?).await?))?,
        "info" => {
            let Named { name, holders, .. } = json(&body)?;
            let name = names::of_text(&name)?;
            to_json(&Facts::of(&door.ask(move |client| client.info(&name, holders)).await?))?
        }
        "list" => {
            let Listing { prefix, holders } = json(&body)?;
            let found = door.ask(move |client| client.list(&prefix, holders)).await?;
            let told = found
                .into_iter()
                .map(|info| to_json(&Facts::of(&info)).map(|body| arrow_flight::Result { body }));
            return Ok(futures_util::stream::iter(told.collect::<Vec<_>>()).boxed());
        }
        "stat" => stat(door).await?,
        "hint" => to_json(hint)?,
        "evict" => {
            let Size { bytes } = json(&body)?;
            to_json(&Size { bytes: door.ask(move |client| client.evict(bytes)).await? })?
        }
        "renew" | "RenewFlightEndpoint" => {
            let request = RenewFlightEndpointRequest::decode(body).map_err(|error| {
                Status::invalid_argument(format!("no RenewFlightEndpointRequest: {error}"))
            })?;
            let endpoint = request.endpoint.ok_or_else(|| {
                Status::invalid_argument("a RenewFlightEndpointRequest without an endpoint")
            })?;
            endpoint.encode_to_vec().into()
        }
        other => {
            return Err(Status::unimplemented(format!(
                "there is no action {other}: ListActions tells which there are"
            )));
        }
    };
    let result = arrow_flight::Result { body: result };
    Ok(futures_util::stream::iter([Ok(result)]).boxed())
}

/// Begins an upload: what a put says of its object, and which kind it is.
async fn create(
    door: &Door,
    uploads: &Uploads,
    mut said: serde_json::Map<String, serde_json::Value>,
) -> Result<String, Status> {
    let kind = match said.remove("kind") {
        None => ObjectKind::Table,
        Some(kind) if kind == "table" => ObjectKind::Table,
        Some(kind) if kind == "bytes" => ObjectKind::Bytes,
        Some(kind) => {
            let message = format!("kind is table or bytes, not {kind}");
            return Err(Status::invalid_argument(message));
        }
    };
    let body: PutBody = serde_json::from_value(said.into()).map_err(not_taken)?;
    uploads.create(door, body.place()?, kind).await
}

async fn wait(door: &Door, named: Named) -> Result<Info, Status> {
    let name = names::of_text(&named.name)?;
    let limit = named.timeout_ms.map_or(Duration::MAX, Duration::from_millis);
    door.wait_up_to(limit, move |client, slice| client.wait(&name, slice)).await
}

async fn stat(door: &Door) -> Result<Bytes, Status> {
    let stat = door.ask(|client| client.stat()).await?;
    let counters: serde_json::Map<_, _> =
        stat.fields().map(|(name, value)| (name.to_owned(), value.into())).collect();
    to_json(&serde_json::json!({
        "store": stat.store_id,
        "version": stat.version,
        "pid": stat.store_pid,
        "counters": counters,
    }))
}

/// Reads a body; none at all is an empty object.
fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Status> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(not_taken)
}

fn not_taken(error: serde_json::Error) -> Status {
    Status::invalid_argument(format!(
        "the action's body is not what it takes: {error} (ListActions tells what that is)"
    ))
}

fn to_json(value: &impl Serialize) -> Result<Bytes, Status> {
    let encoded = serde_json::to_vec(value);
    encoded.map(Bytes::from).map_err(|error| Status::internal(format!("no JSON: {error}")))
}
