//! Watches: events of all names with a prefix.
//!
//! A replay tells what is sealed already, a page at a time, as the watcher takes it: the room
//! keeps only the name that it has come to. What happens to names behind that one is told as it
//! happens; what happens to the names before it is told when the replay comes to them, as they
//! are then.
//!
//! ```text
//! names:  a  b  c  d  e  f  …
//!               ▲ passed
//!         live ─┘  └─ told by a later page
//! ```

use super::Room;
use super::effect::Effect;
use super::ids::{ClientId, ObjectId, Ticket};
use super::refusal;
use crate::error::Result;
use crate::object::{Event, EventKind, Name};

/// One watch.
#[derive(Debug)]
pub(super) struct Watch {
    prefix: Vec<u8>,
    replay: Option<Replay>,
}

/// How far a replay has come.
#[derive(Debug)]
struct Replay {
    /// The last name that it has told of.
    passed: Option<Name>,
    /// The last object when the watch began: younger drafts have been created since.
    began_at: ObjectId,
}

impl Watch {
    /// Whether the watcher is told at once what happens to this name.
    fn hears(&self, name: &Name) -> bool {
        let passed = match &self.replay {
            None => true,
            Some(replay) => replay.passed.as_ref().is_some_and(|passed| name <= passed),
        };
        passed && name.as_bytes().starts_with(&self.prefix)
    }
}

impl Room {
    /// Watches all names with this prefix: [`Effect::Event`]s follow until [`Room::cancel`]. With
    /// `replay`, what is sealed already is told too, by as many calls of [`Room::replay`] as it
    /// takes.
    ///
    /// # Errors
    /// `Full` when the client has as many watches as it may; `Invalid` when the ticket is in use.
    pub fn watch(
        &mut self,
        client: ClientId,
        ticket: Ticket,
        prefix: Vec<u8>,
        replay: bool,
    ) -> Result<()> {
        self.may_ask(client, ticket)?;
        if self.watches.contains_key(&(client, ticket)) {
            return Err(refusal::ticket_in_use(ticket));
        }
        let most = self.config.limits.watches_per_client;
        let own = (client, Ticket(0))..=(client, Ticket(u64::MAX));
        if self.watches.range(own).count() >= most {
            return Err(refusal::limit("watches", most, "cancel one first"));
        }
        let began_at = ObjectId(self.last_object);
        let replay = replay.then_some(Replay { passed: None, began_at });
        self.watches.insert((client, ticket), Watch { prefix, replay });
        Ok(())
    }

    /// Goes on with a replay: at least `most` events follow, and a few more if the last name has
    /// several. Returns whether there is more to tell; false also when there is no such replay.
    pub fn replay(&mut self, client: ClientId, ticket: Ticket, most: usize) -> bool {
        let Some(watch) = self.watches.get(&(client, ticket)) else { return false };
        let Some(replay) = &watch.replay else { return false };
        let after = replay.passed.as_ref().map(Name::as_bytes);
        let (mut events, mut passed) = (Vec::new(), None);
        for name in self.names(&watch.prefix, after, false) {
            self.tell_of(name, replay.began_at, &mut events);
            if events.len() >= most {
                passed = Some(name.clone());
                break;
            }
        }
        let more = passed.is_some();
        if let Some(watch) = self.watches.get_mut(&(client, ticket)) {
            watch.replay = watch.replay.take().filter(|_| more);
            if let Some(replay) = &mut watch.replay {
                replay.passed = passed;
            }
        }
        let events = events.into_iter().map(|event| Effect::Event { client, ticket, event });
        self.effects.extend(events);
        more
    }

    /// A name as a replay finds it: sealed, and the drafts that were created since it began.
    fn tell_of(&self, name: &Name, began_at: ObjectId, events: &mut Vec<Event>) {
        let sealed = self.sealed(name.as_bytes()).map(|object| (EventKind::Sealed, object));
        let drafts = self.expected.get(name).map(|expected| &expected.drafts);
        let young = drafts.into_iter().flatten().filter(|draft| **draft > began_at);
        let created = young.map(|draft| (EventKind::Created, *draft));
        for (kind, object) in sealed.into_iter().chain(created) {
            let Some(entry) = self.objects.get(&object) else { continue };
            let (bytes, metadata_bytes) = (entry.bytes, entry.metadata.len() as u64);
            events.push(Event { kind, name: name.clone(), bytes, metadata_bytes });
        }
    }

    /// Tells every watch of this name.
    pub(super) fn emit(&mut self, kind: EventKind, name: &Name, bytes: u64, metadata_bytes: u64) {
        for ((client, ticket), watch) in &self.watches {
            if watch.hears(name) {
                let event = Event { kind, name: name.clone(), bytes, metadata_bytes };
                let (client, ticket) = (*client, *ticket);
                self.effects.push(Effect::Event { client, ticket, event });
            }
        }
    }
}
