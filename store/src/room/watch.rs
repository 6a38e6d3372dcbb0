//! Watches: events of all names with a prefix.

use std::ops::Bound;

use super::Room;
use super::effect::Effect;
use super::entry::Phase;
use super::ids::{ClientId, Ticket};
use super::refusal;
use crate::error::Result;
use crate::object::{Event, EventKind, Name};

impl Room {
    /// Watches all names with this prefix: [`Effect::Event`]s follow until [`Room::cancel`]. With
    /// `replay`, what is sealed already comes first.
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
        if replay {
            self.replay(client, ticket, &prefix);
        }
        self.watches.insert((client, ticket), prefix);
        Ok(())
    }

    fn replay(&mut self, client: ClientId, ticket: Ticket, prefix: &[u8]) {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let named = self.bound.range::<[u8], _>(from);
        for (name, object) in named.take_while(|(name, _)| name.as_bytes().starts_with(prefix)) {
            let Some(entry) = self.objects.get(object) else {
                continue;
            };
            if entry.phase == Phase::Sealed {
                let event = Event {
                    kind: EventKind::Sealed,
                    name: name.clone(),
                    bytes: entry.bytes,
                    metadata_bytes: entry.metadata.len() as u64,
                };
                self.effects.push(Effect::Event { client, ticket, event });
            }
        }
    }

    /// Tells every watch of this name.
    pub(super) fn emit(&mut self, kind: EventKind, name: &Name, bytes: u64, metadata_bytes: u64) {
        for ((client, ticket), prefix) in &self.watches {
            if name.as_bytes().starts_with(prefix) {
                let event = Event { kind, name: name.clone(), bytes, metadata_bytes };
                let (client, ticket) = (*client, *ticket);
                self.effects.push(Effect::Event { client, ticket, event });
            }
        }
    }
}
