//! How an object is named in Flight: descriptors, tickets, and JSON.
//!
//! A descriptor of type PATH with one part names an object by that part; one of type CMD says it in
//! JSON. A ticket is what `GetFlightInfo` handed out: JSON, or the bare name, so that a client may
//! make one up. Names are text there: one that is no printable text is written as `0x…`, its bytes
//! in hexadecimal.

use std::time::Duration;

use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightDescriptor, Ticket};
use serde::{Deserialize, Serialize};
use sheaf_store::Name;
use tonic::Status;

use crate::status;

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketBody {
    /// The object's name.
    pub(crate) name: String,
    /// The most that the body of a message may take, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_message_bytes: Option<u64>,
    /// How long to wait for the object, in milliseconds; not at all when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// `lz4` or `zstd`: how bodies are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<String>,
    /// `hydrate` sends values in place of dictionaries; `keep` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dictionaries: Option<String>,
}

impl TicketBody {
    /// A ticket that asks for nothing but the object.
    pub(crate) fn of(name: &Name) -> Self {
        Self {
            name: to_text(name),
            max_message_bytes: None,
            timeout_ms: None,
            compression: None,
            dictionaries: None,
        }
    }
}

/// What a descriptor of type CMD says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Get(TicketBody),
}

/// What a descriptor asks for.
pub(crate) fn wanted(descriptor: &FlightDescriptor) -> Result<TicketBody, Status> {
    match (descriptor.r#type(), descriptor.path.as_slice()) {
        (DescriptorType::Path, [name]) => {
            let name = of_text(name)?;
            Ok(TicketBody::of(&name))
        }
        (DescriptorType::Path, parts) => Err(Status::invalid_argument(format!(
            "a path of {} parts names no object: give one part, the object's name",
            parts.len()
        ))),
        (DescriptorType::Cmd, _) => {
            let command = serde_json::from_slice(&descriptor.cmd).map_err(|error| {
                Status::invalid_argument(format!(
                    "the command is not {{\"get\": {{\"name\": …}}}}: {error}"
                ))
            })?;
            let Command::Get(body) = command;
            of_text(&body.name)?;
            Ok(body)
        }
        _ => Err(Status::invalid_argument(
            "a descriptor of no type: give one of type PATH with the object's name",
        )),
    }
}

/// A time limit, in milliseconds; what is longer than they can say is for ever.
pub(crate) fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}

/// The descriptor of an object.
pub(crate) fn descriptor(name: &Name) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![to_text(name)])
}

/// A ticket that says so.
pub(crate) fn ticket(body: &TicketBody) -> Ticket {
    Ticket::new(serde_json::to_vec(body).unwrap_or_default())
}

/// What a ticket asks for.
pub(crate) fn of_ticket(ticket: &Ticket) -> Result<TicketBody, Status> {
    match serde_json::from_slice::<TicketBody>(&ticket.ticket) {
        Ok(body) => of_text(&body.name).map(|_| body),
        Err(_) => name(&ticket.ticket).map(|name| TicketBody::of(&name)),
    }
}

/// The text that stands for a name: the name itself where it is printable and means nothing else.
pub(crate) fn to_text(name: &Name) -> String {
    let text = name.to_string();
    match hexadecimal(&text) {
        Some(other) if other != *name => {
            name.as_bytes().iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
        }
        _ => text,
    }
}

/// The name that a text stands for.
pub(crate) fn of_text(text: &str) -> Result<Name, Status> {
    match hexadecimal(text).filter(|name| to_text(name) == text) {
        Some(name) => Ok(name),
        None => name(text.as_bytes()),
    }
}

/// The name whose bytes `0x…` lists.
fn hexadecimal(text: &str) -> Option<Name> {
    let digits = text.strip_prefix("0x")?;
    if !digits.is_ascii() || digits.len() % 2 != 0 {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    let bytes: Vec<u8> =
        pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).collect::<Option<_>>()?;
    Name::new(bytes).ok()
}

fn name(bytes: &[u8]) -> Result<Name, Status> {
    Name::new(bytes).map_err(|error| status::of(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_from_its_text() {
        for bytes in [&b"trades"[..], b"a b", "é".as_bytes(), &[0, 255], b"\n", b"0x", b"0xzz"] {
            let name = Name::new(bytes).unwrap();

            assert_eq!(of_text(&to_text(&name)).unwrap(), name);
            assert_eq!(of_ticket(&ticket(&TicketBody::of(&name))).unwrap(), TicketBody::of(&name));
            let of_path = wanted(&descriptor(&name)).unwrap();
            assert_eq!(of_text(&of_path.name).unwrap(), name);
        }
    }

    #[test]
    fn a_bare_name_is_a_ticket() {
        assert_eq!(of_ticket(&Ticket::new("trades")).unwrap().name, "trades");
        assert_eq!(of_ticket(&Ticket::new(vec![0, 255])).unwrap().name, "0x00ff");
        // Not JSON of ours, so it is a name.
        assert_eq!(of_ticket(&Ticket::new(r#"{"x":1}"#)).unwrap().name, r#"{"x":1}"#);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let long = "x".repeat(256);
        let paths = [vec![], vec!["a".to_owned(), "b".to_owned()], vec![String::new()], vec![long]];
        for path in paths {
            let error = wanted(&FlightDescriptor::new_path(path)).unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument);
        }
        for command in ["", "{}", r#"{"get":{}}"#, r#"{"get":{"name":"a","more":1}}"#] {
            let error = wanted(&FlightDescriptor::new_cmd(command)).unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{command}");
        }
    }
}
