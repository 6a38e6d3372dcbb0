//! Clients: who is connected, and what ends when one leaves.

use std::collections::{BTreeMap, BTreeSet};

use super::Room;
use super::ids::{ClientId, IdMap, ObjectId, Ticket};
use super::refusal;
use crate::error::Result;
use crate::object::Peer;

/// One client's part of the books.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Peer,
    /// How often it holds which objects.
    pub(super) holds: IdMap<ObjectId, u64>,
    /// The charges of what it holds, each counted once.
    pub(super) held_bytes: u64,
    pub(super) drafts: BTreeSet<ObjectId>,
    /// The charges of its drafts.
    pub(super) draft_bytes: u64,
    /// Its requests that wait, for objects or for room.
    pub(super) parked: BTreeMap<Ticket, u64>,
}

impl Room {
    /// A client has come. A second time for the same id changes only who it is.
    pub fn connect(&mut self, client: ClientId, peer: Peer) {
        if let Some(known) = self.clients.get_mut(&client) {
            known.peer = peer;
            return;
        }
        let books = Client {
            peer,
            holds: IdMap::default(),
            held_bytes: 0,
            drafts: BTreeSet::new(),
            draft_bytes: 0,
            parked: BTreeMap::new(),
        };
        self.clients.insert(client, books);
    }

    /// A client has left, politely or not: what it wrote, held, waited for and watched ends, and
    /// those who wait for its drafts learn it at once. Its tickets are not answered.
    pub fn disconnect(&mut self, client: ClientId) {
        let Some(mut books) = self.clients.remove(&client) else {
            return;
        };
        for (_, seq) in std::mem::take(&mut books.parked) {
            self.unpark(seq);
        }
        let watches = (client, Ticket(0))..=(client, Ticket(u64::MAX));
        let watches: Vec<_> = self.watches.range(watches).map(|(key, _)| *key).collect();
        for key in watches {
            self.watches.remove(&key);
        }
        let mut holds: Vec<_> = books.holds.into_iter().collect();
        holds.sort_unstable();
        for (object, times) in holds {
            self.let_go(object, times);
        }
        for object in books.drafts {
            self.orphan(object);
        }
        if self.clients.is_empty() {
            self.retire_empty_current();
        }
        self.pump();
    }

    /// The client's books.
    pub(super) fn client(&self, client: ClientId) -> Result<&Client> {
        self.clients.get(&client).ok_or_else(refusal::unknown_client)
    }
}
