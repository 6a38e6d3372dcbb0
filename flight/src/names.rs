//! How an object is named in Flight: descriptors and tickets.
//!
//! A descriptor of type PATH with one part names an object by that part. A ticket is what
//! `GetFlightInfo` handed out: a JSON object, or the bare name, so that a client may make one up.

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightDescriptor, Ticket};
use serde::{Deserialize, Serialize};
use sheaf_store::Name;
use tonic::Status;

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketBody {
    /// The object's name.
    pub(crate) name: String,
    /// The most that the body of a message may take, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_message_bytes: Option<u64>,
}

impl TicketBody {
    /// A ticket that asks for nothing but the object.
    pub(crate) fn of(name: &Name) -> Self {
        Self { name: name.to_string(), max_message_bytes: None }
    }
}

/// The object's name in a descriptor.
pub(crate) fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Name, Status> {
    match (descriptor.r#type(), descriptor.path.as_slice()) {
        (DescriptorType::Path, [name]) => name_of(name.as_bytes()),
        (DescriptorType::Path, parts) => Err(Status::invalid_argument(format!(
            "a path of {} parts names no object: give one part, the object's name",
            parts.len()
        ))),
        _ => Err(Status::invalid_argument(
            "a command names no object: give a descriptor of type PATH with the object's name",
        )),
    }
}

/// The descriptor of an object.
pub(crate) fn descriptor(name: &Name) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![name.to_string()])
}

/// The ticket of an object.
pub(crate) fn ticket(name: &Name) -> Ticket {
    Ticket::new(serde_json::to_vec(&TicketBody::of(name)).unwrap_or_default())
}

/// What a ticket asks for.
pub(crate) fn of_ticket(ticket: &Ticket) -> Result<TicketBody, Status> {
    match serde_json::from_slice::<TicketBody>(&ticket.ticket) {
        Ok(body) => name_of(body.name.as_bytes()).map(|_| body),
        Err(_) => name_of(&ticket.ticket).map(|name| TicketBody::of(&name)),
    }
}

fn name_of(bytes: &[u8]) -> Result<Name, Status> {
    Name::new(bytes).map_err(|error| crate::status::of(&error))
}
