//! What is known of an object, as JSON: in actions' answers and in headers.
//!
//! Headers are small. One that would not fit leaves the user's metadata out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sheaf_store::{Holder, Info, ObjectKind, Peer, State};
use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::names;

/// The header by which a client asks for the object's facts, beside what it gets or puts.
const ASKED: &str = "sheaf-facts";

/// The header, or trailer, that has them.
pub(crate) const HEADER: &str = "sheaf-facts-bin";

/// The most of a user's metadata that goes into a header, in bytes.
const MOST_METADATA: usize = 4 << 10;

/// What is known of an object.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    name: String,
    /// Of the store that it lies in.
    #[serde(default)]
    id: u64,
    kind: String,
    state: String,
    bytes: u64,
    charged_bytes: u64,
    rows: u64,
    batches: u64,
    created_ms: u64,
    sealed_ms: u64,
    droppable: bool,
    /// In base64; left out where it would be too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holders: Vec<Holding>,
}

/// One process that holds an object.
#[derive(Debug, Serialize, Deserialize)]
struct Holding {
    pid: u32,
    uid: u32,
    command: String,
    holds: u64,
    writer: bool,
}

impl From<Holder> for Holding {
    fn from(holder: Holder) -> Self {
        let Holder { peer: Peer { pid, uid, command }, holds, writer } = holder;
        Self { pid, uid, command, holds, writer }
    }
}

impl From<Holding> for Holder {
    fn from(holding: Holding) -> Self {
        let Holding { pid, uid, command, holds, writer } = holding;
        Self { peer: Peer { pid, uid, command }, holds, writer }
    }
}

impl Facts {
    pub(crate) fn of(info: &Info) -> Self {
        Self {
            name: names::to_text(&info.name),
            id: info.id,
            kind: info.kind.to_string(),
            state: info.state.to_string(),
            bytes: info.bytes,
            charged_bytes: info.charged_bytes,
            rows: info.rows,
            batches: info.batches,
            created_ms: info.created_ms,
            sealed_ms: info.sealed_ms,
            droppable: info.droppable,
            metadata: Some(STANDARD.encode(&info.metadata[..])),
            holders: info.holders.iter().cloned().map(Holding::from).collect(),
        }
    }

    /// Whether the user's metadata was left out.
    pub(crate) fn lacks_metadata(&self) -> bool {
        self.metadata.is_none()
    }

    /// What was told, as the store knows it.
    ///
    /// # Errors
    /// `INTERNAL` if the server told something that can't be.
    pub(crate) fn into_info(self) -> Result<Info, Status> {
        let odd = |what: &str| Status::internal(format!("the server told of a {what}"));
        let metadata = self.metadata.map(|text| STANDARD.decode(text)).transpose();
        Ok(Info {
            name: names::of_text(&self.name)?,
            id: self.id,
            kind: match self.kind.as_str() {
                "table" => ObjectKind::Table,
                "bytes" => ObjectKind::Bytes,
                other => return Err(odd(&format!("kind {other}"))),
            },
            state: match self.state.as_str() {
                "draft" => State::Draft,
                "sealed" => State::Sealed,
                "retired" => State::Retired,
                other => return Err(odd(&format!("state {other}"))),
            },
            bytes: self.bytes,
            charged_bytes: self.charged_bytes,
            rows: self.rows,
            batches: self.batches,
            created_ms: self.created_ms,
            sealed_ms: self.sealed_ms,
            droppable: self.droppable,
            metadata: metadata
                .map_err(|_| odd("metadata that is not base64"))?
                .unwrap_or_default()
                .into(),
            holders: self.holders.into_iter().map(Holder::from).collect(),
        })
    }
}

/// Asks for the facts, beside what a call gets or puts.
pub(crate) fn ask(metadata: &mut MetadataMap) {
    metadata.insert(ASKED, MetadataValue::from_static("true"));
}

/// Whether these headers ask for the facts.
pub(crate) fn are_asked_for(headers: &HeaderMap) -> bool {
    headers.get(ASKED).is_some_and(|value| value == "true")
}

/// Writes what is known of an object into headers.
pub(crate) fn put(headers: &mut HeaderMap, info: &Info) {
    let mut facts = Facts::of(info);
    if info.metadata.len() > MOST_METADATA {
        facts.metadata = None;
    }
    let json = serde_json::to_vec(&facts).unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&STANDARD.encode(json)) {
        headers.insert(HEADER, value);
    }
}

/// Reads it from there.
///
/// # Errors
/// `INTERNAL` if it is not there: the server is no Sheaf, or another version.
pub(crate) fn take(headers: &HeaderMap) -> Result<Facts, Status> {
    let told = headers.get(HEADER).and_then(|value| STANDARD.decode(value).ok());
    let facts = told.and_then(|json| serde_json::from_slice(&json).ok());
    facts.ok_or_else(|| {
        Status::internal(
            "the server tells nothing of the object: is it a store of another version?",
        )
    })
}

#[cfg(test)]
mod tests {
    use sheaf_store::Name;

    use super::*;

    fn info(metadata: usize) -> Info {
        let peer = Peer { pid: 7, uid: 0, command: "caf\u{e9}".into() };
        Info {
            name: Name::new([0xff, 0x00]).unwrap(),
            id: 7,
            kind: ObjectKind::Table,
            state: State::Sealed,
            bytes: 1,
            charged_bytes: 2,
            rows: 3,
            batches: 4,
            created_ms: 5,
            sealed_ms: 6,
            droppable: true,
            metadata: vec![9; metadata].into(),
            holders: vec![Holder { peer, holds: 8, writer: false }],
        }
    }

    #[test]
    fn facts_come_back_from_json_and_from_headers() {
        let json = serde_json::to_vec(&Facts::of(&info(70_000))).unwrap();
        let facts: Facts = serde_json::from_slice(&json).unwrap();
        assert_eq!(facts.into_info().unwrap(), info(70_000));

        let mut headers = HeaderMap::new();
        put(&mut headers, &info(1000));
        assert_eq!(take(&headers).unwrap().into_info().unwrap(), info(1000));
    }

    #[test]
    fn metadata_that_is_too_long_for_a_header_is_left_out() {
        let mut headers = HeaderMap::new();
        put(&mut headers, &info(MOST_METADATA + 1));

        assert!(headers[HEADER].len() < 1000);
        assert!(take(&headers).unwrap().lacks_metadata());
        assert_eq!(take(&HeaderMap::new()).unwrap_err().code(), tonic::Code::Internal);
    }
}
