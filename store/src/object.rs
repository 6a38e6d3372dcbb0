//! The values that every part of the store speaks of: names, kinds, what is known of an object.
//!
//! Plain data: nothing here does I/O or knows who holds what.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// An object's name: 1 to 255 bytes, UTF-8 by habit and not by law. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// A name of these bytes.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is empty or longer than [`Name::MAX_BYTES`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() || bytes.len() > Self::MAX_BYTES {
            return Err(Error::new(
                Kind::Invalid,
                format!("a name has 1 to {} bytes; this one has {}", Self::MAX_BYTES, bytes.len()),
            ));
        }
        Ok(Self(bytes.into()))
    }

    /// A name for what has none, from its seal to its first holder: `.sql/4711/0`. No other process
    /// has this id, and no other call in this one the number.
    #[must_use]
    pub fn passing(kind: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(format!(".{kind}/{}/{number}", std::process::id()).into_bytes().into())
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    /// As text where it is printable UTF-8, else as `0x…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// What an object's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// An Arrow IPC file, checked at seal.
    Table,
    /// Opaque bytes.
    Bytes,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Bytes => "bytes",
        })
    }
}

/// Where an object is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// One writer, no reader.
    Draft,
    /// Readers, no writer.
    Sealed,
    /// Deleted or replaced, and still held by someone.
    Retired,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Draft => "draft",
            Self::Sealed => "sealed",
            Self::Retired => "retired",
        })
    }
}

/// User metadata of an object: opaque to the store, at most [`MAX_METADATA_BYTES`].
pub type Metadata = Arc<[u8]>;

/// The largest user metadata of one object, in bytes.
pub const MAX_METADATA_BYTES: usize = 64 << 10;

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// The command's name, for people.
    pub command: String,
}

/// One process that holds an object or writes its draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub peer: Peer,
    /// How many times it holds the object (1 for a writer).
    pub holds: u64,
    /// True when it writes the object's draft.
    pub writer: bool,
}

/// What the store knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The object's name.
    pub name: Name,
    /// The object itself, whatever has its name later: no id is used twice while the store runs. 0
    /// when it was found without asking the store, as tiny ones are.
    pub id: u64,
    /// What its bytes are.
    pub kind: ObjectKind,
    /// Where it is in its life.
    pub state: State,
    /// Its own bytes.
    pub bytes: u64,
    /// What it takes from the budget, in bytes: its own, rounded up to pages, and its header.
    pub charged_bytes: u64,
    /// Rows, for a sealed table.
    pub rows: u64,
    /// Record batches, for a sealed table.
    pub batches: u64,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was sealed, in milliseconds since the Unix epoch; 0 for a draft.
    pub sealed_ms: u64,
    /// True when it may be dropped for room while nobody holds it.
    pub droppable: bool,
    /// User metadata.
    pub metadata: Metadata,
    /// Who holds it or writes it; filled only when asked for.
    pub holders: Vec<Holder>,
}

impl Info {
    /// Of a statement's result that has no name in the store.
    ///
    /// # Errors
    /// None but an invalid name's, which this one is not.
    pub fn result(bytes: u64, rows: u64, batches: u64) -> Result<Self> {
        Ok(Self {
            name: Name::new("result")?,
            id: 0,
            kind: ObjectKind::Table,
            state: State::Sealed,
            bytes,
            charged_bytes: 0,
            rows,
            batches,
            created_ms: 0,
            sealed_ms: 0,
            droppable: false,
            metadata: [].into(),
            holders: Vec::new(),
        })
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A draft was created.
    Created,
    /// The object was sealed: it can be read now.
    Sealed,
    /// The object is gone: deleted, dropped for room, replaced, or its draft ended unsealed.
    Deleted,
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// To which name.
    pub name: Name,
    /// The object's bytes.
    pub bytes: u64,
    /// The size of its user metadata, in bytes.
    pub metadata_bytes: u64,
}

/// How to put an object.
#[derive(Clone, Debug, Default)]
pub struct PutOptions {
    /// Replace a sealed object of this name, atomically; old readers keep the old one.
    pub replace: bool,
    /// With `replace`: only while the name is bound to the object of this id ([`Info::id`]). Else
    /// it fails with [`Kind::Exists`](crate::Kind::Exists) at seal, and nothing has changed.
    pub replaces: Option<u64>,
    /// A cache entry: may be dropped for room, least recently used first, while nobody holds it.
    pub droppable: bool,
    /// User metadata.
    pub metadata: Vec<u8>,
    /// How long to wait for room; [`Duration::ZERO`] fails at once when the store is full.
    pub wait: Duration,
}
