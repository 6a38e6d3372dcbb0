//! What is said at the near door, as plain values.
//!
//! A [`Request`] goes to the store, a [`Reply`] comes back with the same id. Release and cancel
//! have no reply; a watch has many. The numbers and fields are those of `docs/protocol.md`.

use bytes::Bytes;

use super::wire::{Wire, wire_struct};
use crate::error::{Error, Kind, Result};
use crate::object::{EventKind, Info, Name, ObjectKind, PutOptions};

/// The time limit, in milliseconds, that means: for ever.
pub const FOR_EVER_MS: u64 = u64::MAX;

wire_struct! {
    /// The first message of every connection.
    Hello {
        /// [`super::MAGIC`].
        magic: u64,
        /// [`super::VERSION`].
        version: u16,
        /// What the client calls itself, for `sheaf ls --holders`.
        command: String,
    }
}

wire_struct! {
    /// What every put says of its object.
    Label {
        /// The object's name.
        name: Name,
        /// Table or bytes.
        kind: ObjectKind,
        /// Replace a sealed object of this name, atomically, at seal.
        replace: bool,
        /// Replace this object and no other; 0 for whichever there is.
        replaces: u64,
        /// May be dropped for room while nobody holds it.
        droppable: bool,
        /// How long to wait for room, in milliseconds.
        wait_ms: u64,
        /// User metadata, at most 64 KiB.
        metadata: Bytes,
    }
}

wire_struct! {
    /// Asks for a draft.
    Create {
        /// Name, kind and options.
        label: Label,
        /// The room it needs, in bytes.
        bytes: u64,
    }
}

wire_struct! {
    /// Asks for a larger draft.
    Grow {
        /// The draft.
        object: u64,
        /// The room it needs in all, in bytes.
        bytes: u64,
        /// How long to wait for room, in milliseconds.
        wait_ms: u64,
    }
}

wire_struct! {
    /// Ends a draft: readers may have it.
    Seal {
        /// The draft.
        object: u64,
        /// Its final length in bytes, at most what was asked for.
        len: u64,
        /// The bytes of a small draft; empty for a large one, which lies in its container.
        data: Bytes,
    }
}

wire_struct! {
    /// Ends a draft: nobody gets it.
    Abort {
        /// The draft.
        object: u64,
    }
}

wire_struct! {
    /// One small object, created and sealed in one step.
    PutItem {
        /// Name, kind and options.
        label: Label,
        /// All of its bytes.
        data: Bytes,
    }
}

wire_struct! {
    /// Small objects, as many as fit a frame.
    Put {
        /// The objects.
        items: Vec<PutItem>,
    }
}

wire_struct! {
    /// Asks for sealed objects, and waits for them.
    Get {
        /// How long to wait, in milliseconds: 0 answers at once, all ones waits for ever.
        timeout_ms: u64,
        /// False only waits and tells: nothing is held or sent.
        hold: bool,
        /// The names; one may stand several times.
        names: Vec<Name>,
    }
}

wire_struct! {
    /// Holds of one object given back.
    Released {
        /// The object.
        object: u64,
        /// How many holds.
        times: u32,
    }
}

wire_struct! {
    /// Gives holds back. No reply.
    Release {
        /// The holds.
        objects: Vec<Released>,
        /// Containers that are no longer mapped: their descriptors must be sent again.
        forget: Vec<u64>,
    }
}

wire_struct! {
    /// Asks for a container's descriptor again.
    Fetch {
        /// An object in it that this client holds.
        object: u64,
    }
}

wire_struct! {
    /// Asks for a segment's descriptor: the index leads into it.
    Open {
        /// The segment.
        container: u64,
    }
}

wire_struct! {
    /// Unbinds a name.
    Delete {
        /// The name.
        name: Name,
    }
}

wire_struct! {
    /// Asks what there is, in order of names.
    List {
        /// Names that start with this.
        prefix: Bytes,
        /// Only names after this one; empty starts at the first.
        after: Bytes,
        /// With who holds them, and with the retired objects of each name that are still held.
        holders: bool,
    }
}

wire_struct! {
    /// Asks about one object.
    Look {
        /// The name.
        name: Name,
        /// With who holds it.
        holders: bool,
    }
}

wire_struct! {
    /// Asks for events until cancelled.
    Watch {
        /// Names that start with this.
        prefix: Bytes,
        /// With a sealed event for each object that is there already, as fast as they are read.
        replay: bool,
    }
}

wire_struct! {
    /// Ends a waiting request or a watch. No reply of its own.
    Cancel {
        /// The id of that request.
        request: u64,
    }
}

wire_struct! {
    /// Asks for the counters.
    Count {}
}

wire_struct! {
    /// Drops droppable objects that nobody holds, least recently used first.
    Evict {
        /// How many bytes to free.
        bytes: u64,
    }
}

wire_struct! {
    /// Asks a statement of the store's SQL engine. The answer is a get's, with one grant.
    Query {
        /// The statement.
        sql: String,
        /// The name that its result is put under; empty for none.
        into: Bytes,
        /// Replace a sealed object of that name, atomically.
        replace: bool,
    }
}

wire_struct! {
    /// The answer to a hello. Brings the descriptor of the index.
    Welcome {
        /// The store's protocol version.
        version: u16,
        /// The store's id: another one after each start.
        store: [u8; 16],
        /// The store's process id.
        pid: u32,
        /// Objects up to this size, in bytes, travel in messages.
        small_bytes: u64,
        /// The largest frame body, in bytes, in both directions.
        body_bytes: u32,
        /// The program's version.
        program: String,
    }
}

wire_struct! {
    /// A draft's room. A large one brings a writable descriptor.
    Created {
        /// The draft.
        object: u64,
        /// Its container; 0 for a small draft, whose bytes go with the seal.
        container: u64,
        /// The container's size in bytes.
        bytes: u64,
    }
}

wire_struct! {
    /// An object was sealed.
    Sealed {
        /// The object; 0 when it is gone again already.
        object: u64,
        /// What it takes from the budget, in bytes.
        charged_bytes: u64,
        /// Rows of a table.
        rows: u64,
        /// Record batches of a table.
        batches: u64,
        /// When it was created, in milliseconds since the Unix epoch.
        created_ms: u64,
        /// When it was sealed, in milliseconds since the Unix epoch.
        sealed_ms: u64,
    }
}

wire_struct! {
    /// The answer to a put, one result for each item.
    Stored {
        /// In the order of the items.
        items: Vec<Result<Sealed>>,
    }
}

wire_struct! {
    /// A sealed object, as it is handed out.
    Grant {
        /// What is known of it.
        info: Info,
        /// The object, to be released; 0 when nothing is held.
        object: u64,
        /// The container it lies in; 0 when its bytes are in `inline`.
        container: u64,
        /// True when the container is a segment, which many objects share.
        segment: bool,
        /// True when the frame brings the container's descriptor, in the order of the grants.
        descriptor: bool,
        /// Where it starts in the container, in bytes.
        offset: u64,
        /// The bytes of a tiny object.
        inline: Bytes,
    }
}

wire_struct! {
    /// The answer to a get, one result for each name.
    Got {
        /// In the order of the names.
        grants: Vec<Result<Grant>>,
    }
}

wire_struct! {
    /// The answer to a fetch or an open: brings the descriptor.
    Fetched {
        /// The container.
        container: u64,
    }
}

wire_struct! {
    /// Done: there is nothing to tell.
    Done {}
}

wire_struct! {
    /// The answer to a list.
    Listed {
        /// What there is.
        infos: Vec<Info>,
        /// True when there is more: ask again after the last name.
        more: bool,
    }
}

wire_struct! {
    /// The answer to a look.
    Seen {
        /// What is known of the object.
        info: Info,
    }
}

wire_struct! {
    /// Something happened to an object that is watched.
    Happened {
        /// What happened.
        kind: EventKind,
        /// To which name.
        name: Name,
        /// The object's bytes.
        bytes: u64,
        /// The size of its user metadata, in bytes.
        metadata_bytes: u64,
    }
}

wire_struct! {
    /// A counter or a gauge.
    Counter {
        /// Its name; sizes end in `_bytes`.
        name: String,
        /// Its value.
        value: u64,
    }
}

wire_struct! {
    /// The answer to a count.
    Counted {
        /// All of them, in a fixed order.
        counters: Vec<Counter>,
    }
}

wire_struct! {
    /// The answer to an evict.
    Evicted {
        /// The bytes that were freed.
        bytes: u64,
    }
}

wire_struct! {
    /// Containers that this client knows and the store has retired: unmap them when unused.
    /// Comes unasked, with id 0, before some other reply.
    Retired {
        /// The containers.
        containers: Vec<u64>,
    }
}

wire_struct! {
    /// The request failed.
    Failed {
        /// What the caller should do about it.
        kind: u8,
        /// For people.
        message: String,
    }
}

/// Declares an enum of messages with their numbers, and the table the page is held to.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $code:literal $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $($(#[$vdoc])* $variant($variant),)* }

        impl $name {
            /// Number, name and fields of each message, as the page gives them.
            pub const TABLE: &'static [(u8, &'static str, &'static [(&'static str, &'static str)])]
                = &[$(($code, stringify!($variant), $variant::FIELDS),)*];

            /// The message's number.
            #[must_use]
            pub fn code(&self) -> u8 {
                match self { $(Self::$variant(_) => $code,)* }
            }

            /// Appends the body.
            pub fn put(&self, out: &mut Vec<u8>) {
                match self { $(Self::$variant(body) => body.put(out),)* }
            }

            /// Reads a body; nothing may be left over.
            ///
            /// # Errors
            /// [`Kind::Invalid`] for an unknown number or a body that is not exactly one.
            pub fn take(code: u8, mut body: Bytes) -> Result<Self> {
                let message = match code {
                    $($code => Self::$variant($variant::take(&mut body)?),)*
                    other => return Err(Error::new(
                        Kind::Invalid,
                        format!("there is no message {other:#04x} in protocol {}", super::VERSION),
                    )),
                };
                if body.is_empty() {
                    return Ok(message);
                }
                let left = body.len();
                Err(Error::new(Kind::Invalid, format!("{left} bytes too many in the message")))
            }
        }

        $(impl From<$variant> for $name {
            fn from(body: $variant) -> Self { Self::$variant(body) }
        })*
    };
}

messages! {
    /// What a client says.
    Request {
        /// Who am I.
        0x01 Hello,
        /// A draft, please.
        0x02 Create,
        /// A larger draft, please.
        0x03 Grow,
        /// The draft is done.
        0x04 Seal,
        /// The draft is not wanted.
        0x05 Abort,
        /// Small objects in one step.
        0x06 Put,
        /// Sealed objects, please.
        0x07 Get,
        /// Not needed any more.
        0x08 Release,
        /// The descriptor again, please.
        0x09 Fetch,
        /// Unbind a name.
        0x0a Delete,
        /// What is there?
        0x0b List,
        /// What is this?
        0x0c Look,
        /// Tell me what happens.
        0x0d Watch,
        /// Never mind.
        0x0e Cancel,
        /// How are you?
        0x0f Count,
        /// Make room.
        0x10 Evict,
        /// A segment's descriptor, please.
        0x11 Open,
        /// What does this come to?
        0x12 Query,
    }
}

messages! {
    /// What the store says.
    Reply {
        /// To a hello.
        0x81 Welcome,
        /// To a create or a grow.
        0x82 Created,
        /// To a seal.
        0x84 Sealed,
        /// To an abort or a delete.
        0x85 Done,
        /// To a put.
        0x86 Stored,
        /// To a get.
        0x87 Got,
        /// To a fetch or an open.
        0x89 Fetched,
        /// To a list.
        0x8b Listed,
        /// To a look.
        0x8c Seen,
        /// To a watch, many times.
        0x8d Happened,
        /// To a count.
        0x8f Counted,
        /// To an evict.
        0x90 Evicted,
        /// To nothing.
        0x91 Retired,
        /// To anything.
        0xff Failed,
    }
}

impl Label {
    /// The label that these options make.
    #[must_use]
    pub fn new(name: Name, kind: ObjectKind, options: &PutOptions) -> Self {
        Self {
            name,
            kind,
            replace: options.replace || options.replaces.is_some(),
            replaces: options.replaces.unwrap_or(0),
            droppable: options.droppable,
            wait_ms: u64::try_from(options.wait.as_millis()).unwrap_or(FOR_EVER_MS),
            metadata: Bytes::copy_from_slice(&options.metadata),
        }
    }
}

impl From<&Error> for Failed {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind().code(), message: error.message().to_owned() }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::new(Kind::from_code(failed.kind), failed.message)
    }
}
