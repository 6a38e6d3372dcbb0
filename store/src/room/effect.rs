//! What the room tells its shell to do, and the answers that it gives.
//!
//! **Invariant:** effects are carried out in the order in which they were emitted, before the
//! next method's. An answer may name bytes that an earlier [`Effect::Write`] or
//! [`Effect::Move`] puts in place, and that a later [`Effect::Retire`] takes away.

use super::ids::{ClientId, ContainerId, ObjectId, Place, Ticket};
use crate::error::{Error, Result};
use crate::object::{Event, Metadata, Name, ObjectKind};

/// What the shell does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this answer.
    Answer {
        /// To whom.
        client: ClientId,
        /// For which request.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// Send this event to a watch.
    Event {
        /// To whom.
        client: ClientId,
        /// The ticket of the watch.
        ticket: Ticket,
        /// What happened.
        event: Event,
    },
    /// The books bind and hold this container no more: close it once the kernel says that nobody
    /// maps it, then call [`super::Room::reclaimed`].
    Retire {
        /// The container, large, a segment or of the pool.
        container: ContainerId,
    },
    /// Make a new segment; it has no memory yet. If that fails, so does growing it.
    OpenSegment {
        /// Its number.
        container: ContainerId,
        /// The most that it may grow to, in bytes.
        capacity: u64,
    },
    /// Give a segment memory, and say how it went: [`super::Room::segment_grown`] or
    /// [`super::Room::segment_failed`].
    GrowSegment {
        /// The segment.
        container: ContainerId,
        /// The memory that it has from now on, from its beginning, in bytes.
        allocated: u64,
    },
    /// Write a small object's header, name and bytes, now.
    Write {
        /// Whose bytes.
        client: ClientId,
        /// The put or seal that brought them; its answer follows.
        ticket: Ticket,
        /// The object.
        object: ObjectId,
        /// Its name.
        name: Name,
        /// Its kind.
        kind: ObjectKind,
        /// Where its bytes go; header and name lie right before them.
        place: Place,
    },
    /// A small object's name leads to it no more.
    Unlist {
        /// The name.
        name: Name,
        /// Where the object's bytes lie.
        place: Place,
    },
    /// Copy a small object, header and name included; what lies at `from` stays as it is.
    Move {
        /// The object.
        object: ObjectId,
        /// Its name.
        name: Name,
        /// Its kind.
        kind: ObjectKind,
        /// Where its bytes lie.
        from: Place,
        /// Where they go; readers are sent there from now on.
        to: Place,
    },
}

/// The answer to one ticket.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A draft is there to be written.
    Created(Draft),
    /// A draft has grown.
    Grown(Draft),
    /// A put, or a small draft, is sealed.
    Stored(Stored),
    /// The names of a get, in order.
    Got(Vec<Result<Grant>>),
    /// The request failed as a whole.
    Failed(Error),
}

/// A draft as its writer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The object.
    pub object: ObjectId,
    /// Where it is written.
    pub place: Placement,
}

/// Where a draft is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At the writer's; the bytes come with the seal.
    Small,
    /// In a container of its own.
    Large {
        /// The container.
        container: ContainerId,
        /// Where its memory comes from.
        source: Source,
        /// The draft's size; the container has as many, rounded up to pages.
        bytes: u64,
    },
}

/// Where the memory of a large draft comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A new container.
    Fresh,
    /// A container of the pool, perhaps still being prepared, to be cut or extended.
    Pool {
        /// What it was prepared with, in bytes.
        bytes: u64,
    },
    /// The container that the draft already has, to be extended.
    Own,
}

/// A small object that is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The object.
    pub object: ObjectId,
    /// Where its bytes lie.
    pub place: Place,
}

/// A sealed object as a reader gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The object.
    pub object: ObjectId,
    /// What its bytes are.
    pub kind: ObjectKind,
    /// Where they lie.
    pub place: Place,
    /// Rows, for a table.
    pub rows: u64,
    /// Record batches, for a table.
    pub batches: u64,
    /// User metadata.
    pub metadata: Metadata,
    /// True when the reader now holds the object and must release it; never for one of at most
    /// [`super::Config::inline_bytes`], which is sent in the answer itself.
    pub held: bool,
}

/// What the shell needs to seal a large draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealWork {
    /// The object's name, for messages.
    pub name: Name,
    /// The draft's container.
    pub container: ContainerId,
    /// The size to cut it to, in bytes.
    pub len: u64,
    /// What to check its bytes as.
    pub kind: ObjectKind,
}

/// How the sealing of a large draft went.
#[derive(Clone, Debug, PartialEq)]
pub enum SealOutcome {
    /// The kernel sealed it, and its bytes are right.
    Sealed {
        /// Rows, for a table.
        rows: u64,
        /// Record batches, for a table.
        batches: u64,
    },
    /// Its bytes are wrong, or it could not be sealed at all: the draft ends.
    Refused(Error),
    /// Its writer still maps it: it is a draft again.
    Busy,
}
