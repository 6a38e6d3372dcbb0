//! Every error of the room, in words: what, both numbers, and the way out.

use super::Room;
use super::budget::Part;
use super::create::Create;
use super::entry::{Entry, Phase};
use super::ids::{ObjectId, Ticket};
use crate::error::{Error, Kind, human_bytes};
use crate::object::{MAX_METADATA_BYTES, Name};

/// How many holders a message names.
const TOP: usize = 3;

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

pub(super) fn unknown_client() -> Error {
    Error::new(Kind::Unavailable, "this client is not connected: connect again")
}

pub(super) fn ticket_in_use(ticket: Ticket) -> Error {
    invalid(format!("request {} is still waiting: give each request its own number", ticket.0))
}

pub(super) fn cancelled() -> Error {
    Error::new(Kind::Timeout, "cancelled by the client")
}

pub(super) fn limit(what: &str, most: usize, way_out: &str) -> Error {
    Error::new(Kind::Full, format!("there are {most} {what} already, the most allowed: {way_out}"))
}

pub(super) fn exists(entry: &Entry, pid: u32) -> Error {
    let name = &entry.name;
    let message = match entry.phase {
        Phase::Sealed => {
            format!("object {name} exists: choose another name, delete it, or put with replace")
        }
        _ => {
            format!("object {name} is being written by pid {pid}: wait for it, or put with replace")
        }
    };
    Error::new(Kind::Exists, message)
}

pub(super) fn replaced(name: &Name) -> Error {
    let message = format!(
        "object {name} is no longer the one that was to be replaced: read it again, and try again"
    );
    Error::new(Kind::Exists, message)
}

pub(super) fn gone(object: ObjectId) -> Error {
    Error::new(Kind::NotFound, format!("object {} is gone", object.0))
}

pub(super) fn absent(name: &Name, waited: bool, writer: Option<u32>) -> Error {
    let kind = if waited { Kind::Timeout } else { Kind::NotFound };
    let message = match (waited, writer) {
        (false, None) => format!("there is no object {name}: create it, or wait for it"),
        (false, Some(pid)) => {
            format!("object {name} is a draft that pid {pid} still writes: wait for it")
        }
        (true, None) => format!("object {name} did not come in time, and nobody writes it"),
        (true, Some(pid)) => {
            format!("object {name} did not come in time; pid {pid} still writes it: wait longer")
        }
    };
    Error::new(kind, message)
}

pub(super) fn writer_gone(name: &Name, why: Option<&Error>) -> Error {
    let message = match why {
        Some(why) => format!("object {name} will not come: {why}"),
        None => format!("object {name} will not come: its writer gave it up or died"),
    };
    Error::new(Kind::WriterGone, message)
}

pub(super) fn too_large(name: &Name, need: u64, budget: u64) -> Error {
    let (need, budget) = (human_bytes(need), human_bytes(budget));
    let message = format!(
        "object {name} needs {need}, more than the whole budget of {budget}: \
         store it in parts or raise --memory"
    );
    Error::new(Kind::Full, message)
}

pub(super) fn no_memory() -> Error {
    let message = "the kernel has no memory for a segment of small objects: free some, or lower \
                   --memory";
    Error::new(Kind::Full, message)
}

pub(super) fn metadata_too_large(create: &Create) -> Error {
    let (has, most) = (create.metadata.len(), MAX_METADATA_BYTES);
    invalid(format!("object {} has {has} bytes of metadata; at most {most} fit", create.name))
}

pub(super) fn metadata_full(create: &Create, most: u64) -> Error {
    let most = human_bytes(most);
    let message = format!(
        "object {} has {} bytes of metadata, and all objects together may have {most}: \
         delete one or store it as data",
        create.name,
        create.metadata.len()
    );
    Error::new(Kind::Full, message)
}

pub(super) fn not_small(create: &Create, most: u64) -> Error {
    let (has, most) = (human_bytes(create.bytes), human_bytes(most));
    let name = &create.name;
    invalid(format!(
        "object {name} has {has}, and {most} can be put in one step: create it instead"
    ))
}

pub(super) fn no_draft(object: ObjectId) -> Error {
    invalid(format!("object number {} is no draft of this client", object.0))
}

pub(super) fn being_sealed(name: &Name) -> Error {
    invalid(format!("object {name} is being sealed: wait for that to end"))
}

pub(super) fn sealed_already(name: &Name) -> Error {
    invalid(format!("object {name} is sealed and never changes: put it again with replace"))
}

pub(super) fn not_sealing(name: &Name) -> Error {
    invalid(format!("object {name} is not being sealed"))
}

pub(super) fn still_growing(name: &Name) -> Error {
    invalid(format!("draft {name} waits for room to grow: wait for that or cancel it"))
}

pub(super) fn still_mapped(name: &Name) -> Error {
    invalid(format!("draft {name} is still mapped for writing: unmap it and seal again"))
}

pub(super) fn wrong_seal(name: &Name) -> Error {
    invalid(format!(
        "draft {name} is sealed the other way: small by its bytes, large by its memory"
    ))
}

pub(super) fn longer_than_draft(name: &Name, len: u64, bytes: u64) -> Error {
    invalid(format!("draft {name} has {bytes} bytes, not the {len} to seal: grow it first"))
}

pub(super) fn not_held(object: ObjectId, holds: u64, times: u64) -> Error {
    let object = object.0;
    invalid(format!("object number {object} is held {holds} times by this client, not {times}"))
}

pub(super) fn abort_instead(name: &Name) -> Error {
    invalid(format!("object {name} is this client's own draft: abort it instead"))
}

pub(super) fn others_draft(name: &Name, pid: u32) -> Error {
    let message = format!(
        "object {name} is a draft that pid {pid} still writes: delete it once it is sealed"
    );
    Error::new(Kind::Denied, message)
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl Room {
    /// There is no room: who has it, and what would make some.
    pub(super) fn full_for(&self, name: &Name, need: u64) -> Error {
        let mut ways = Vec::new();
        let mut takers = Vec::new();
        let held = self.top_takers(|books| (books.held_bytes, books.holds.len()), "object");
        if !held.is_empty() {
            takers.push(format!("held ({})", held.join(", ")));
            ways.push("release one");
        }
        let drafts = self.top_takers(|books| (books.draft_bytes, books.drafts.len()), "draft");
        if !drafts.is_empty() {
            takers.push(format!("being written ({})", drafts.join(", ")));
            ways.push("seal or abort one");
        }
        if self.idle.kept > 0 {
            let (count, bytes) = (self.idle.kept as usize, human_bytes(self.idle.kept_bytes));
            takers.push(format!("kept ({}, {bytes}, held by nobody)", plural(count, "object")));
            ways.push("delete one");
        }
        if takers.is_empty() {
            let bytes = human_bytes(self.budget.part(Part::Retired));
            takers.push(format!("still mapped by someone ({bytes})"));
        }
        ways.push("raise --memory");
        let (takers, ways) = (takers.join(" or "), ways.join(" or "));
        // The pool gives way, so what it has is nobody's.
        let free = self.budget.free() + self.budget.part(Part::Pool);
        let (need, free) = (human_bytes(need), human_bytes(free));
        let message =
            format!("object {name} needs {need}; {free} is free and the rest is {takers}: {ways}");
        Error::new(Kind::Full, message)
    }

    /// The clients that take the most, in words.
    fn top_takers(
        &self,
        taken: impl Fn(&super::client::Client) -> (u64, usize),
        what: &str,
    ) -> Vec<String> {
        let clients = self.clients.values().map(|books| (taken(books), books.peer.pid));
        let mut takers: Vec<_> = clients.filter(|((_, count), _)| *count > 0).collect();
        takers.sort_unstable_by(|a, b| b.cmp(a));
        takers.truncate(TOP);
        let words = takers.into_iter().map(|((bytes, count), pid)| {
            format!("pid {pid}: {}, {}", plural(count, what), human_bytes(bytes))
        });
        words.collect()
    }
}
