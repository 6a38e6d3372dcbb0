//! What an upload is to become: its name, and how it is put.
//!
//! A descriptor of type PATH names it, and headers say how; one of type CMD says all of it in JSON.

use std::time::Duration;

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use sheaf_store::{Name, PutOptions};
use tonic::Status;

use crate::names;

/// Headers that say how an upload is put.
const REPLACE: &str = "sheaf-replace";
const DROPPABLE: &str = "sheaf-droppable";
const WAIT_MS: &str = "sheaf-wait-ms";
const METADATA: &str = "sheaf-metadata-bin";

/// What a descriptor of type CMD says.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Command {
    Put(PutBody),
    /// What comes belongs to an upload that was begun.
    Append {
        upload: String,
    },
    /// The upload is given up.
    Abort {},
}

/// An upload, in JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutBody {
    /// The object's name.
    name: String,
    /// Takes the name from the object that has it.
    #[serde(default)]
    replace: bool,
    /// May be dropped for room while nobody holds it.
    #[serde(default)]
    droppable: bool,
    /// How long to wait for room, in milliseconds.
    #[serde(default)]
    wait_ms: u64,
    /// User metadata, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    metadata: String,
    /// User metadata that is no text, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    metadata_base64: String,
}

/// An upload's target.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// An object of its own.
    Object(Place),
    /// An upload that was begun, by its id.
    Begun(String),
}

/// Under which name an object is put, and how.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: Name,
    pub(crate) options: PutOptions,
}

impl PutBody {
    /// What the JSON says.
    pub(crate) fn place(self) -> Result<Place, Status> {
        let metadata = match (self.metadata.is_empty(), self.metadata_base64.is_empty()) {
            (_, true) => self.metadata.into_bytes(),
            (true, false) => STANDARD
                .decode(&self.metadata_base64)
                .map_err(|_| Status::invalid_argument("metadata_base64 is not base64"))?,
            (false, false) => {
                let message = "give metadata as text or as metadata_base64, not both";
                return Err(Status::invalid_argument(message));
            }
        };
        let options = PutOptions {
            replace: self.replace,
            droppable: self.droppable,
            metadata,
            wait: Duration::from_millis(self.wait_ms),
            ..PutOptions::default()
        };
        Ok(Place { name: names::of_text(&self.name)?, options })
    }
}

/// Whether a descriptor that comes later than the first gives the upload up.
pub(super) fn gives_up(descriptor: &FlightDescriptor) -> bool {
    descriptor.r#type() == DescriptorType::Cmd
        && matches!(serde_json::from_slice(&descriptor.cmd), Ok(Command::Abort {}))
}

pub(super) fn given_up() -> Status {
    Status::aborted("the upload was given up by its client: nothing of it is kept")
}

/// The descriptor that gives an upload up.
pub(crate) fn abort_command() -> FlightDescriptor {
    FlightDescriptor::new_cmd(serde_json::to_vec(&Command::Abort {}).unwrap_or_default())
}

/// The descriptor that says how an object is put.
pub(crate) fn command(name: &Name, options: &PutOptions) -> FlightDescriptor {
    let body = PutBody {
        name: names::to_text(name),
        replace: options.replace,
        droppable: options.droppable,
        wait_ms: names::millis(options.wait),
        metadata: String::new(),
        metadata_base64: STANDARD.encode(&options.metadata),
    };
    FlightDescriptor::new_cmd(serde_json::to_vec(&Command::Put(body)).unwrap_or_default())
}

impl Target {
    /// An object that has a name for a moment only, and nobody else knows it.
    pub(super) fn passing() -> Self {
        let name = Name::passing("flight");
        Self::Object(Place { name, options: PutOptions::default() })
    }

    /// What the descriptor and the headers say.
    pub(crate) fn new(descriptor: &FlightDescriptor, headers: &HeaderMap) -> Result<Self, Status> {
        if descriptor.r#type() == DescriptorType::Cmd {
            let command = serde_json::from_slice(&descriptor.cmd).map_err(|error| {
                Status::invalid_argument(format!(
                    "the command is not {{\"put\": {{\"name\": …}}}}: {error}"
                ))
            })?;
            return match command {
                Command::Put(body) => body.place().map(Self::Object),
                Command::Append { upload } => Ok(Self::Begun(upload)),
                Command::Abort {} => Err(given_up()),
            };
        }
        let name = names::of_text(&names::wanted(descriptor)?.name)?;
        let wait_ms = headers.get(WAIT_MS).map(number).transpose()?.unwrap_or_default();
        let options = PutOptions {
            replace: flag(headers, REPLACE)?,
            droppable: flag(headers, DROPPABLE)?,
            metadata: headers.get(METADATA).map(binary).transpose()?.unwrap_or_default(),
            wait: Duration::from_millis(wait_ms),
            ..PutOptions::default()
        };
        Ok(Self::Object(Place { name, options }))
    }
}

fn flag(headers: &HeaderMap, name: &str) -> Result<bool, Status> {
    match headers.get(name).map(http::HeaderValue::as_bytes) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(Status::invalid_argument(format!("{name} is true or false"))),
    }
}

fn number(value: &http::HeaderValue) -> Result<u64, Status> {
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Status::invalid_argument(format!("{WAIT_MS} is a number")))
}

/// A header of gRPC whose name ends in `-bin`.
fn binary(value: &http::HeaderValue) -> Result<Vec<u8>, Status> {
    let bytes = value.as_bytes();
    let decoded = STANDARD_NO_PAD.decode(bytes).or_else(|_| STANDARD.decode(bytes));
    decoded.map_err(|_| Status::invalid_argument(format!("{METADATA} is not base64")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn headers_and_commands_say_the_same() {
        let path = FlightDescriptor::new_path(vec!["t".into()]);
        let said = headers(&[
            (REPLACE, "true"),
            (DROPPABLE, "true"),
            (WAIT_MS, "2500"),
            (METADATA, "bm90ZQ"),
        ]);
        let command = r#"{"put":{"name":"t","replace":true,"droppable":true,"wait_ms":2500,
            "metadata":"note"}}"#;

        for target in [
            Target::new(&path, &said).unwrap(),
            Target::new(&FlightDescriptor::new_cmd(command), &HeaderMap::new()).unwrap(),
        ] {
            let Target::Object(target) = target else { panic!("an object of its own") };
            assert_eq!(target.name.as_bytes(), b"t");
            let PutOptions { replace, droppable, metadata, wait, .. } = target.options;
            assert!(replace && droppable);
            assert_eq!((&metadata[..], wait), (&b"note"[..], Duration::from_millis(2500)));
        }
    }

    #[test]
    fn a_command_says_what_it_was_made_of() {
        let options = PutOptions {
            replace: true,
            droppable: false,
            metadata: vec![0xff, 0],
            wait: Duration::from_millis(3),
            ..PutOptions::default()
        };
        let name = Name::new([0xfe]).unwrap();

        let target = Target::new(&command(&name, &options), &HeaderMap::new()).unwrap();

        let Target::Object(target) = target else { panic!("an object of its own") };
        assert_eq!(target.name, name);
        let PutOptions { replace, droppable, metadata, wait, .. } = target.options;
        assert!(replace && !droppable);
        assert_eq!((metadata, wait), (options.metadata, options.wait));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let path = FlightDescriptor::new_path(vec!["t".into()]);
        for pair in [(REPLACE, "yes"), (WAIT_MS, "2s"), (METADATA, "§")] {
            let error = Target::new(&path, &headers(&[pair])).unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{pair:?}");
        }
        for command in [
            "",
            r#"{"put":{}}"#,
            r#"{"put":{"name":"t","replaec":true}}"#,
            "{}",
            r#"{"put":{"name":"t","metadata":"a","metadata_base64":"YQ=="}}"#,
            r#"{"put":{"name":"t","metadata_base64":"!"}}"#,
        ] {
            let descriptor = FlightDescriptor::new_cmd(command);
            let error = Target::new(&descriptor, &HeaderMap::new()).unwrap_err();
            assert_eq!(error.code(), tonic::Code::InvalidArgument, "{command}");
        }
    }
}
