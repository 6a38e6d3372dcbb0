//! Get: from names to grants, at once or after a wait.

use super::Room;
use super::effect::{Answer, Grant};
use super::entry::{Entry, Phase};
use super::ids::{ClientId, ObjectId, Ticket};
use super::refusal;
use super::wait::{Slot, Wait};
use crate::error::{Error, Result};
use crate::object::Name;

impl Room {
    /// Asks for sealed objects, each name decided on its own and in order; a name may occur more
    /// than once. Answers [`Answer::Got`] when all are decided, or at the deadline, with
    /// `Timeout` for what has not come. Without a deadline it answers at once, with `NotFound`.
    ///
    /// With `hold`, each grant of more than [`super::Config::inline_bytes`] holds its object for
    /// the client until [`Room::release`]; without, the answer only says what is there.
    pub fn get(
        &mut self,
        now_ms: u64,
        client: ClientId,
        ticket: Ticket,
        names: Vec<Name>,
        deadline_ms: Option<u64>,
        hold: bool,
    ) {
        self.at(now_ms);
        if let Err(error) = self.may_ask(client, ticket) {
            self.answer(client, ticket, Answer::Failed(error));
            return;
        }
        let mut slots = Vec::with_capacity(names.len());
        let mut open = 0;
        for name in names {
            slots.push(match self.sealed(name.as_bytes()) {
                Some(object) => {
                    self.hold(object);
                    Slot::Found(object)
                }
                None => {
                    open += 1;
                    Slot::Open(name)
                }
            });
        }
        self.counters.gets += slots.len() as u64;
        self.counters.hits += (slots.len() - open) as u64;
        match deadline_ms.filter(|deadline| open > 0 && *deadline > self.now_ms) {
            None => self.answer_get(client, ticket, hold, deadline_ms.is_some(), slots),
            Some(deadline_ms) => {
                self.wait(Wait { client, ticket, hold, deadline_ms, slots, open });
            }
        }
    }

    /// Parks a get until its open names are decided.
    fn wait(&mut self, wait: Wait) {
        let seq = match self.park(wait.client, wait.ticket, wait.deadline_ms) {
            Ok(seq) => seq,
            Err(error) => {
                self.answer(wait.client, wait.ticket, Answer::Failed(error));
                self.drop_wait(wait);
                return;
            }
        };
        for (index, slot) in wait.slots.iter().enumerate() {
            if let Slot::Open(name) = slot {
                let expected = self.expected.entry(name.clone()).or_default();
                expected.waiters.insert((seq, index));
            }
        }
        self.waits.insert(seq, wait);
    }

    /// Grants an object that is held once for this; the hold passes to the client if the grant
    /// says so.
    pub(super) fn grant(
        &mut self,
        client: ClientId,
        object: ObjectId,
        hold: bool,
    ) -> Option<Grant> {
        let entry = self.objects.get(&object)?;
        let held = hold && entry.bytes > self.config.inline_bytes;
        let charge = entry.charge;
        let grant = Grant {
            object,
            kind: entry.kind,
            place: entry.place?,
            rows: entry.rows,
            batches: entry.batches,
            metadata: entry.metadata.clone(),
            held,
        };
        if hold {
            self.counters.get_bytes += entry.bytes;
        }
        if held {
            self.book_hold(client, object, charge);
        }
        Some(grant)
    }

    /// Lends an object to a client, whether its name is bound to it or not.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn lend(&mut self, client: ClientId, object: ObjectId) -> Result<Grant> {
        self.client(client)?;
        let readable = |entry: &Entry| matches!(entry.phase, Phase::Sealed | Phase::Retired);
        if !self.objects.get(&object).is_some_and(readable) {
            return Err(refusal::gone(object));
        }
        self.hold(object);
        let grant = self.grant(client, object, true);
        if !grant.as_ref().is_some_and(|grant| grant.held) {
            // A tiny one goes with the message.
            self.let_go(object, 1);
        }
        grant.ok_or_else(|| refusal::gone(object))
    }

    /// Why a name has no sealed object.
    pub(super) fn absent(&self, name: &Name, waited: bool) -> Error {
        let writer = self.draft_of(name.as_bytes()).map(|draft| self.writer_pid(draft));
        refusal::absent(name, waited, writer)
    }
}
